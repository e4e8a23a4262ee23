"""What ksmbd-adduser and ksmbd-addshare have in common."""

from __future__ import annotations

import argparse
import logging
import os

from ksmbd import __version__
from ksmbd.wire.ipc import LOCK_NAME, RUN_DIR
from mountd import conf, users
from mountd.lock import notify

log = logging.getLogger("control")


class Failed(Exception):
    """The command cannot be done; the text says why."""


def parser(tool: str, description: str, what: str) -> argparse.ArgumentParser:
    """Options that both commands have; *what* is added, updated or deleted."""
    options = argparse.ArgumentParser(prog=tool.replace(".", "-"), description=description)
    action = options.add_mutually_exclusive_group()
    for letter, word in (("a", "add"), ("u", "update"), ("d", "delete")):
        text = f"{word} {what}"
        action.add_argument(
            f"-{letter}", f"--{word}", dest="action", action="store_const", const=word, help=text
        )
    options.add_argument("-C", "--config", metavar="CONF", help=f"default: {conf.SEARCH[0]}")
    options.add_argument(
        "-P", "--pwddb", metavar="PWDDB", default=users.DEFAULT_PATH, help="default: %(default)s"
    )
    options.add_argument(
        "--lock",
        metavar="FILE",
        default=os.path.join(RUN_DIR, LOCK_NAME),
        help="mountd's lock file, default: %(default)s",
    )
    options.add_argument("-v", "--verbose", action="store_true")
    version = f"[{tool}/{os.getpid()}]: INFO: ksmbd-tools version : {__version__}"
    options.add_argument("-V", "--version", action="version", version=version)
    return options


def notify_mountd(lock: str) -> None:
    """Let mountd read its files again, if one runs."""
    try:
        pid = notify(lock)
    except OSError as error:
        log.warning("mountd is not notified, reload it yourself: %s", error)
        return
    if pid:
        log.info("Notified mountd (process %d)", pid)
    else:
        log.info("Ignored lock file %s: no mountd runs", lock)
