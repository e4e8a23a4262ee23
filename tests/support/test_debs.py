"""tests/support/debs.py: whose mirror, which cache, and what an unpacked tree looks like."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.debs import NoPackages, cache_folder, mirror, mirror_in, run_inside, unpack


@pytest.mark.parametrize(
    "text",
    [
        "deb http://mirror.example/debian bookworm main\n",
        "# deb http://old.example/debian x\ndeb [arch=amd64] http://mirror.example/debian/ x y\n",
        "Types: deb\nURIs: http://mirror.example/debian\nSuites: bookworm\n",
    ],
)
def test_the_mirror_is_read_from_either_form_of_source(text: str) -> None:
    assert mirror_in(text) == "http://mirror.example/debian"


def test_another_vendors_source_is_no_mirror() -> None:
    assert mirror_in("deb https://packages.example/node nodistro main\n") is None


def test_the_first_source_with_a_mirror_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("DEBIAN_MIRROR", raising=False)
    (tmp_path / "sources.list.d").mkdir()
    with pytest.raises(NoPackages, match="DEBIAN_MIRROR"):
        mirror(tmp_path)
    (tmp_path / "sources.list.d" / "a.list").write_text("deb http://x.example/other x y\n")
    (tmp_path / "sources.list.d" / "b.sources").write_text("URIs: http://y.example/debian\n")
    assert mirror(tmp_path) == "http://y.example/debian"
    monkeypatch.setenv("DEBIAN_MIRROR", "http://z.example/debian")
    assert mirror(tmp_path) == "http://z.example/debian"


def test_the_cache_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    monkeypatch.delenv("KSMBD_TEST_CACHE", raising=False)
    assert cache_folder() == Path("/somewhere/ksmbd-tests")
    monkeypatch.setenv("KSMBD_TEST_CACHE", "/elsewhere")
    assert cache_folder() == Path("/elsewhere")


def test_an_archive_is_unpacked_below_usr_whatever_it_says(tmp_path: Path) -> None:
    package = tmp_path / "package"
    for name in ("bin/tool", "usr/lib/libtool.so", "usr/share/doc/tool/README"):
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (package / "DEBIAN").mkdir()
    (package / "DEBIAN/control").write_text(
        "Package: tool\nVersion: 1\nArchitecture: all\nMaintainer: a <a@b.c>\nDescription: d\n"
    )
    archive = tmp_path / "tool_1_all.deb"
    subprocess.run(["dpkg-deb", "-b", package, archive], check=True, stdout=subprocess.DEVNULL)
    unpack([archive], tmp_path / "tree")
    assert (tmp_path / "tree/usr/bin/tool").read_text() == "bin/tool"
    assert (tmp_path / "tree/bin").is_symlink()
    assert (tmp_path / "tree/lib/libtool.so").exists()
    assert not (tmp_path / "tree/usr/share/doc").exists()


def test_a_program_runs_with_the_libraries_of_its_tree(tmp_path: Path) -> None:
    words = run_inside(tmp_path, tmp_path / "usr/bin/tool", "-x")
    library = f"{tmp_path}/usr/lib/x86_64-linux-gnu"
    assert words[0] == f"{library}/ld-linux-x86-64.so.2"
    assert words[1:3] == ["--library-path", library]
    assert words[3:] == [f"{tmp_path}/usr/bin/tool", "-x"]
