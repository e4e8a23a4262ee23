"""The command ``ksmbd``: serve SMB in the foreground until told to stop."""

from __future__ import annotations

import argparse
import faulthandler
import logging
import os
import pwd
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import ksmbd
from ksmbd import compiled, debug
from ksmbd.server import descriptors, memory
from ksmbd.server.loops import MAX_READERS
from ksmbd.server.pool import DEFAULT_WORKERS
from ksmbd.server.server import Daemon, Options, StartError
from ksmbd.wire.ipc import RUN_DIR

log = logging.getLogger("ksmbd")


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog="ksmbd",
        description="SMB 2.0.2 - 3.1.1 file server.  Stays in the foreground; "
        "ksmbd-mountd tells it what to serve, ksmbd-control talks to it.",
        epilog="SIGTERM and SIGINT end it, SIGHUP reloads (with --with-mountd).",
    )
    add = made.add_argument
    add("-C", "--config", metavar="FILE", type=Path, help="ksmbd.conf; for --with-mountd")
    add("-P", "--pwddb", metavar="FILE", type=Path, help="ksmbdpwd.db; for --with-mountd")
    add(
        *("--run-dir",),
        metavar="DIR",
        type=Path,
        default=Path(RUN_DIR),
        help="sockets and pid file; one server per directory (default: %(default)s)",
    )
    add("--port", metavar="N", type=_port, help="TCP port, 0: any free one (default: ksmbd.conf)")
    add(
        *("--bind",),
        metavar="ADDR",
        action="append",
        default=[],
        help="IP address to listen on; may be repeated (default: ksmbd.conf, else all)",
    )
    add("--with-mountd", action="store_true", help="start ksmbd-mountd as a child, and end it")
    add("--with-parent", action="store_true", help="end when the standard input does")
    add("--mountd-user", metavar="USER", type=_uid, help="whom mountd runs as, if not root")
    add(
        *("--readers",),
        metavar="N",
        type=_readers,
        default=0,
        help="threads that read all connections (default: one for each, and one for busy times)",
    )
    add("--no-direct-dispatch", action="store_true", help="leave every request to a worker")
    add(
        *("--max-workers",),
        metavar="N",
        type=_positive,
        default=DEFAULT_WORKERS,
        help="most worker threads (default: %(default)s)",
    )
    add(
        *("-d", "--debug"),
        metavar="COMPONENT",
        action="append",
        default=[],
        choices=(debug.ALL, *debug.COMPONENTS),
        help="log more of: " + " ".join((debug.ALL, *debug.COMPONENTS)) + "; may be repeated",
    )
    add("-v", "--verbose", action="store_true", help="log more of everything")
    version = f"ksmbd version : {ksmbd.__version__}{compiled.about()}"
    add("-V", "--version", action="version", version=version)
    return made


def options(arguments: argparse.Namespace) -> Options:
    return Options(
        run_dir=arguments.run_dir.absolute(),
        port=arguments.port,
        bind=tuple(arguments.bind),
        config=arguments.config,
        pwddb=arguments.pwddb,
        with_mountd=arguments.with_mountd,
        with_parent=arguments.with_parent,
        mountd_uid=arguments.mountd_user,
        readers=arguments.readers,
        direct_dispatch=not arguments.no_direct_dispatch,
        max_workers=arguments.max_workers,
        verbose=arguments.verbose,
    )


def serve(arguments: Sequence[str] | None = None) -> int:
    """Do what the command line says; the exit status."""
    chosen = parser().parse_args(arguments)
    debug.set_up(verbose=chosen.verbose)
    for component in dict.fromkeys(chosen.debug):
        if not chosen.verbose:
            debug.toggle(component)
    if stale := compiled.stale():
        log.error("changed since they were compiled, compile again: %s", " ".join(stale))
        return 1
    try:
        return Daemon(options(chosen)).run()
    except StartError as error:
        log.error("%s", error)
        return 1


def main() -> NoReturn:
    """End without waiting for a worker that hangs in a system call."""
    memory.be_frugal()
    descriptors.raise_limit()
    faulthandler.enable()  # systemd's watchdog sends SIGABRT: tell what every thread was doing
    status = serve()
    sys.stdout.flush()
    logging.shutdown()
    os._exit(status)


def _port(text: str) -> int:
    number = int(text)
    if not 0 <= number <= 65535:
        raise argparse.ArgumentTypeError(f"{number} is no port")
    return number


def _readers(text: str) -> int:
    number = int(text)
    if not 0 <= number <= MAX_READERS:
        raise argparse.ArgumentTypeError(f"0 to {MAX_READERS}")
    return number


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return number


def _uid(text: str) -> int:
    try:
        return int(text) if text.isdigit() else pwd.getpwnam(text).pw_uid
    except KeyError:
        raise argparse.ArgumentTypeError(f"there is no user {text!r}") from None


if __name__ == "__main__":
    main()
