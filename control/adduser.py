"""ksmbd-adduser: add, update or delete an account of ksmbdpwd.db."""

from __future__ import annotations

import argparse
import getpass
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Final

from control.arguments import hide
from control.tools import Failed, make_default_folder, notify_mountd, parser, reason
from mountd import conf, users
from mountd.conf import ConfError
from mountd.daemon import log_to_stderr

log = logging.getLogger("control")

TOOL: Final = "ksmbd.adduser"
STDIN: Final = "-"  # for a password: read it from there
LISTS: Final = ("admin_users", "invalid_users", "read_list", "valid_users", "write_list")
Ask = Callable[[str], str]


def main(argv: Sequence[str] | None = None) -> int:
    """Do what the options say; 0, or 1 with a message."""
    options = _options(argv)
    log_to_stderr(TOOL, verbose=options.verbose)
    try:
        _run(options)
    except (Failed, ConfError, OSError) as error:
        log.error("%s", reason(error))
        return 1
    except (KeyboardInterrupt, EOFError):
        log.error("nothing was changed")
        return 1
    notify_mountd(options.lock)
    return 0


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    options = parser(TOOL, __doc__ or "", "USER")
    options.add_argument(
        "-p",
        "--password",
        metavar="PWD",
        help="instead of asking for it; other users may catch sight of it, and the shell keeps it: "
        "- reads one line of standard input",
    )
    options.add_argument("user", metavar="USER", help="name of the account")
    chosen = options.parse_args(argv)
    if chosen.password not in (None, STDIN):
        hide(chosen.password)
    return chosen


def _run(options: argparse.Namespace) -> None:
    name = options.user
    if problem := users.name_problem(name):
        raise Failed(problem)
    make_default_folder(options.pwddb)
    if options.action == "delete":
        _delete(options, name)
        return
    _check(options, name, users.load(options.pwddb))
    digest = _digest(options.password)
    with users.editing(options.pwddb) as accounts:
        _check(options, name, accounts)
        known = name in accounts
        accounts[name] = digest
    log.info("User %r %s", name, "updated" if known else "added")


def _check(options: argparse.Namespace, name: str, accounts: users.Accounts) -> None:
    if options.action == "add" and name in accounts:
        raise Failed(f"user {name!r} exists already; -u changes the password")
    if options.action == "update" and name not in accounts:
        raise Failed(f"there is no user {name!r}; -a adds one")


def _delete(options: argparse.Namespace, name: str) -> None:
    with users.editing(options.pwddb) as accounts:
        if name not in accounts:
            raise Failed(f"there is no user {name!r}")
        if references := list(_references(name, options.config)):
            raise Failed(f"user {name!r} is not deleted: it is " + ", and ".join(references))
        del accounts[name]
    log.info("User %r deleted", name)


def _references(name: str, path: str | None) -> Iterator[str]:
    """Where the configuration names the account."""
    found = conf.find(path)
    if path is None and not os.path.exists(found):
        return
    configuration = conf.load(found)
    if configuration.globals.guest_account == name:
        yield "the global guest account"
    sections = [("global", configuration.defaults), *configuration.shares.values()]
    for section, params in sections:
        if params.guest_account == name:
            yield f"the guest account of [{section}]"
        for attribute in LISTS:
            if name in getattr(params, attribute):
                yield f"among the {attribute.replace('_', ' ')} of [{section}]"


def _digest(password: str | None) -> bytes:
    if password == STDIN:
        password = _read_line("")
    elif password is None:
        password = _ask_twice(getpass.getpass if sys.stdin.isatty() else _read_line)
    try:
        return users.hash_password(password)
    except ValueError as error:
        raise Failed(str(error)) from None


def _ask_twice(ask: Ask) -> str:
    password = ask("New password: ")
    if ask("Retype new password: ") != password:
        raise Failed("the passwords differ")
    return password


def _read_line(_prompt: str) -> str:
    """From a script: one line, without its end."""
    line = sys.stdin.readline()
    if not line:
        raise EOFError
    return line.rstrip("\n")


if __name__ == "__main__":
    sys.exit(main())
