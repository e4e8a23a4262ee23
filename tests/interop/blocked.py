"""Cases of smbtorture that block their own TCP connections with iptables, against a server of ours.

    unshare --net python -m tests.interop.blocked FOLDER IPTABLES CASE...

Only in a network namespace of its own: the rules are there, and port 445 is free, which one case
insists on.  Prints a row for each case, as ``tests.interop.torture`` does.
"""

from __future__ import annotations

import fcntl
import socket
import struct
import sys
from pathlib import Path
from typing import Final

from tests.interop import torture
from tests.interop.test_torture import server
from tests.support.live import PASSWORD

PORT: Final = 445
_SIOCSIFFLAGS: Final = 0x8914
_UP: Final = struct.pack("16sH14x", b"lo", 0x1)  # struct ifreq with IFF_UP


def main() -> int:
    folder, iptables, *cases = sys.argv[1:]
    with socket.socket() as sock:
        fcntl.ioctl(sock, _SIOCSIFFLAGS, _UP)
    options = (
        "--option=torture:use_iptables=yes",
        f"--option=torture:iptables_command={iptables}",
    )
    peer = server(Path(folder), "ksmbd")
    peer.port = PORT
    peer.start()
    target = torture.Target(
        peer.host, peer.port, "share", "tester", PASSWORD, "tester2", PASSWORD, options
    )
    for case in cases:
        print(torture.run_case(target, case).row(), end="", flush=True)
    peer.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main())
