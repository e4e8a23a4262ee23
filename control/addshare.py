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

from control.conffile import ConfFile, Option
from control.tools import Failed, make_default_folder, notify_mountd, parser, reason
from mountd import conf, users
from mountd.conf import GLOBAL, IPC, ConfError
from mountd.daemon import log_to_stderr
from mountd.params import SHARE_KEYS, fold, text

log = logging.getLogger("control")

TOOL: Final = "ksmbd.addshare"
MODE: Final = 0o644  # of a configuration that did not exist


def main(argv: Sequence[str] | None = None, ask: Callable[[str], str] = input) -> int:
    """Do what the options say; 0, or 1 with a message."""
    options = _options(argv)
    log_to_stderr(TOOL, verbose=options.verbose)
    try:
        _run(options, ask)
    except (Failed, ConfError, OSError) as error:
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
    with users.locked(path):
        file = ConfFile(path)
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
        _write(file, name)
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
        options.append(_checked(Option(fold(key), value.strip())))
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
            options.append(_checked(Option(key, answer)))
    return options


def _complete_with(value: str) -> None:
    def complete(typed: str, state: int) -> str | None:
        return value if state == 0 and value.startswith(typed) else None

    readline.set_completer_delims("")
    readline.set_completer(complete)
    readline.parse_and_bind("tab: complete")


def _checked(option: Option) -> Option:
    """*option*, in quotation marks if it needs them. Raises Failed if it is not good."""
    param = SHARE_KEYS[option.key]
    key, value = option
    if not value.isprintable():
        raise Failed(f"{key}: a value has no control characters")
    if value or param.empty:
        try:
            param.value(value)
        except ValueError as error:
            raise Failed(f"{key} = {value}: expected {error}") from None
    line = f"{key} = {value}"
    if conf.without_comment(line) == line and not line.endswith("\\"):
        return option
    if '"' in value or param.value(f'"{value}"') != text(value):
        raise Failed(f"{key} = {value}: # and ; begin a comment, and \\ joins lines")
    return Option(key, f'"{value}"')


def _write(file: ConfFile, name: str) -> None:
    """Replace the file, if what comes out can be read."""
    if not file.changed:
        return
    temporary = f"{file.path}.new"
    try:
        users.replace_file(temporary, file.content(), 0o600)
        configuration = conf.load(temporary)
        for warning in configuration.warnings:
            if f"[{name.casefold()}]" in warning.casefold():
                log.warning("%s", warning.replace(temporary, file.path))
    except ConfError as error:
        raise ConfError(file.path, error.line, error.why) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    users.replace_file(file.path, file.content(), MODE)


if __name__ == "__main__":
    sys.exit(main())
