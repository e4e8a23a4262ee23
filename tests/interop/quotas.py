"""smbcquotas against a server whose kernel keeps quotas, in a network of its own.

smbcquotas takes no port: the server has 445 there.

    unshare --net python -m tests.interop.quotas FOLDER
"""

from __future__ import annotations

import fcntl
import socket
import struct
import subprocess
import sys
from pathlib import Path
from typing import Final

from tests.interop.clients import program
from tests.support.live import PASSWORD, LiveServer

OWN: Final = "tests.interop.quota_server"
SIOCSIFFLAGS: Final = 0x8914
UP: Final = struct.pack("16sH14x", b"lo", 0x1)  # struct ifreq with IFF_UP
OTHER: Final = "S-1-22-1-5001"
ADMINISTRATOR, USER = "daemon", "bin"  # smbcquotas looks names up: the system has these
# as whom, and what; test_quotas.py knows the answers
ASKED: Final = (
    (ADMINISTRATOR, f"--set=UQLIM:{OTHER}:1048576/4194304"),
    (ADMINISTRATOR, f"--quota-user={OTHER}"),
    (ADMINISTRATOR, f"--set=UQLIM:{USER}:0/2097152"),
    (ADMINISTRATOR, "--list"),
    (ADMINISTRATOR, "--set=FSQLIM:2097152/4194304"),
    (ADMINISTRATOR, "--set=FSQFLAGS:QUOTA_ENABLED"),
    (ADMINISTRATOR, "--fs"),
    (ADMINISTRATOR, "--set=FSQFLAGS:QUOTA_ENABLED/DENY_DISK"),
    (ADMINISTRATOR, "--list"),
    (USER, "--list"),
    (USER, f"--quota-user={USER}"),
    (USER, f"--quota-user={OTHER}"),
    (USER, f"--set=UQLIM:{USER}:0/0"),
    (USER, "--set=FSQLIM:0/0"),
)


class QuotaServer(LiveServer):
    """With tests.support.quotas.Kernel in the kernel's place."""

    def _command(self) -> list[str]:
        return [OWN if word == "ksmbd" else word for word in super()._command()]


def ask(server: LiveServer, user: str, *options: str) -> str:
    command = [program("smbcquotas"), "-s", "/dev/null", server.unc(), "-n", *options]
    done = subprocess.run(
        [*command, "-U", f"{user}%{PASSWORD}"],
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    return (done.stdout + done.stderr).strip()


def main() -> None:
    with socket.socket() as sock:
        fcntl.ioctl(sock, SIOCSIFFLAGS, UP)
    users = {ADMINISTRATOR: PASSWORD, USER: PASSWORD}
    globals_ = {"admin users": ADMINISTRATOR}
    with QuotaServer(Path(sys.argv[1]), users=users, globals_=globals_, port=445) as server:
        for user, *options in ASKED:
            print(ask(server, user, *options), end="\n\n")


if __name__ == "__main__":
    main()
