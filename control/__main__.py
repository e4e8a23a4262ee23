"""The command ``ksmbd-control``: what an administrator tells or asks the running server."""

from __future__ import annotations

import argparse
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Final

from control import actions
from control.capture import Limits, capture
from control.client import NotRunning, Refused
from control.screen import Screen
from control.share_acl import add_share_acl, share_acl
from control.testparm import testparm
from control.tools import Failed
from control.top import ORDERS, live, watch
from ksmbd import __version__
from ksmbd.wire.ipc import RUN_DIR
from mountd.conf import ConfError

log = logging.getLogger("ksmbd.control")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="ksmbd-control",
        description="Tells the running ksmbd and ksmbd-mountd what to do, or asks how they are.",
        epilog="Exactly one action per call.  The exit status is 0 only if it was done.",
    )
    _add_common(made)
    made.add_argument(
        "-V", "--version", action="version", version=f"ksmbd-tools version : {__version__}"
    )
    action = made.add_mutually_exclusive_group()
    add = action.add_argument
    add("-s", "--shutdown", action="store_true", help="end both daemons and all connections")
    add("-r", "--reload", action="store_true", help="have ksmbd-mountd read its files again")
    add("-l", "--list", action="store_true", help="list the shares")
    add(
        *("-d", "--debug"),
        metavar="COMPONENT",
        help="switch a component of the server's log over and show all: all, or one of "
        "smb auth vfs oplock ipc conn rdma",
    )
    made.add_argument(
        "--client", metavar="ADDRESS", dest="of", help="with --debug: of this client alone"
    )
    add("-c", "--ksmbd-version", action="store_true", help="show the version of the server")
    commands = made.add_subparsers(dest="command", metavar="COMMAND", title="commands")
    for command in _commands(commands):
        _add_common(command, sub_command=True)
    return made


