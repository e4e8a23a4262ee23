"""Clients and servers that have Kerberos in common."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from tests.interop.clients import Answer, program, run
from tests.support.kdc import REALM, Kdc
from tests.support.live import PASSWORD, ROOT, USERS, LiveServer, LiveShare

HOST: Final = "server.ksmbd.test"  # a name alone: clients are told the address

# For a script to run once its modules are loaded: on a busy machine that takes as long as the
# ticket lives.
FOUR_SECONDS: Final = f"""\
import subprocess
subprocess.run(["kinit", "-l", "4s", "tester@{REALM}"], input=b"{PASSWORD}\\n",
               stdout=subprocess.DEVNULL, check=True)
"""


def started(kdc: Kdc, folder: Path, keytab: Path, users: Mapping[str, str] = USERS) -> LiveServer:
    folder.mkdir()
    globals_ = {
        "kerberos support": "yes",
        "kerberos keytab file": str(keytab),
    }
    shares = [LiveShare("share", folder / "share", {"read only": "no"})]
    return LiveServer(
        folder, shares=shares, users=users, globals_=globals_, environment=kdc.environment
    )


def smbclient(
    server: LiveServer, environment: dict[str, str], script: str, *more: str, host: str = HOST
) -> Answer:
    return run(
        [
            *(program("smbclient"), f"//{host}/share", "-p", str(server.port), "-I", "127.0.0.1"),
            *("--use-kerberos=required", f"--use-krb5-ccache={environment['KRB5CCNAME']}"),
            *more,
            *("-c", script),
        ],
        environment=environment,
    )


def smbprotocol(kdc: Kdc, ticket: Mapping[str, str], script: str) -> str:
    """Run *script* in a process that has the ticket; what it printed."""
    done = subprocess.run(
        [sys.executable, "-c", script],
        env={**kdc.environment, **ticket, "PATH": "/usr/bin:/bin"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()
