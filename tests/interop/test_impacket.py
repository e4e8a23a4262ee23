"""What impacket's programs lookupsid, samrdump, rpcdump and their like find over RPC."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import run
from tests.interop.test_administration import settings
from tests.support import impacket
from tests.support.live import PASSWORD, ROOT, USERS, LiveServer, open_share

pytestmark = pytest.mark.interop

CALLS = ROOT / "tests" / "interop" / "impacket_calls.py"
ACCOUNTS = ("daemon", "games")  # users of the machine, so that they have RIDs

FOUND = {
    "lookupsid": [
        r"^domain S-1-5-21-\d+-\d+-\d+$",
        r"^1: KSMBD\\daemon$",
        r"^513: KSMBD\\None$",
    ],
    "samrdump": [
        r"^domain KSMBD$",
        r"^user daemon \(1\) 1 0x[0-9a-f]+$",
        r"^user games \(\d+\) \d+ 0x[0-9a-f]+$",
        r"^domain Builtin$",
    ],
    "rpcdump": [
        r"^4b324fc8-1670-01d3-1278-5a47bf6ee188 .*\\pipe\\srvsvc.* srvsvc$",
        r"^12345778-1234-abcd-ef00-0123456789ab .*\\pipe\\lsass.* lsarpc$",
        r"^srvs is on ncacn_np:SERVER\[\\pipe\\srvsvc\]$",
    ],
    "rpcmap": [
        r"^12345778-1234-abcd-ef00-0123456789ac v1\.0$",
        r"^afa8bd80-7d8a-11c9-bef4-08002b102989 v1\.0$",
        r"^listening 0$",
    ],
    "netview": [
        r"^share share 0x0$",
        r"^share IPC\$ 0x80000003$",
        r"^server KSMBD 0x[0-9a-f]*3$",
        r"^session tester2 idle 0$",
        r"^file \\PIPE\\srvsvc of tester2$",
        r"^station KSMBD in WORKGROUP$",
    ],
    "reg": [r"^ProductType ServerNT"],
    "unknown": [
        r"^lsarpc: .*abstract_syntax_not_supported",
        r"^atsvc: .*STATUS_OBJECT_NAME_NOT_FOUND",
    ],
}


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "impacket"
    users = {**USERS, **dict.fromkeys(ACCOUNTS, PASSWORD)}
    shares = [open_share(folder, {"read only": "no"})]
    with LiveServer(folder, shares=shares, users=users, globals_=settings()) as running:
        yield running


@pytest.mark.parametrize("program", FOUND)
def test_impacket_finds_what_there_is(server: LiveServer, program: str) -> None:
    python = impacket.interpreter()
    words = [str(python), str(CALLS), program, server.host, str(server.port), "tester2", PASSWORD]
    answer = run(words)
    assert answer.status == 0, answer.text
    for pattern in FOUND[program]:
        assert re.search(pattern, answer.text, re.M), f"{pattern} is not in\n{answer.text}"
    assert server.running, server.tail()
