"""From the kernel's stat to ours."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest

from ksmbd.vfs.stat import default_attributes, fs_stat, is_special, stat_from
from ksmbd.wire.access import ATTR_ARCHIVE, ATTR_DIRECTORY, ATTR_HIDDEN


def test_every_field_arrives(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"x" * 5000)
    os.utime(tmp_path / "f", ns=(1_000_000_001, 2_000_000_002))
    st = (tmp_path / "f").stat()
    found = stat_from(st, 3, 77)
    assert (found.dev, found.ino, found.mode) == (st.st_dev, st.st_ino, st.st_mode)
    assert (found.nlink, found.uid, found.gid) == (1, st.st_uid, st.st_gid)
    assert (found.size, found.allocation) == (5000, st.st_blocks * 512)
    assert (found.birth, found.access, found.write) == (77, 1_000_000_001, 2_000_000_002)
    assert (found.change, found.attributes) == (st.st_ctime_ns, 3)
    assert (found.is_directory, found.rdev, found.reparse_tag) == (False, 0, 0)


def test_without_a_birth_time_the_earliest_time_stands_in(tmp_path: Path) -> None:
    (tmp_path / "f").touch()
    os.utime(tmp_path / "f", ns=(5, 9))
    assert stat_from((tmp_path / "f").stat(), 0, None).birth == 5


def test_directories_have_the_attribute_and_no_size(tmp_path: Path) -> None:
    found = stat_from(tmp_path.stat(), 0, 0)
    assert (found.attributes, found.size, found.allocation) == (ATTR_DIRECTORY, 0, 0)
    assert stat_from(tmp_path.stat(), 0, 0, True).attributes == ATTR_DIRECTORY | ATTR_HIDDEN


@pytest.mark.parametrize(
    ("kind", "special", "attributes"),
    [
        (stat.S_IFREG, False, ATTR_ARCHIVE),
        (stat.S_IFDIR, False, 0),
        (stat.S_IFLNK, False, 0),
        (stat.S_IFIFO, True, 0),
        (stat.S_IFSOCK, True, 0),
        (stat.S_IFCHR, True, 0),
        (stat.S_IFBLK, True, 0),
    ],
)
def test_kinds_of_files(kind: int, special: bool, attributes: int) -> None:
    assert is_special(kind | 0o644) is special
    assert default_attributes(kind | 0o644) == attributes


def test_fs_stat_counts_in_its_own_blocks(tmp_path: Path) -> None:
    fd = os.open(tmp_path, os.O_PATH)
    found = fs_stat(fd)
    os.close(fd)
    answer = os.statvfs(tmp_path)
    assert found.block_size * found.blocks == answer.f_frsize * answer.f_blocks
    assert found.name_max == answer.f_namemax
