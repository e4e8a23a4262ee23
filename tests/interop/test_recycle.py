"""The recycle bin on a running server: what smbclient deletes, and what the disk then holds."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.clients import SmbClient
from tests.support.live import LiveServer, open_share

pytestmark = pytest.mark.interop

OPTIONS = {
    "read only": "no",
    "vfs objects": "streams_xattr recycle",
    "recycle:repository": ".trash/%U",
    "recycle:keeptree": "yes",
    "recycle:versions": "yes",
    "recycle:exclude": "*.tmp ~*",
    "recycle:exclude_dir": "cache",
    "recycle:maxsize": "1K",
    "recycle:directory_mode": "0777",
    "recycle:subdir_mode": "0700",
    "recycle:touch": "yes",
    "create mask": "0666",
    "directory mask": "0777",
}


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "recycling"
    with LiveServer(folder, shares=[open_share(folder, OPTIONS)]) as running:
        yield running


def test_deleted_files_are_in_the_bin(server: LiveServer, tmp_path: Path) -> None:
    (tmp_path / "small").write_bytes(b"content")
    (tmp_path / "big").write_bytes(bytes(2048))
    one, two = SmbClient(server, folder=tmp_path), SmbClient(server, user="tester2")
    one.ok("mkdir dir; mkdir dir/cache; put small dir/file; put small dir/x.tmp; put big dir/big")
    one.ok("put small dir/cache/file; put small top")
    one.ok("del dir/file; del dir/x.tmp; del dir/big; del dir/cache/file; del top")
    one.ok("put small dir/file; put small dir/file2; rename dir/file2 dir/other -f")
    one.ok("del dir/file; put small dir/file")
    two.ok("del dir/file")

    disk, trash = server.path(), server.path() / ".trash"
    files = sorted(str(p.relative_to(disk)) for p in disk.rglob("*") if p.is_file())
    assert files == [
        ".trash/tester/dir/Copy #1 of file",
        ".trash/tester/dir/file",
        ".trash/tester/top",
        ".trash/tester2/dir/file",
        "dir/other",
    ]
    mine = trash / "tester"
    assert {(mine / name).read_bytes() for name in ("top", "dir/file")} == {b"content"}
    assert [stat.S_IMODE(p.stat().st_mode) for p in (trash, mine)] == [0o777, 0o700]
    assert mine.stat().st_uid == (mine / "top").stat().st_uid

    assert "Copy #1 of file" in one.ok("ls .trash/tester/dir/*")
    one.ok("deltree dir")
    assert not (disk / "dir").exists()
    assert (mine / "dir/other").exists()
    one.ok("deltree .trash/tester")
    assert not mine.exists()
