"""ksmbd-control share-acl: what Samba's sharesec does."""

from __future__ import annotations

from pathlib import Path

import pytest

from control import __main__ as command
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from mountd import share_security

CONF = """\
[global]
\tnetbios name = FILESRV
[Data]
\tpath = /srv/data
[other]
\tpath = /srv/other
"""
EVERYONE = "ACL:Everyone:ALLOWED/0x0/FULL"


class Tool:
    """The command on files of its own."""

    def __init__(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self._capsys = capsys
        (folder / "ksmbd.conf").write_text(CONF)
        (folder / "ksmbdpwd.db").write_text("")
        (folder / "ksmbd.subauth").write_text("111:222:333\n")

    def run(self, *arguments: str) -> tuple[int, list[str], str]:
        files = ["-C", str(self.folder / "ksmbd.conf"), "-P", str(self.folder / "ksmbdpwd.db")]
        status = command.main(["--run-dir", str(self.folder), "share-acl", *arguments, *files])
        told = self._capsys.readouterr()
        return status, told.out.splitlines(), told.err

    def ok(self, *arguments: str) -> list[str]:
        status, lines, errors = self.run("data", *arguments)
        assert status == 0, errors
        assert lines[0] == "[Data]"
        return lines[1:]

    def fails(self, *arguments: str) -> str:
        before = self.kept
        status, lines, errors = self.run("data", *arguments)
        assert (status, lines, self.kept) == (1, [], before)
        return errors

    @property
    def kept(self) -> dict[str, bytes]:
        path = self.folder / share_security.NAME
        return share_security.load(str(path)) if path.exists() else {}


@pytest.fixture
def tool(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Tool:
    return Tool(tmp_path, capsys)


def test_a_share_that_nobody_has_secured_is_everyones(tool: Tool) -> None:
    assert tool.ok() == [EVERYONE]
    assert tool.run()[1] == ["[Data]", EVERYONE, "[other]", EVERYONE]
    assert tool.kept == {}


def test_entries_come_change_and_go(tool: Tool) -> None:
    root = r"ACL:Unix User\root:ALLOWED/0x0/CHANGE"
    assert tool.ok("-a", r"Unix User\root:ALLOWED/0x0/CHANGE") == [EVERYONE, root]
    assert tool.ok("-m", "Everyone:ALLOWED/0x0/READ") == [EVERYONE[:-4] + "READ", root]
    assert tool.ok("-r", "ACL:Everyone:ALLOWED/0x0/READ") == [root]
    kept = SecurityDescriptor.unpack(tool.kept["data"])
    assert kept.control == SELF_RELATIVE | DACL_PRESENT
    assert kept.dacl == Acl((Ace(ACCESS_ALLOWED, 0, 0x001301BF, Sid(22, 1, 0)),))
    assert tool.ok("-D") == [EVERYONE]
    assert tool.kept == {}


def test_what_is_denied_comes_first(tool: Tool) -> None:
    found = tool.ok(
        "-R",
        r"Everyone:ALLOWED/0x0/RX, S-1-5-32-546:denied/0/0x1f01ff,Unix Group\root:DENIED/0x0/W",
    )
    assert found == [
        r"ACL:BUILTIN\Guests:DENIED/0x0/FULL",
        r"ACL:Unix Group\root:DENIED/0x0/0x00120116",
        "ACL:Everyone:ALLOWED/0x0/READ",
    ]
    assert tool.ok("-n")[2] == "ACL:S-1-1-0:ALLOWED/0x0/0x001200a9"
    assert tool.ok("-R", ",".join(found)) == found


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("-a", "Everyone:ALLOWED/0x0/READ"), "has such an entry"),
        (("-m", "Everyone:DENIED/0x0/READ"), "has no such entry"),
        (("-r", "Everyone:ALLOWED/0x0/READ"), "has no entry with these rights"),
        (("-R", "Everyone:ALLOWED/0x0/READ,Everyone:ALLOWED/0x0/FULL"), "has such an entry"),
        (("-a", "no-such-person:ALLOWED/0x0/READ"), "nobody is called 'no-such-person'"),
        (("-a", "S-1-5-99999999999:ALLOWED/0x0/READ"), "no SID"),
        (("-a", "Everyone:ALLOWED/OI/READ"), "expected WHO"),
        (("-a", "Everyone"), "expected WHO"),
        (("-a", "NETWORK:ALLOWED/0x0/SOME"), "expected FULL"),
        (("-a", "NETWORK:ALLOWED/0x0/0x80000000"), "expected FULL"),
        (("-a", "NETWORK:ALLOWED/0x0/0"), "expected FULL"),
        (
            ("-R", ",".join(f"S-1-5-21-1-2-3-{rid}:ALLOWED/0x0/READ" for rid in range(1000))),
            "a share's descriptor has 32768",
        ),
    ],
)
def test_what_cannot_be_is_refused_and_changes_nothing(
    tool: Tool, words: tuple[str, str], why: str
) -> None:
    tool.ok("-m", "Everyone:ALLOWED/0x0/FULL")
    assert why in tool.fails(*words)


def test_a_share_without_who_may_is_told(tool: Tool) -> None:
    status, lines, errors = tool.run("data", "-r", "Everyone:ALLOWED/0x0/FULL")
    assert (status, lines) == (0, ["[Data]"])
    assert "nobody connects to data any more" in errors


def test_only_shares_have_descriptors(tool: Tool) -> None:
    for name in ("none", "global"):
        status, _, errors = tool.run(name)
        assert status == 1
        assert f"there is no share '{name}'" in errors
    status, _, errors = tool.run("-D")
    assert status == 1
    assert "of which share?" in errors
