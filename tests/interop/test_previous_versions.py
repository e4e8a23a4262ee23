"""Samba's clients and the past of a share: two snapshots, made as directories."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import torture
from tests.interop.clients import SmbClient, program
from tests.support.live import PASSWORD, LiveServer, LiveShare

pytestmark = pytest.mark.interop

FIRST, SECOND = "@GMT-2026.01.02-03.04.05", "@GMT-2026.02.03-04.05.06"


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "past"
    path = folder / "share"
    for number, name in enumerate((FIRST, SECOND), 1):
        copy = path / ".snapshots" / name
        (copy / "subdir").mkdir(parents=True)
        (copy / "file").write_text(f"version {number}")
        (copy / "subdir" / "hardlink").write_text(f"version {number}")
        os.setxattr(copy / "file", "user.DosStream.stream:$DATA", b"old")
    (path / "subdir").mkdir()
    (path / "subdir" / "hardlink").write_text("now")
    (path / "file").write_text("now")
    for each in (path, *path.rglob("*")):
        each.chmod(0o777)
    options = {
        "read only": "no",
        "vfs objects": "streams_xattr shadow_copy2",
        "shadow:snapdir": str(path / ".snapshots"),
        "shadow:basedir": str(path),
    }
    with LiveServer(folder, shares=[LiveShare("share", path, options)]) as running:
        yield running


def test_each_version_is_listed_and_read(server: LiveServer, tmp_path: Path) -> None:
    client = SmbClient(server, folder=tmp_path)
    told = client.ok("allinfo file")
    assert FIRST in told
    assert told.index(SECOND) < told.index(FIRST)
    client.ok(f"get {FIRST}/file one; get {SECOND}/file two; get file now")
    texts = [(tmp_path / name).read_text() for name in ("one", "two", "now")]
    assert texts == ["version 1", "version 2", "now"]


def test_a_directory_is_listed_as_it_was(server: LiveServer, tmp_path: Path) -> None:
    client = SmbClient(server, folder=tmp_path)
    (server.path() / "since").write_text("")
    now, then = client.ok("ls"), client.ok(f"cd {FIRST}; ls")
    assert "since" in now
    assert "since" not in then
    assert "subdir" in then
    assert ".snapshots" not in now


def test_nothing_is_put_into_the_past(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "new").write_text("data")
    client = SmbClient(server, folder=tmp_path)
    for command in (f"put new {FIRST}/new", f"put new {FIRST}/file", f"mkdir {FIRST}/d"):
        assert "NT_STATUS_MEDIA_WRITE_PROTECTED" in client.run(command), command
    client.run(f"del {FIRST}/file")
    copy = server.path() / ".snapshots" / FIRST
    assert sorted(os.listdir(copy)) == ["file", "subdir"]
    assert (copy / "file").read_text() == "version 1"


@pytest.mark.parametrize("case", ["write", "stream", "openroot", "listdir"])
def test_smbtorture(server: LiveServer, case: str) -> None:
    program("smbtorture")
    target = torture.Target(
        *(server.host, server.port, "share", "tester", PASSWORD),
        options=(
            "--option=torture:twrp_file=file",
            "--option=torture:twrp_stream=stream",
            "--option=torture:twrp_stream_size=3",
            f"--option=torture:twrp_snapshot={FIRST}",
        ),
    )
    known = torture.cases(target, "smb2.twrp")
    name = f"smb2.twrp.{case}"
    assert name in known
    result = torture.run_case(target, name)
    assert result.passed, result
