"""install/: what is laid where, that it runs from there, and the Debian package."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import install.deb
import ksmbd
from install import layout

ROOT = Path(__file__).parents[1]
needs_dpkg = pytest.mark.skipif(shutil.which("dpkg-deb") is None, reason="no dpkg-deb here")


@pytest.fixture(scope="module")
def laid(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An installation below a folder, run by the Python of the tests."""
    root = tmp_path_factory.mktemp("laid")
    layout.stage(root, "/usr", sys.executable)
    return root


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return install.deb.build(tmp_path_factory.mktemp("deb"))


def run(*command: str | Path) -> str:
    return subprocess.run(
        command, check=True, capture_output=True, text=True, cwd="/", timeout=60
    ).stdout


@pytest.mark.parametrize("name", [*layout.PROGRAMS, *layout.ALIASES])
def test_every_program_runs_from_where_it_lies(laid: Path, name: str) -> None:
    assert "usage: " in run(laid / "usr/sbin" / name, "--help")


def test_an_account_is_made_and_the_server_finds_its_daemon(laid: Path, tmp_path: Path) -> None:
    conf, accounts = tmp_path / "ksmbd.conf", tmp_path / "ksmbdpwd.db"
    conf.write_text(f"[data]\n path = {tmp_path}\n")
    files = ("-C", conf, "-P", accounts)
    run(laid / "usr/sbin/ksmbd.adduser", *files, "-a", "-p", "secret", "alice")
    command = [laid / "usr/sbin/ksmbd", "--with-mountd", "--run-dir", tmp_path / "run", *files]
    with subprocess.Popen(
        [*command, "--port", "0", "--bind", "127.0.0.1"], stdout=subprocess.PIPE, text=True, cwd="/"
    ) as server:
        assert server.stdout is not None
        ready = server.stdout.readline()
        server.terminate()
        assert ready.startswith("ksmbd: ready on 127.0.0.1:")
        assert server.wait(30) == 0


def test_every_program_has_its_manual_page_and_every_entry_point_its_program(laid: Path) -> None:
    for name in layout.PROGRAMS:
        page = gzip.decompress((laid / f"usr/share/man/man8/{name}.8.gz").read_bytes())
        assert page == (ROOT / f"docs/man/{name}.8").read_bytes()
    project = (ROOT / "pyproject.toml").read_text().partition("[project.scripts]")[2]
    named = re.findall(r'^"?([\w.-]+)"? = "([\w.]+):main"$', project, re.M)
    assert dict(named) == layout.PROGRAMS | {
        alias: layout.PROGRAMS[name] for alias, name in layout.ALIASES.items()
    }


def test_the_programs_of_the_units_are_there(laid: Path) -> None:
    started = set()
    for unit in sorted((laid / "usr/lib/systemd/system").iterdir()):
        for program in re.findall(r"^Exec\w+=(ksmbd[\w-]*)", unit.read_text(), re.M):
            assert (laid / "usr/sbin" / program).exists(), f"{unit.name}: {program}"
            started.add(program)
    assert started >= {"ksmbd", "ksmbd-mountd", "ksmbd-discovery"}


def test_a_second_installation_leaves_what_the_administrator_has_changed(tmp_path: Path) -> None:
    layout.stage(tmp_path, "/usr", "/usr/bin/python3")
    options = tmp_path / "etc/default/ksmbd"
    options.write_text("KSMBD_OPTIONS=--max-workers 64\n")
    gone = tmp_path / "usr/share/ksmbd/ksmbd/of_the_version_before.py"
    gone.touch()
    layout.stage(tmp_path, "/usr", "/usr/bin/python3")
    assert options.read_text() == "KSMBD_OPTIONS=--max-workers 64\n"
    assert not gone.exists()


def test_what_python_lacks_is_told(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(layout, "NEEDED", ("os", "no_such_module"))
    assert layout.main(["--python", sys.executable]) == 1
    assert "has no module no_such_module" in capsys.readouterr().err


def test_make_installs_below_a_folder(tmp_path: Path) -> None:
    run("make", "-s", "-C", ROOT, "install", f"DESTDIR={tmp_path}", "PREFIX=/opt/files")
    assert (tmp_path / "opt/files/sbin/ksmbd").stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "opt/files/lib/systemd/system/ksmbd.service").exists()


# -- the package -------------------------------------------------------------------------


@needs_dpkg
def test_the_package_says_what_it_is_and_needs(package: Path) -> None:
    def field(name: str) -> str:
        return run("dpkg-deb", "-f", package, name).strip()

    assert package.name == f"ksmbd_{ksmbd.__version__}_all.deb"
    assert (field("Package"), field("Version")) == ("ksmbd", ksmbd.__version__)
    # ksmbd-tools has programs and a unit of the same names
    assert field("Conflicts") == "ksmbd-tools"
    needed = (ROOT / "pyproject.toml").read_text()
    (least,) = re.findall(r'"cryptography>=(\d+)"', needed)
    assert f"python3-cryptography (>= {least})" in field("Depends")
    assert "@" not in run("dpkg-deb", "-f", package).replace("ksmbd@localhost", "")


@needs_dpkg
def test_the_package_has_scripts_that_a_shell_can_read(package: Path, tmp_path: Path) -> None:
    run("dpkg-deb", "-e", package, tmp_path)
    for script in (*install.deb.SCRIPTS, str(ROOT / "install/settle")):
        run("sh", "-n", tmp_path / script)
        assert (tmp_path / script).stat().st_mode & 0o777 == 0o755
    assert (tmp_path / "conffiles").read_text() == "/etc/default/ksmbd\n"


@needs_dpkg
def test_everything_in_the_package_is_root_s_and_readable(package: Path) -> None:
    lines = run("dpkg-deb", "-c", package).splitlines()
    assert len(lines) > 200
    assert [line for line in lines if line.split()[1] != "root/root"] == []
    wrong = [line for line in lines if line[0] != "l" and line[1:10] not in GOOD[line[0]]]
    assert wrong == []


GOOD = {"d": ("rwxr-xr-x",), "-": ("rw-r--r--", "rwxr-xr-x")}


@needs_dpkg
def test_a_package_is_the_same_whenever_it_is_built(package: Path, tmp_path: Path) -> None:
    before = dict(os.environ)
    assert install.deb.build(tmp_path).read_bytes() == package.read_bytes()
    assert os.environ == before


@needs_dpkg
def test_another_version_says_so_when_it_runs(tmp_path: Path) -> None:
    run("dpkg-deb", "-x", install.deb.build(tmp_path, "99.0"), tmp_path / "laid")
    script = (tmp_path / "laid/usr/sbin/ksmbd").read_text().splitlines()
    assert script[0] == f"#!{install.deb.PYTHON} -I"
    assert "99.0" in (tmp_path / "laid/usr/share/ksmbd/ksmbd/__init__.py").read_text()
