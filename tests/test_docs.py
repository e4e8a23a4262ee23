"""The documents against the sources: what they name exists, and what must be told is told.

In documents a file is named by its path from the top of the tree, a class, function or method in it
behind a colon (``ksmbd/commands/write.py:write``), a test behind two (``tests/x.py::test_y``).
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

import control.__main__
import control.addshare
import control.adduser
import discovery.__main__
import ksmbd.__main__
import mountd.__main__
from ksmbd import debug
from ksmbd.commands.table import COMMANDS
from ksmbd.wire.header import Command
from mountd import rpc_document
from mountd.rpc.pipe import PIPES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
TEXTS = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
SPAN = re.compile(r"`([^`\n]+)`")
REFERENCE = re.compile(r"(?P<path>[\w.-]+(?:/[\w.-]+)+/?)(?:::(?P<test>\w+)|:(?P<name>[\w.]+))?")
LINK = re.compile(r"\[[^\]\n]*\]\((?P<target>[^)\s]+)\)")
FOLDERS = {path.name for path in ROOT.iterdir() if path.is_dir()} | {".ci"}
MADE_WHEN_NEEDED = (".venv/", ".run/", ".cache/", "bench/out/", "build/")


def names(text: Path) -> str:
    return text.relative_to(ROOT).as_posix()


def prose(path: Path) -> str:
    """A document without its blocks of code."""
    return re.sub(r"^```.*?^```", "", path.read_text(), flags=re.S | re.M)


def references(path: Path) -> Iterator[re.Match[str]]:
    """What of this tree a document names."""
    for span in SPAN.finditer(prose(path)):
        found = REFERENCE.fullmatch(span[1])
        if found and found["path"].partition("/")[0] in FOLDERS:
            yield found


@cache
def defined(path: Path) -> frozenset[str]:
    """Every class, function, method and constant of a module, with its dots."""

    def below(body: list[ast.stmt], prefix: str) -> Iterator[str]:
        for node in body:
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield prefix + node.name
            if isinstance(node, ast.ClassDef):
                yield from below(node.body, f"{prefix}{node.name}.")
            if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield prefix + node.target.id

    return frozenset(below(ast.parse(path.read_text()).body, ""))


@pytest.mark.parametrize("text", TEXTS, ids=names)
def test_what_a_document_names_exists(text: Path) -> None:
    missing = []
    for found in references(text):
        path = ROOT / found["path"]
        if found["path"].startswith(MADE_WHEN_NEEDED):
            continue
        there = path.exists()
        if there and found["name"]:
            there = found["name"] in defined(path)
        if there and found["test"]:
            there = found["test"] in {name.rpartition(".")[2] for name in defined(path)}
        if not there:
            missing.append(found[0])
    assert missing == []


@pytest.mark.parametrize("text", TEXTS, ids=names)
def test_the_links_of_a_document_lead_somewhere(text: Path) -> None:
    targets = [found["target"].partition("#")[0] for found in LINK.finditer(prose(text))]
    local = [target for target in targets if target and "://" not in target]
    assert [target for target in local if not (text.parent / target).exists()] == []


def test_the_readme_leads_to_every_document() -> None:
    readme = (ROOT / "README.md").read_text()
    assert [names(path) for path in DOCS.rglob("*.md") if f"({names(path)})" not in readme] == []


def table_rows(path: Path) -> Iterator[list[str]]:
    """The cells of every row of every table, without the titles."""
    for line in path.read_text().splitlines():
        if line.startswith("|") and not re.match(r"\|[-:| ]+\|$", line):
            yield [cell.strip() for cell in line.strip("|").split("|")]


# -- the map -----------------------------------------------------------------------------


def test_every_command_is_on_the_map() -> None:
    mapped = (DOCS / "spec-map.md").read_text()
    for command, spec in COMMANDS.items():
        module = spec.handle.__module__.replace(".", "/")
        assert f"`{module}.py:{spec.handle.__name__}`" in mapped, Command(command).name


def test_every_message_of_the_wire_is_on_the_map() -> None:
    mapped = (DOCS / "spec-map.md").read_text()
    commands = {spec.request.__module__ for spec in COMMANDS.values()}
    assert [m for m in commands if f"`{m.replace('.', '/')}.py:" not in mapped] == []


def test_every_check_is_on_the_map() -> None:
    mapped = (DOCS / "spec-map.md").read_text()
    for node in ast.parse((ROOT / "ksmbd/server/checks.py").read_text()).body:
        if isinstance(node, ast.FunctionDef) and "3.3.5" in (ast.get_docstring(node) or ""):
            assert f"`ksmbd/server/checks.py:{node.name}`" in mapped, node.name


# -- RPC ---------------------------------------------------------------------------------


def test_every_rpc_operation_is_told() -> None:
    told = (DOCS / "rpc.md").read_text()
    assert told == rpc_document.markdown(), "run: python -m mountd.rpc_document >docs/rpc.md"
    for offered in PIPES.values():
        for interface in offered:
            assert f"## {interface.name}\n" in told
            for opnum, operation in interface.operations.items():
                assert f"| {opnum} | {operation.name} | " in told


def test_an_rpc_operation_says_where_it_is_specified() -> None:
    silent = [
        operation.name
        for offered in PIPES.values()
        for interface in offered
        for operation in interface.operations.values()
        if operation.refuses is None and operation.handler.__doc__ is None
    ]
    assert silent == []


# -- features ----------------------------------------------------------------------------


def test_every_feature_that_is_not_planned_has_its_test() -> None:
    rows = [row for row in table_rows(DOCS / "features.md") if row[0] != "Feature"]
    assert len(rows) > 30
    for feature, state, proof in rows:
        assert re.match(r"(supported|partly|planned|in preparation)\b", state), feature
        if not state.startswith("planned"):
            assert "::test_" in proof, feature


# of the table in the kernel's Documentation/filesystems/smb/ksmbd.rst -> how our row begins
KERNEL_ROWS = {
    "Dialects. SMB2.1 SMB3.0, SMB3.1.1 dialects": "Dialects",
    "Auto Negotiation": "Auto-negotiation",
    "Compound Request": "Compound requests",
    "Oplock Cache Mechanism": "Oplocks",
    "SMB2 leases(v1 lease)": "Leases, directory leases",
    "Directory leases(v2 lease)": "Leases, directory leases",
    "Multi-credits": "Multi-credit",
    "NTLM/NTLMv2": "NTLMv2",
    "HMAC-SHA256 Signing": "Signing, HMAC-SHA256",
    "Secure negotiate": "Secure negotiate",
    "Signing Update": "Signing, HMAC-SHA256 and AES-128-CMAC",
    "Pre-authentication integrity": "Pre-authentication integrity",
    "SMB3 encryption(CCM, GCM)": "Encryption",
    "SMB direct(RDMA)": "SMB Direct",
    "SMB3 Multi-channel": "Multichannel",
    "Receive Side Scaling mode": "RSS",
    "SMB3.1.1 POSIX extension": "SMB 3.1.1 POSIX extensions",
    "ACLs": "DACLs",
    "Kerberos": "Kerberos",
    "Durable handle v1,v2": "Durable handles",
    "Persistent handle": "Persistent handles",
    "SMB2 notify": "Change notification",
    "Sparse file support": "Sparse files",
    "DCE/RPC support": "DCE/RPC",
    "ksmbd/nfsd interoperability": "nfsd",
    "SMB3.1.1 Compression": "Compression",
    "SMB3.1.1 over QUIC": "SMB over QUIC",
    "Signing/Encryption over RDMA": "Signing and encryption over RDMA",
    "SMB3.1.1 GMAC signing support": "Signing, AES-128-GMAC",
}


def test_every_row_of_the_kernel_s_table_is_there() -> None:
    ours = [row[0] for row in table_rows(DOCS / "features.md")]
    assert [k for k, row in KERNEL_ROWS.items() if not any(o.startswith(row) for o in ours)] == []


# -- locks -------------------------------------------------------------------------------


def locks() -> Iterator[tuple[str, str]]:
    """Every lock that is made in ksmbd and mountd: the file, and Class.attribute or the name."""
    for package in ("ksmbd", "mountd"):
        for path in sorted((ROOT / package).rglob("*.py")):
            for outer in ast.parse(path.read_text()).body:
                for node in ast.walk(outer):
                    made = isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None
                    if made and re.search(r"\b(Lock|RLock)\b(\(\)|\))", ast.unparse(node.value)):
                        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
                        name = ast.unparse(target).removeprefix("self.")
                        owner = f"{outer.name}." if isinstance(outer, ast.ClassDef) else ""
                        yield names(path), owner + name


def test_the_search_for_locks_finds_them() -> None:
    found = set(locks())
    assert ("ksmbd/state/open.py", "Open.scan_lock") in found
    assert ("mountd/rpc/pipe.py", "Pipe.lock") in found
    assert ("ksmbd/vfs/credentials.py", "_own_lock") in found


def test_every_lock_is_told() -> None:
    text = (DOCS / "locking.md").read_text()
    missing = []
    for path, lock in locks():
        told = f"`{lock}` in `{path}`" if "." not in lock else f"`{lock}`"
        if told not in text:
            missing.append(f"{path}: {lock}")
    assert missing == []


def test_every_lock_that_is_told_is_there() -> None:
    there = {lock for _, lock in locks()}
    first = [row[0] for row in table_rows(DOCS / "locking.md")]
    told = {found[1] for cell in first for found in re.finditer(r"`(\w*\.?\w*[a-z]\w*)`", cell)}
    assert {lock for lock in told if lock not in there} == set()


# -- attacks -----------------------------------------------------------------------------


def test_every_class_of_attack_has_its_test() -> None:
    rows = [row for row in table_rows(DOCS / "security.md") if re.match(r"[A-Z]\. ", row[0])]
    assert [row[0][0] for row in rows] == [chr(code) for code in range(ord("A"), ord("X") + 1)]
    for name, tried, proof in rows:
        assert tried, name
        assert "::test_" in proof, name


# -- acting as oneself -------------------------------------------------------------------


def acts_as_itself(node: ast.AST) -> bool:
    """Whether a piece of source is a call that gives a thread the server's own power."""
    if not isinstance(node, ast.Call):
        return False
    name = ast.unparse(node.func).removeprefix("credentials.")
    return name in ("privileged", "holding") or ast.unparse(node).endswith("become(None)")


