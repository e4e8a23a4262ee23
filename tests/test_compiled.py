"""install/compiled.py: the hot modules as machine code, and the server that knows of it."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import ksmbd.compiled
from bench.__main__ import SMOKE
from bench.__main__ import run as measure
from bench.contenders import OURS
from bench.rows import ROWS
from install import compiled, layout
from ksmbd.compiled import MANIFEST
from tests.interop import torture
from tests.interop.clients import program
from tests.interop.test_torture import OPTIONS, UNPRIVILEGED, run
from tests.support.live import LiveServer, open_share

ROOT = Path(__file__).parents[1]


def classes() -> Iterator[tuple[str, str, list[str]]]:
    """File, name and bases of each class of the server."""
    for path in sorted((ROOT / "ksmbd").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef):
                bases = [ast.unparse(base).partition("[")[0] for base in node.bases]
                yield str(path.relative_to(ROOT)), node.name, bases


def test_a_class_is_compiled_where_its_base_is() -> None:
    hot = set(compiled.sources())
    assert all((ROOT / name).exists() for name in hot)
    made = list(classes())
    native = {name for file, name, _ in made if file in hot and name != "Message"}
    for file, name, bases in made:
        if file not in hot:
            assert not native.intersection(bases), f"{file}: {name}"


def test_what_mypyc_evaluates_twice_has_no_effect() -> None:
    """The bounds of a slice, where it is no list's, tuple's, str's or bytes'."""
    harmless = {"len", "min", "max"}
    for name in compiled.sources():
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Slice):
                called = [part.func for part in ast.walk(node) if isinstance(part, ast.Call)]
                assert {ast.unparse(each) for each in called} <= harmless, f"{name}:{node.lower}"


def test_a_slice_that_is_kept_is_taken_of_views_alone() -> None:
    """Of bytes or str, machine code takes what is not written out as a slice for an index."""
    of_views = {"ksmbd/server/unsealing.py", "ksmbd/crypto/sealing.py"}
    for name in set(compiled.sources()) - of_views:
        for node in ast.walk(ast.parse((ROOT / name).read_text())):
            if isinstance(node, ast.Call):
                assert ast.unparse(node.func) != "slice", f"{name}:{node.lineno}"


def test_what_is_compiled_keeps_nothing_by_thread() -> None:
    """Attributes of a compiled threading.local are one for all threads."""
    own = {name for _, name, _ in classes()}
    known = {"NamedTuple", "Protocol", "Generic", "Enum", "IntEnum"}
    for file, name, bases in classes():
        if file in compiled.sources():
            assert set(bases) <= own | known, f"{file}: {name}"


def test_without_a_compiler_nothing_is_made_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    before = tmp_path / "out" / "of-before"
    before.mkdir(parents=True)
    monkeypatch.setenv("CC", "no-such-compiler -pthread")
    assert compiled.main([str(tmp_path / "out")]) == 1
    assert "no C compiler: no-such-compiler is missing" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["out"]
    assert before.exists()


def test_sources_that_were_changed_since_are_named(tmp_path: Path) -> None:
    package = tmp_path / "ksmbd"
    package.mkdir()
    assert ksmbd.compiled.stale(package) == []
    (package / "a.py").write_text("a = 1\n")
    sums = {f"ksmbd/{name}.py": ksmbd.compiled.digest(package / "a.py") for name in "ab"}
    (package / MANIFEST).write_text(json.dumps(sums))
    assert ksmbd.compiled.stale(package) == ["ksmbd/b.py"]
    (package / "a.py").write_text("a = 2\n")
    assert ksmbd.compiled.stale(package) == ["ksmbd/a.py", "ksmbd/b.py"]


# -- a part of them, compiled in a hurry -------------------------------------------------


FEW = [
    *(f"ksmbd/server/{name}.py" for name in ("dispatch", "reader", "checks", "outbox", "watchdog")),
    "ksmbd/server/tcp.py",
    *(f"ksmbd/state/{name}.py" for name in ("work", "outbound", "connection", "credits")),
    *(f"ksmbd/commands/{name}.py" for name in ("echo", "read", "write")),
]
SUITES = ("smb2.read", "smb2.rw", "smb2.compound", "smb2.credits", "smb2.compound_async")
ROW = "^(echo|random 4 KiB (read|write), 8 connections)"


@pytest.fixture(scope="module")
def few(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the packages with FEW compiled, not optimised: what takes the compiler long."""
    folder = tmp_path_factory.mktemp("few") / "compiled"
    compiled.build(folder, FEW, level=0)
    return folder


def environment(folder: Path) -> dict[str, str]:
    return {"PYTHONSAFEPATH": "1", "PYTHONPATH": f"{folder}:{ROOT}"}


def run_in(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        env={**os.environ, **environment(folder)},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


@pytest.mark.timeout(600)
def test_the_version_says_how_much_is_compiled(few: Path) -> None:
    told = run_in(few, "ksmbd", "--version").stdout
    assert told == f"ksmbd version : {ksmbd.__version__} ({len(FEW)} modules compiled)\n"


@pytest.mark.timeout(600)
def test_the_time_inside_is_taken_of_both_builds(few: Path) -> None:
    """Machine code refuses a stand-in for its own TcpTransport."""
    told = run_in(few, "bench.inside", "echo", "write-4k", "--seconds", "0.05").stdout
    build, *rows = told.splitlines()
    assert build.endswith(f" ({len(FEW)} modules compiled)")
    assert [row.split()[0] for row in rows] == ["echo", "write-4k"]


@pytest.mark.timeout(600)
def test_sources_that_do_not_fit_are_refused(few: Path, tmp_path: Path) -> None:
    edited = tmp_path / "edited"
    shutil.copytree(few, edited)
    with (edited / FEW[0]).open("a") as file:
        file.write("# edited\n")
    told = run_in(edited, "ksmbd", "--run-dir", str(tmp_path))
    assert told.returncode == 1
    assert f"changed since they were compiled, compile again: {FEW[0]}" in told.stdout


@pytest.mark.timeout(600)
def test_an_installation_has_what_was_compiled_and_only_for_its_python(
    few: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    layout.stage(tmp_path, "/usr", sys.executable, few)
    told = subprocess.run([tmp_path / "usr/sbin/ksmbd", "-V"], capture_output=True, text=True)
    assert f"({len(FEW)} modules compiled)" in told.stdout
    other = tmp_path / "python"
    other.write_text("#!/bin/sh\necho .cpython-999.so\n")
    other.chmod(0o755)
    options = ["--destdir", str(tmp_path), "--python", str(other), "--compiled", str(few)]
    assert layout.main(options) == 1
    assert f"make compiled PYTHON3={other}" in capsys.readouterr().err


@pytest.mark.interop
@pytest.mark.timeout(600)
def test_smbtorture_and_load_find_no_difference(few: Path, real_folder: Path) -> None:
    program("smbtorture")
    gaps = torture.read_gaps(torture.GAPS.read_text())
    plan = SMOKE._replace(rows=tuple(row for row in ROWS if re.search(ROW, row.name)))
    folder = real_folder / "compiled"
    share = open_share(folder, OPTIONS)
    told = environment(few)
    with LiveServer(folder, shares=[share], globals_=UNPRIVILEGED, environment=told) as server:
        found = [result for suite in SUITES for result in run(server, suite)]
        assert torture.judge(found, gaps) == []
        assert [one.error for one in measure({OURS: server}, plan) if one.error] == []
