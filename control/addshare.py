"""ksmbd-addshare: add, update or delete a share of ksmbd.conf."""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import readline
import sys
from collections.abc import Callable, Sequence
from typing import Final

from control.tools import Failed, make_default_folder, notify_mountd, parser, reason
from mountd import conf, share_edit, share_security
from mountd.conf import GLOBAL, IPC, ConfError
from mountd.conffile import ConfFile, Option
from mountd.daemon import log_to_stderr
from mountd.params import SHARE_KEYS, fold
from mountd.share_edit import Unfit, checked

log = logging.getLogger("control")

TOOL: Final = "ksmbd.addshare"


def main(argv: Sequence[str] | None = None, ask: Callable[[str], str] = input) -> int:
    """Do what the options say; 0, or 1 with a message."""
    options = _options(argv)
    log_to_stderr(TOOL, verbose=options.verbose)
    try:
        _run(options, ask)
    except (Failed, Unfit, ConfError, OSError) as error:
        log.error("%s", reason(error))
        return 1
    except (KeyboardInterrupt, EOFError):
        log.error("nothing was changed")
        return 1
    notify_mountd(options.lock)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    options = parser(TOOL, __doc__ or "", "SHARE")
    options.add_argument(
        "-o",
        "--option",
        metavar="OPT",
        action="append",
        help="'key = value', one for each -o; without any you are asked for every parameter",
    )
    options.add_argument("share", metavar="SHARE", help="name of its section")
    return options.parse_args(argv)


def _run(options: argparse.Namespace, ask: Callable[[str], str]) -> None:
    name, path = options.share, os.path.abspath(conf.find(options.config))
    _check_name(name, options.action)
    make_default_folder(path)
    descriptors = share_security.beside(options.pwddb)
    with share_edit.editing(path, descriptors, name) as file:
        known = name.casefold() in file.sections
        if options.action == "add" and known:
            raise Failed(f"share {name!r} exists already; -u changes it")
        if options.action in ("update", "delete") and not known and name.casefold() != GLOBAL:
            raise Failed(f"there is no share {name!r} in {path}" + _elsewhere(path, name))
        if options.action == "delete":
            file.delete(name)
        else:
            given = options.option
            wanted = _asked(file, name, ask) if given is None else _parsed(given)
            file.update(name, wanted)
    done = {"delete": "deleted"}.get(options.action, "updated" if known else "added")
    log.info("Share %r %s", name, done)


def _check_name(name: str, action: str | None) -> None:
    if problem := conf.name_problem(name):
        raise Failed(problem)
    if name.casefold() == IPC:
        raise Failed("IPC$ is made by mountd")
    if name.casefold() == GLOBAL and action != "update":
        raise Failed("[global] can only be updated (-u): the defaults of all shares")


def _elsewhere(path: str, name: str) -> str:
    """Where an included file has the share."""
    with contextlib.suppress(ConfError):
        section = conf.parse(path).get(name.casefold())
        if section is not None:
            return f"; it is in {section.file}, which is included"
    return ""


def _parsed(given: list[str]) -> list[Option]:
    """The options of the command line; unknown parameters are left out with a message."""
    options = []
    for item in given:
        key, equals, value = item.partition("=")
        if not equals:
            raise Failed(f"{item!r}: expected 'key = value'")
        if fold(key) not in SHARE_KEYS:
            log.warning("%r is no parameter of a share: ignored", key.strip())
            continue
        options.append(checked(Option(fold(key), value.strip())))
    return options


def _asked(file: ConfFile, name: str, ask: Callable[[str], str]) -> list[Option]:
    """Ask for every parameter; an empty answer keeps what is there, Tab completes it."""
    current = file.values(name)
    options = []
    for key in sorted({param.key for param in SHARE_KEYS.values()}):
        value = current.get(SHARE_KEYS[key].attribute, "")
        _complete_with(value)
        answer = ask(f"{key} [{value}]: ").strip()
        if answer and answer != value:
            options.append(checked(Option(key, answer)))
    return options


def _complete_with(value: str) -> None:
    def complete(typed: str, state: int) -> str | None:
        return value if state == 0 and value.startswith(typed) else None

    readline.set_completer_delims("")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")


if __name__ == "__main__":
    sys.exit(main())