def places_of_power() -> Iterator[str]:
    for path in sorted((ROOT / "ksmbd").rglob("*.py")):
        if path.name == "credentials.py":
            continue
        for outer in ast.parse(path.read_text()).body:
            owner = f"{outer.name}." if isinstance(outer, ast.ClassDef) else ""
            for inner in outer.body if isinstance(outer, ast.ClassDef) else [outer]:
                if isinstance(inner, ast.FunctionDef) and any(map(acts_as_itself, ast.walk(inner))):
                    yield f"{names(path)}:{owner}{inner.name}"


def test_every_place_where_the_server_acts_as_itself_is_told() -> None:
    found = list(places_of_power())
    assert "ksmbd/vfs/handle.py:Handle.is_empty" in found
    text = (DOCS / "security.md").read_text()
    assert [place for place in found if f"`{place}`" not in text] == []


# -- programs and their manual pages -----------------------------------------------------


def sub_parsers(parser: argparse.ArgumentParser) -> Iterator[argparse.ArgumentParser]:
    yield parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            yield from action.choices.values()


def options(parser: argparse.ArgumentParser) -> set[str]:
    """Every option of a program and its commands."""
    return {
        option
        for each in sub_parsers(parser)
        for action in each._actions
        for option in action.option_strings
    }


class Shown(Exception):
    """A parser was about to read the command line."""