def _commands(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> Iterator[argparse.ArgumentParser]:
    status = commands.add_parser(
        "status",
        help="show connections, sessions, shares, open files and workers",
        description="Shows connections, sessions, connected shares, open files and workers.",
    )
    status.add_argument("--json", action="store_true", help="everything, for programs")
    pool = commands.add_parser(
        "pool",
        help="show the worker threads, or change their maximum",
        description="Shows the worker threads, after changing their maximum if one is given.",
    )
    pool.add_argument("--max-workers", metavar="N", type=int, help="most threads from now on")
    limits = commands.add_parser(
        "limits",
        help="show how much there may be of what, or change it",
        description="Shows limits of the configuration and how much there is, after changing "
        "some if asked to: until the next reload. Who is there already stays.",
    )
    limits.add_argument("limits", metavar="NAME=NUMBER", nargs="*", help="'max open files=20000'")
    limits.add_argument("--json", action="store_true", help="for programs")
    close = commands.add_parser(
        "close",
        help="end a connection, a session or an open file",
        description="Ends what the status shows: a connection, a session, or an open file. Its "
        "client is not asked; what it has not written yet is lost to it.",
    )
    close.add_argument("what", choices=("connection", "session", "file"))
    close.add_argument(
        "number", metavar="NUMBER", type=_number, help="as the status shows it: 7, 0x48b59604"
    )
    top = commands.add_parser(
        "top",
        help="show the busiest connections, again and again",
        description="Shows requests and bytes per second of the busiest connections, until "
        "interrupted.",
    )
    top.add_argument(
        "--interval", metavar="S", type=_seconds, default=2.0, help="seconds (default: %(default)s)"
    )
    top.add_argument("--sort", choices=tuple(ORDERS), default="requests", help="what comes first")
    top.add_argument("--count", metavar="N", type=int, default=0, help="end after so many")
    record = _capture(commands)
    metrics = commands.add_parser("metrics", help="show the metrics as Prometheus reads them")
    check = commands.add_parser(
        "testparm",
        help="show what a configuration means, and which line says so",
        description="Reads a configuration as ksmbd-mountd does, with its errors and warnings, "
        "and shows what is set, each with its file and line.",
    )
    check.add_argument("file", metavar="FILE", nargs="?", help="default: the system's")
    check.add_argument("--all", action="store_true", help="the defaults, too")
    stats = commands.add_parser("stats", help="one line for scripts: version state port heartbeat")
    acl = add_share_acl(commands)
    yield from (status, pool, limits, close, top, record, metrics, check, acl, stats)


def _capture(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    made = commands.add_parser(
        "capture",
        help="write down what a client sends and is sent, for Wireshark",
        description="Writes what a client sends and is sent to a file that Wireshark reads "
        "(pcapng), until interrupted.  It shows names, contents of files, and the proofs of "
        "passwords that log-ons carry.",
    )
    whom = made.add_mutually_exclusive_group(required=True)
    whom.add_argument("--client", metavar="ADDRESS", help="or a network, as 192.0.2.0/24")
    whom.add_argument("--connection", metavar="NUMBER", type=_number, help="as in the status")
    whom.add_argument("--session", metavar="NUMBER", type=_number, help="as in the status")
    made.add_argument("--decrypted", action="store_true", help="what was sealed, in clear")
    made.add_argument(
        "--seconds", metavar="S", type=_seconds, default=0.0, help="end after so long"
    )
    made.add_argument(
        "--size", metavar="BYTES", type=_size, default=0, help="end when the file is as long: 10M"
    )
    made.add_argument("file", metavar="FILE", help="-: the standard output")
    return made


def _size(text: str) -> int:
    unit = {"K": 10, "M": 20, "G": 30}.get(text[-1:].upper(), 0)
    size = int(text[:-1] if unit else text) << unit
    if size <= 0:
        raise argparse.ArgumentTypeError("a number of bytes, as 65536, 64K, 10M, 1G")
    return size


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 0.1 <= seconds <= 3600:
        raise argparse.ArgumentTypeError("0.1 to 3600 seconds")
    return seconds


def _number(text: str) -> int:
    try:
        return int(text, 0)
    except ValueError:
        raise argparse.ArgumentTypeError(f"no number: {text!r}") from None


def _add_common(to: argparse.ArgumentParser, *, sub_command: bool = False) -> None:
    """What may stand before and behind a sub-command."""
    to.add_argument(
        "--run-dir",
        metavar="DIR",
        type=Path,
        default=argparse.SUPPRESS if sub_command else Path(RUN_DIR),
        help=f"where the server has its sockets (default: {RUN_DIR})",
    )
    to.add_argument(
        *("-v", "--verbose"),
        action="store_true",
        default=argparse.SUPPRESS if sub_command else False,
        help="say more",
    )


def run(chosen: argparse.Namespace) -> str | None:
    """Do the one action; what to print, None if there is no action."""
    folder: Path = chosen.run_dir
    if chosen.shutdown:
        return actions.shutdown(folder)
    if chosen.reload:
        return actions.reload(folder)
    if chosen.list:
        return actions.list_shares(folder, bold=sys.stdout.isatty())
    if chosen.debug is not None:
        return actions.debug(folder, chosen.debug, chosen.of)
    if chosen.ksmbd_version:
        return actions.version(folder)
    return COMMANDS[chosen.command](folder, chosen) if chosen.command is not None else None


def _top(folder: Path, chosen: argparse.Namespace) -> str:
    how = {"interval_s": chosen.interval, "count": chosen.count, "order": chosen.sort}
    if sys.stdin.isatty() and sys.stdout.isatty():
        with Screen(sys.stdin.fileno(), sys.stdout.fileno()) as on:
            live(folder, on, **how)
        return ""
    show = partial(print, flush=True)
    watch(folder, show=show, clear=sys.stdout.isatty(), **how)
    return ""


def _record(folder: Path, chosen: argparse.Namespace) -> str:
    named = {name: getattr(chosen, name) for name in ("client", "connection", "session")}
    whom = {name: value for name, value in named.items() if value is not None}
    limits = Limits(chosen.seconds, chosen.size)
    return capture(folder, chosen.file, whom, decrypted=chosen.decrypted, limits=limits)


COMMANDS: Final[dict[str, Callable[[Path, argparse.Namespace], str]]] = {
    "status": lambda folder, chosen: actions.show_status(folder, as_json=chosen.json),
    "pool": lambda folder, chosen: actions.pool(folder, chosen.max_workers),
    "limits": lambda folder, chosen: actions.limits(folder, chosen.limits, as_json=chosen.json),
    "close": lambda folder, chosen: actions.close(folder, chosen.what, chosen.number),
    "top": _top,
    "capture": _record,
    "metrics": lambda folder, _: actions.metrics(folder),
    "testparm": lambda _, chosen: testparm(chosen.file, everything=chosen.all),
    "share-acl": share_acl,
    "stats": lambda folder, _: actions.stats(folder),
}


def main(arguments: Sequence[str] | None = None) -> int:
    made = parser()
    chosen = made.parse_args(arguments)
    logging.basicConfig(
        format=f"[ksmbd.control/{os.getpid()}]: %(levelname)s: %(message)s",
        level=logging.DEBUG if chosen.verbose else logging.INFO,
        force=True,
    )
    option = chosen.shutdown or chosen.reload or chosen.list or chosen.ksmbd_version
    if chosen.command is not None and (option or chosen.debug is not None):
        made.error("exactly one action per call")
    if chosen.of is not None and chosen.debug is None:
        made.error("--client goes with --debug")
    try:
        text = run(chosen)
    except (NotRunning, Refused, Failed, ConfError, OSError) as error:
        log.error("%s", error)
        return 1
    except KeyboardInterrupt:
        return 130
    if text is None:
        made.print_usage(sys.stderr)
        return 1
    if text:
        print(text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
