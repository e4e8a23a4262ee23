"""tests/vm/archive.py: the guest's file tree, without a guest."""

from __future__ import annotations

import shutil
import stat
import subprocess
from pathlib import Path

import pytest

from tests.vm.archive import Tree, linkage, member, merged


def test_a_program_names_its_loader_and_its_libraries() -> None:
    program = shutil.which("true")
    assert program is not None
    found = linkage(Path(program).read_bytes())
    assert found is not None
    assert "libc.so.6" in found.needed
    assert "ld-linux" in found.interpreter


def test_a_script_is_no_program() -> None:
    assert linkage(Path(__file__).read_bytes()) is None


@pytest.mark.parametrize(
    ("path", "where"),
    [("lib64/ld.so", "usr/lib64/ld.so"), ("bin/sh", "usr/bin/sh"), ("library/x", "library/x")],
)
def test_a_path_is_moved_to_where_merged_systems_have_it(path: str, where: str) -> None:
    assert merged(path) == where


def test_a_member_is_padded_to_four_bytes() -> None:
    data = member(1, "abc", stat.S_IFREG | 0o644, b"hello")
    assert data.startswith(b"070701" + b"00000001")
    assert len(data) % 4 == 0


def test_a_link_brings_its_target_and_folders_come_first(tmp_path: Path) -> None:
    (tmp_path / "usr/lib").mkdir(parents=True)
    (tmp_path / "usr/lib/real").write_text("x")
    (tmp_path / "usr/lib/link").symlink_to("real")
    tree = Tree(tmp_path)
    tree.add("usr/lib/link")
    assert list(tree.entries) == ["usr", "usr/lib", "usr/lib/link", "usr/lib/real"]


def test_cpio_reads_what_is_written(tmp_path: Path) -> None:
    tree = Tree(tmp_path)
    tree.put("etc/motd", b"hello\n")
    tree.link("bin", "usr/bin")
    tree.write(tmp_path / "out.cpio")
    with (tmp_path / "out.cpio").open("rb") as archive:
        listing = subprocess.run(
            ["cpio", "-t", "--quiet"], stdin=archive, capture_output=True, text=True, check=True
        )
    names = listing.stdout.split()
    assert {"etc", "etc/motd", "bin", "dev/console", "dev/null"} <= set(names)
    assert names == sorted(names)


def test_the_emulated_machine_sees_the_host_only_as_one_address() -> None:
    # the guest has no default route; this is what keeps its tests on this machine
    script = Path(__file__).with_name("init.sh").read_text()
    assert "route" not in script.replace("no default route", "")