def parser_of(main: object, monkeypatch: pytest.MonkeyPatch) -> argparse.ArgumentParser:
    """The parser that a program makes for itself."""
    made: list[argparse.ArgumentParser] = []

    def keep(self: argparse.ArgumentParser, *_: object, **__: object) -> None:
        made.append(self)
        raise Shown

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", keep)
    assert callable(main)
    with pytest.raises(Shown):
        main([])
    return made[0]


PROGRAMS = {
    "ksmbd": ksmbd.__main__.serve,
    "ksmbd-mountd": mountd.__main__.main,
    "ksmbd-control": control.__main__.main,
    "ksmbd-discovery": discovery.__main__.main,
    "ksmbd-adduser": control.adduser.main,
    "ksmbd-addshare": control.addshare.main,
}


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_manual_page_has_the_options_of_its_program(
    program: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    page = (DOCS / f"man/{program}.8").read_text()
    told = {word.replace("\\", "") for word in re.findall(r"(?<!\w)(?:\\-){1,2}[\w\\-]+", page)}
    assert told == options(parser_of(PROGRAMS[program], monkeypatch))
    assert f".TH {program.upper().replace('-', chr(92) + '-')} 8" in page


@pytest.mark.parametrize("page", sorted(DOCS.glob("man/*.[158]")), ids=names)
def test_a_manual_page_has_its_parts_and_names_pages_that_exist(page: Path) -> None:
    text = page.read_text()
    for part in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert f".SH {part}\n" in text
    pages = {path.name for path in DOCS.glob("man/*")}
    for name, section in re.findall(r"^\.BR ([\w.\\-]+) \((\d)\)", text, re.M):
        name = name.replace("\\", "")
        if name.startswith("ksmbd"):
            assert f"{name}.{section}" in pages


def test_every_debug_component_is_told() -> None:
    text = (DOCS / "administration.md").read_text()
    assert [c for c in debug.COMPONENTS if f"| `{c}` |" not in text] == []


def test_every_target_of_the_makefile_in_a_document_is_there() -> None:
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.M))
    for text in TEXTS:
        used = re.findall(r"(?:^|[`])make ([a-z]+)\b", text.read_text(), re.M)
        assert set(used) <= targets, names(text)
