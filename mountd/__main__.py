"""ksmbd-mountd: accounts, shares and RPC for ksmbd."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ksmbd import __version__
from ksmbd.wire.ipc import LOCK_NAME, RUN_DIR
from mountd import conf, users
from mountd.daemon import Daemon, detach, log_to_stderr, log_to_syslog
from mountd.lock import Locked, LockFile
from mountd.server import sd_notify
from mountd.state import Paths, State

TOOL = "ksmbd.mountd"


def parser() -> argparse.ArgumentParser:
    options = argparse.ArgumentParser(prog="ksmbd-mountd", description=__doc__)
    options.add_argument("-p", "--port", type=_port, help="TCP port, instead of `tcp port`")
    options.add_argument(
        "-n",
        "--nodetach",
        nargs="?",
        type=int,
        choices=(0, 1),
        const=1,
        default=0,
        metavar="WAY",
        help="stay in the foreground (WAY 1, the default) or do not (WAY 0)",
    )
    options.add_argument(
        "-C", "--config", metavar="CONF", help="default: " + ", else ".join(conf.SEARCH)
    )
    options.add_argument(
        "-P", "--pwddb", metavar="PWDDB", default=users.DEFAULT_PATH, help="default: %(default)s"
    )
    options.add_argument(
        "--run-dir",
        metavar="DIR",
        default=RUN_DIR,
        help="where ksmbd has its sockets, default: %(default)s",
    )
    options.add_argument(
        "--lock", metavar="FILE", help=f"default: {LOCK_NAME} in the run directory"
    )
    options.add_argument(
        "--with-parent",
        type=int,
        metavar="PID",
        help="end with this process, which started this one",
    )
    options.add_argument("-v", "--verbose", action="store_true", help="say more")
    version = f"[{TOOL}/{os.getpid()}]: INFO: ksmbd-tools version : {__version__}"
    options.add_argument("-V", "--version", action="version", version=version)
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the daemon; 0 after a good end, 1 if it cannot start."""
    options = parser().parse_args(argv)
    log_to_stderr(TOOL, verbose=options.verbose)
    run_dir = os.path.abspath(options.run_dir)
    lock = LockFile(os.path.abspath(options.lock or os.path.join(run_dir, LOCK_NAME)))
    paths = Paths(os.path.abspath(conf.find(options.config)), os.path.abspath(options.pwddb))
    try:
        lock.acquire(os.getpid())  # first: State makes the machine's SID if there is none
        state = State(paths, port=options.port)
    except (conf.ConfError, Locked, OSError) as error:
        lock.release()
        print(f"ksmbd-mountd: {error}", file=sys.stderr)
        return 1
    if options.nodetach:
        _lead_group()
    else:
        status = detach(lock)
        if status is not None:
            return status
        log_to_syslog(verbose=options.verbose)
    notify = sd_notify(os.environ.get("NOTIFY_SOCKET"))
    Daemon(state, run_dir, lock, notify, options.with_parent).run()
    return 0


def _lead_group() -> None:
    """Lead a process group, as `-n` always did; a session leader does so already."""
    if os.getpgrp() != os.getpid() and os.getsid(0) != os.getpid():
        os.setpgid(0, 0)


def _port(value: str) -> int:
    if not value.isdigit() or int(value) > 65535:
        raise argparse.ArgumentTypeError("a port is a number from 0 to 65535")
    return int(value)


if __name__ == "__main__":
    sys.exit(main())
