"""What smbcacls sets, hands down and takes back, on a share that stores descriptors."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import SmbClient, account, program, run
from tests.support.live import LiveServer, LiveShare
from tests.support.namespaces import own_network

pytestmark = [
    pytest.mark.interop,
    pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a network of its own"),
]
READ = "ACL:Everyone:ALLOWED/OI|CI/READ"
CHANGE = "ACL:Everyone:ALLOWED/OI|CI/CHANGE"


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    """Its files: a tree of three directories, a file in each."""
    folder = real_folder / "smbcacls"
    options = {"read only": "no", "vfs objects": "acl_xattr"}
    share = LiveShare("share", folder / "share", options)
    # smbcacls knows no port but 445
    with own_network(), LiveServer(folder, shares=[share], port=445) as made:
        client = SmbClient(made)
        for path in ("top", "top/sub", "top/sub/deep"):
            client.ok(f"mkdir {path}")
            client.ok(f"put /etc/hostname {path}/file")
        yield made


def smbcacls(server: LiveServer, path: str, *arguments: str) -> list[str]:
    """What it prints, line by line."""
    words = [program("smbcacls"), server.unc(), path, *account("tester")]
    answer = run([*words, "--configfile=/dev/null", *arguments])
    assert answer.status == 0, answer.text
    return answer.text.splitlines()


def entries(server: LiveServer, path: str) -> list[str]:
    """Those for Everyone."""
    return [line for line in smbcacls(server, path) if line.startswith("ACL:Everyone:")]


@pytest.mark.parametrize(
    "flags", ["0x0", "OI", "CI", "OI|CI", "OI|CI|IO", "OI|NP", "CI|NP", "OI|CI|NP|IO", "OI|CI|I"]
)
def test_an_entry_is_read_back_with_its_flags(server: LiveServer, flags: str) -> None:
    client = SmbClient(server)
    client.ok("mkdir flags")
    try:
        before = smbcacls(server, "flags")
        smbcacls(server, "flags", "-a", f"ACL:Everyone:DENIED/{flags}/0x00000040")
        assert f"ACL:Everyone:DENIED/{flags}/0x00000040" in smbcacls(server, "flags")
        smbcacls(server, "flags", "-D", f"ACL:Everyone:DENIED/{flags}/0x00000040")
        assert sorted(smbcacls(server, "flags")) == sorted(before)
    finally:
        client.ok("rmdir flags")


def test_an_entry_is_handed_down_and_taken_back(server: LiveServer) -> None:
    """``--propagate-inheritance``: the client writes the whole tree."""
    paths = ("top/file", "top/sub", "top/sub/file", "top/sub/deep", "top/sub/deep/file")
    smbcacls(server, "top", "--propagate-inheritance", "-a", READ)
    assert READ in entries(server, "top")
    for path in paths:
        flags = "I" if path.endswith("file") else "OI|CI|I"
        assert f"ACL:Everyone:ALLOWED/{flags}/READ" in entries(server, path)
    smbcacls(server, "top", "--propagate-inheritance", "-M", CHANGE)
    for path in paths:
        assert any(re.search(r"I/CHANGE$", entry) for entry in entries(server, path)), path
    smbcacls(server, "top", "--propagate-inheritance", "-D", CHANGE)
    for path in ("top", *paths):
        assert not [entry for entry in entries(server, path) if entry.endswith("CHANGE")], path


def test_what_is_inherited_may_be_kept_as_one_s_own(server: LiveServer) -> None:
    """``-I copy`` protects the descriptor, ``-I allow`` lets it inherit again."""
    smbcacls(server, "top/sub", "-a", "ACL:Everyone:ALLOWED/OI|CI|I/READ")
    smbcacls(server, "top/sub", "-I", "copy")
    told = smbcacls(server, "top/sub")
    assert READ in told
    assert any(re.match(r"CONTROL:.*PD", line) for line in told), told
    assert not [line for line in told if re.match(r"ACL:.*\|I/", line)]
    smbcacls(server, "top/sub", "-I", "allow")
    told = smbcacls(server, "top/sub")
    assert not any(re.match(r"CONTROL:.*PD", line) for line in told), told
