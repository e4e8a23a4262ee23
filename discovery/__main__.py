"""The command ``ksmbd-discovery``: show the server in the network neighbourhood."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
from collections.abc import Sequence

from discovery.service import Discovery
from ksmbd import __version__
from mountd import conf
from mountd.daemon import log_to_stderr
from mountd.server import sd_notify

TOOL = "ksmbd-discovery"


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        prog=TOOL,
        description="Shows the server to Explorer by WS-Discovery and to Finder and Linux desktops "
        "by mDNS, as long as it runs.  Stays in the foreground.",
        epilog="SIGTERM and SIGINT end it, SIGHUP has it read the configuration again.",
    )
    add = made.add_argument
    add("-C", "--config", metavar="CONF", help="default: " + ", else ".join(conf.SEARCH))
    add("-p", "--port", metavar="N", type=int, help="TCP port of SMB, instead of `tcp port`")
    add("--loopback", action="store_true", help="on the loopback, too: for tests")
    add("-v", "--verbose", action="store_true", help="say more")
    add("-V", "--version", action="version", version=f"{TOOL} version : {__version__}")
    return made


def main(arguments: Sequence[str] | None = None) -> int:
    """0 after a good end, 1 if it cannot start."""
    chosen = parser().parse_args(arguments)
    log_to_stderr(TOOL, verbose=chosen.verbose)
    logging.getLogger("asyncio").setLevel(logging.WARNING)
    notify = sd_notify(os.environ.get("NOTIFY_SOCKET"))
    service = Discovery(chosen.config, notify, port=chosen.port, loopback=chosen.loopback)
    try:
        asyncio.run(service.run())
    except (conf.ConfError, OSError) as error:
        print(f"{TOOL}: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
