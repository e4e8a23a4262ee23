"""What ksmbd-adduser and ksmbd-addshare have in common."""

from __future__ import annotations

import argparse
import logging
import os

from control.client import NotRunning, Refused
from control.reloading import reload
from ksmbd import __version__
from ksmbd.wire.ipc import LOCK_NAME, RUN_DIR
from ksmbd.wire.text import printable
from mountd import conf, users

log = logging.getLogger("control")


class Failed(Exception):
    """The command cannot be done; the text says why."""


def parser(tool: str, description: str, what: str) -> argparse.ArgumentParser:
    """Options that both commands have; *what* is added, updated or deleted."""
    options = argparse.ArgumentParser(
        prog=tool.replace(".", "-"),
        description=description,
        epilog=f"Without -a, -u and -d {what} is updated if it exists and added if not.  "
        "A mountd that runs reads its files again afterwards.",
    )
    action = options.add_mutually_exclusive_group()
    for letter, word in (("a", "add"), ("u", "update"), ("d", "delete")):
        text = f"{word} {what}"
        action.add_argument(
            f"-{letter}", f"--{word}", dest="action", action="store_const", const=word, help=text
        )
    options.add_argument(
        "-C", "--config", metavar="CONF", help="default: " + ", else ".join(conf.SEARCH)
    )
    options.add_argument(
        "-P", "--pwddb", metavar="PWDDB", default=users.DEFAULT_PATH, help="default: %(default)s"
    )
    options.add_argument(
        "--lock",
        metavar="FILE",
        default=os.path.join(RUN_DIR, LOCK_NAME),
        help="mountd's lock file, default: %(default)s",
    )
    options.add_argument("-v", "--verbose", action="store_true", help="say more")
    version = f"[{tool}/{os.getpid()}]: INFO: ksmbd-tools version : {__version__}"
    options.add_argument("-V", "--version", action="version", version=version)
    return options


def make_default_folder(path: str) -> None:
    """Make the folder of *path* if it is where everybody's files are by default.

    Nothing else is made: a folder that is missing elsewhere is a mistake in the path.
    """
    folder = os.path.dirname(os.path.abspath(path))
    if folder == os.path.dirname(users.DEFAULT_PATH):
        os.makedirs(folder, mode=0o755, exist_ok=True)


def reason(error: Exception) -> str:
    """What went wrong, for the administrator."""
    if isinstance(error, OSError) and error.filename:
        return f"{error.filename}: {error.strerror}"
    return str(error)


def notify_mountd(lock: str) -> None:
    """Let mountd read its files again, if one runs, and tell if it cannot use them."""
    try:
        found = reload(lock)
    except (OSError, NotRunning, Refused) as error:
        log.warning("mountd is not notified, reload it yourself: %s", error)
        return
    if found is not None and found.error:
        log.warning("mountd goes on with what it had: %s", printable(found.error))
    elif found is not None:
        log.info("Notified mountd (process %d)", found.pid)
    else:
        log.info("Ignored lock file %s: no mountd runs", lock)
