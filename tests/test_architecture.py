"""The floors of docs/architecture.md, section 2, checked by reading the sources.

A failing test names the module, the line and the rule.  An exception to a rule is a row of one of
the tables below, with its reason; there is no other way to make one.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import pytest

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("ksmbd", "mountd", "control", "discovery")

FLOOR: Final = {
    "wire": 1,
    "crypto": 2,
    "ipc": 2,
    "auth": 3,
    "vfs": 3,
    "state": 4,
    "commands": 5,
    "server": 6,
}
TOP: Final = 6  # ksmbd/__main__.py and what else stands directly in ksmbd/

MAX_FILE_LINES: Final = 600
MAX_FUNCTION_LINES: Final = 60

# what the lowest floor may not touch: I/O, logging, locks, threads, time and chance
NOT_IN_WIRE: Final = frozenset(
    [
        "asyncio",
        "io",
        "logging",
        "os",
        "pathlib",
        "queue",
        "random",
        "secrets",
        "select",
        "selectors",
        "shutil",
        "signal",
        "socket",
        "socketserver",
        "subprocess",
        "sys",
        "tempfile",
        "threading",
        "time",
        "multiprocessing",
        "concurrent",
    ]
)
# module -> the only places in ksmbd/ that import it
ONLY_IN: Final = {
    "cryptography": ("ksmbd/crypto/",),
    "xattr": (),  # C extensions that switch the interpreter's lock back on where it is off
    "posix1e": (),
    "gssapi": ("mountd/krb5.py",),
    "socket": ("ksmbd/server/", "ksmbd/ipc/", "ksmbd/journald.py"),
    "socketserver": ("ksmbd/server/",),
    "asyncio": (),
    "random": ("ksmbd/server/",),
    "secrets": ("ksmbd/server/",),
}
THREAD_STARTERS: Final = frozenset({"Thread", "Timer", "ThreadPoolExecutor", "start_new_thread"})
CLOCKS: Final = frozenset(
    {"time.time", "time.time_ns", "datetime.now", "datetime.utcnow", "os.urandom"}
)
STANDARD_LIBRARY_ONLY: Final = ("ksmbd/wire/",)
# what mountd and control may see of ksmbd: the layouts of messages, the hash of a password, and the
# way to the journal
SHARED_WITH_DAEMONS: Final = (
    "ksmbd.wire",
    "ksmbd.crypto.md4",
    "ksmbd.crypto.ntlm",
    "ksmbd.journald",
)
# one command's module may use another's only inside a family: (importer, imported) by prefix
COMMAND_FAMILIES: Final = (
    ("table", ""),
    ("query_info", "query_"),
    ("set_info", "set_"),
    ("create", "create_"),
    ("session_setup", "session_setup_"),
    ("ioctl", "fsctl_"),
)
# product module -> the test file that exercises it although its name is another
TESTED_BY: Final[dict[str, str]] = {
    "ksmbd/auth/kerberos.py": "tests/interop/test_kerberos.py",
    "ksmbd/commands/create_caching.py": "tests/state/test_transcripts.py",
    "ksmbd/commands/create_reparse.py": "tests/commands/test_fsctl_reparse.py",
    "ksmbd/pytest_plugin.py": "tests/test_embedded.py",
    "ksmbd/state/apple_listing.py": "tests/commands/test_query_directory_aapl.py",
    "ksmbd/vfs/stream_copy.py": "tests/commands/test_fsctl_copy_file.py",
    "ksmbd/state/apple_ids.py": "tests/commands/test_create_aapl.py",
    "ksmbd/vfs/file_ids.py": "tests/commands/test_create_aapl.py",
    "ksmbd/vfs/filehandles.py": "tests/vfs/test_depot.py",
    "ksmbd/state/quotas.py": "tests/commands/test_query_quota.py",
    "ksmbd/vfs/needed_eas.py": "tests/commands/test_set_file.py",
    "ksmbd/vfs/quota_file.py": "tests/commands/test_query_quota.py",
    "ksmbd/state/absence.py": "tests/state/test_durable.py",
    "ksmbd/state/caching.py": "tests/state/test_transcripts.py",
    "ksmbd/state/journal.py": "tests/state/test_persistent.py",
    "ksmbd/state/holder.py": "tests/state/test_transcripts.py",
    "ksmbd/state/kernel_leases.py": "tests/commands/test_create_local.py",
    "ksmbd/state/lease.py": "tests/state/test_transcripts.py",
    "ksmbd/state/local_locks.py": "tests/commands/test_lock_local.py",
    "ksmbd/state/local_opens.py": "tests/commands/test_create_local.py",
    "ksmbd/state/snapshot.py": "tests/commands/test_create_twrp.py",
    "ksmbd/state/transport.py": "tests/server/test_tcp.py",
    "discovery/addresses.py": "tests/discovery/test_device.py",
    "discovery/bonjour.py": "tests/discovery/test_neighbourhood.py",
    "discovery/multicast.py": "tests/discovery/test_neighbourhood.py",
    "discovery/soap.py": "tests/discovery/test_wsd.py",
    "ksmbd/server/administration.py": "tests/interop/test_administration.py",
    "ksmbd/vfs/followed.py": "tests/vfs/test_names.py",
    "ksmbd/wire/ipc_frame.py": "tests/wire/test_ipc.py",
    "mountd/questions.py": "tests/mountd/test_context.py",
    "mountd/rpc/association.py": "tests/mountd/test_rpc_pdu.py",
    "mountd/rpc/containers.py": "tests/mountd/test_rpc_srvsvc.py",
    "mountd/rpc/errors.py": "tests/mountd/test_rpc_pdu.py",
    "mountd/rpc/handles.py": "tests/mountd/test_rpc_samr.py",
    "mountd/rpc/interface.py": "tests/mountd/test_rpc_pipe.py",
    "mountd/rpc/lsarpc_lookup.py": "tests/mountd/test_rpc_lsarpc.py",
    "mountd/rpc/lsarpc_rights.py": "tests/mountd/test_rpc_lsarpc_rights.py",
    "mountd/rpc/samr_info.py": "tests/mountd/test_rpc_samr.py",
    "mountd/rpc/srvsvc_info.py": "tests/mountd/test_rpc_srvsvc.py",
    "mountd/rpc/srvsvc_lists.py": "tests/mountd/test_rpc_srvsvc.py",
    "mountd/rpc/srvsvc_names.py": "tests/mountd/test_rpc_srvsvc_names.py",
    "mountd/rpc/srvsvc_security.py": "tests/mountd/test_file_security.py",
    "mountd/rpc_document.py": "tests/test_docs.py",
    "mountd/share_edit.py": "tests/mountd/test_administration.py",
    "mountd/state.py": "tests/mountd/test_state.py",  # tests/state is about ksmbd/state
    "ksmbd/state/replay.py": "tests/commands/test_create_replay.py",
    "ksmbd/state/open.py": "tests/state/test_opens.py",
    "ksmbd/state/settings.py": "tests/server/test_startup.py",
    "ksmbd/state/share.py": "tests/state/test_shares.py",
    "ksmbd/server/naming.py": "tests/server/test_auditing.py",
    "ksmbd/wire/auditing.py": "tests/mountd/test_audited.py",
    "ksmbd/server/watching.py": "tests/interop/test_watching.py",
}


class Import(NamedTuple):
    """One edge: a module of ours imports ``name``."""

    line: int
    name: str  # the module, or module.attribute when only the attribute is known
    typing_only: bool  # inside ``if TYPE_CHECKING:``


@cache
def sources(*packages: str) -> tuple[Path, ...]:
    """Every Python file of the packages, in a fixed order."""
    return tuple(sorted(p for package in packages for p in (ROOT / package).rglob("*.py")))


def relative(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def dotted(path: Path) -> str:
    """``ksmbd/wire/base.py`` -> ``ksmbd.wire.base``; a package's ``__init__`` is the package."""
    return relative(path).removesuffix(".py").removesuffix("/__init__").replace("/", ".")


@cache
def tree(path: Path) -> ast.Module:
    return ast.parse(path.read_text(), str(path))


def is_type_checking(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and ast.unparse(node.test).endswith("TYPE_CHECKING")


def imports_below(node: ast.AST, typing_only: bool, known: frozenset[str]) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(child.lineno, alias.name, typing_only)
        elif isinstance(child, ast.ImportFrom):
            module = child.module or ""
            for alias in child.names:
                inner = f"{module}.{alias.name}"
                yield Import(child.lineno, inner if inner in known else module, typing_only)
        else:
            yield from imports_below(child, typing_only or is_type_checking(child), known)


@cache
def modules() -> frozenset[str]:
    return frozenset(dotted(path) for path in sources(*PACKAGES))


@cache
def imports(path: Path) -> tuple[Import, ...]:
    return tuple(imports_below(tree(path), False, modules()))


def top(name: str) -> str:
    return name.partition(".")[0]


def package_of(name: str) -> str:
    """``ksmbd.wire.base`` -> ``wire``; a module directly in ksmbd -> ``''``."""
    parts = name.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FLOOR else ""


def floor_of(name: str) -> int:
    if name == "ksmbd":
        return 0  # the version
    return FLOOR.get(package_of(name), TOP)


def parametrize(*packages: str) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("path", sources(*packages), ids=relative)


@parametrize("ksmbd")
def test_imports_point_down(path: Path) -> None:
    name = dotted(path)
    for edge in imports(path):
        where = f"{relative(path)}:{edge.line} imports {edge.name}"
        assert top(edge.name) not in {"mountd", "control", "discovery", "tests", "bench"}, where
        if top(edge.name) != "ksmbd" or (name == "ksmbd" and edge.typing_only):
            continue  # the package names for type checkers what it loads when programs ask for it
        own, other = floor_of(name), floor_of(edge.name)
        assert other <= own, f"{where}: floor {other} from floor {own}"
        if own == other and package_of(name) and package_of(edge.name):
            assert package_of(name) == package_of(edge.name), f"{where}: the other half"


@parametrize("mountd", "control", "discovery")
def test_the_daemons_see_only_the_wire_of_ksmbd(path: Path) -> None:
    for edge in imports(path):
        if top(edge.name) != "ksmbd" or edge.name == "ksmbd":
            continue
        allowed = any(edge.name == m or edge.name.startswith(m + ".") for m in SHARED_WITH_DAEMONS)
        assert allowed, f"{relative(path)}:{edge.line} imports {edge.name}"


@pytest.mark.parametrize(
    "path", [p for p in sources("ksmbd") if "/wire/" in relative(p)], ids=relative
)
def test_wire_uses_the_standard_library_without_io_logging_or_locks(path: Path) -> None:
    import_names = {top(edge.name) for edge in imports(path)} - {"__future__", "ksmbd"}
    assert not import_names & NOT_IN_WIRE, relative(path)
    assert not import_names & set(ONLY_IN), relative(path)


@parametrize(*PACKAGES)
def test_a_guarded_module_is_imported_where_it_belongs(path: Path) -> None:
    where = relative(path)
    for edge in imports(path):
        places = ONLY_IN.get(top(edge.name))
        if places is None or (top(edge.name) != "gssapi" and not where.startswith("ksmbd/")):
            continue
        allowed = any(where.startswith(place) for place in places) or where == "ksmbd/__main__.py"
        assert allowed, f"{where}:{edge.line} imports {edge.name}"


@parametrize("ksmbd")
def test_only_the_server_starts_threads(path: Path) -> None:
    if relative(path).startswith("ksmbd/server/"):
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ast.unparse(node.func).rpartition(".")[2]
            assert called not in THREAD_STARTERS, f"{relative(path)}:{node.lineno}: {called}"


@parametrize("ksmbd")
def test_time_and_chance_are_arguments_below_the_server(path: Path) -> None:
    if floor_of(dotted(path)) == TOP:
        return
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call):
            called = ".".join(ast.unparse(node.func).split(".")[-2:])
            assert called not in CLOCKS, f"{relative(path)}:{node.lineno}: {called}()"


@pytest.mark.parametrize(
    "path", [p for p in sources("ksmbd") if "/commands/" in relative(p)], ids=relative
)
def test_a_command_does_not_import_another(path: Path) -> None:
    for edge in imports(path):
        if not edge.name.startswith("ksmbd.commands."):
            continue
        other = edge.name.split(".")[2]
        assert any(
            same_family(path.stem, other, importer, prefix) for importer, prefix in COMMAND_FAMILIES
        ), f"{relative(path)}:{edge.line} imports {edge.name}"


def same_family(importer: str, imported: str, head: str, prefix: str) -> bool:
    """A family's head and its members may use the members."""
    member = bool(prefix) and importer.startswith(prefix)
    return (importer == head or member) and imported.startswith(prefix)


@parametrize(*PACKAGES)
def test_imports_stand_at_the_top_and_name_what_they_take(path: Path) -> None:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.ImportFrom):
            where = f"{relative(path)}:{node.lineno}"
            assert node.level == 0, f"{where}: a relative import"
            assert all(alias.name != "*" for alias in node.names), f"{where}: import *"
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            for inner in ast.walk(node):
                assert not isinstance(inner, ast.Import | ast.ImportFrom), (
                    f"{relative(path)}:{inner.lineno}: an import inside a function"
                )


def test_there_is_no_import_cycle() -> None:
    graph = {
        dotted(path): {e.name for e in imports(path) if not e.typing_only and e.name in modules()}
        - {dotted(path)}
        for path in sources(*PACKAGES)
    }
    done: set[str] = set()

    def visit(name: str, trail: tuple[str, ...]) -> None:
        assert name not in trail, " -> ".join((*trail[trail.index(name) :], name))
        if name in done:
            return
        for other in sorted(graph[name]):
            visit(other, (*trail, name))
        done.add(name)

    for name in sorted(graph):
        visit(name, ())


@parametrize(*PACKAGES, "tests", "bench")
def test_files_and_functions_stay_readable(path: Path) -> None:
    lines = path.read_text().count("\n")
    assert lines <= MAX_FILE_LINES, f"{relative(path)}: {lines} lines"
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            length = (node.end_lineno or node.lineno) - node.lineno + 1
            assert length <= MAX_FUNCTION_LINES, (
                f"{relative(path)}:{node.lineno}: {node.name} has {length} lines"
            )


def has_test(path: Path) -> bool:
    where = relative(path)
    if where in TESTED_BY:
        return (ROOT / TESTED_BY[where]).is_file()
    stem = path.stem.strip("_")
    names = {f"test_{stem}.py", f"test_vectors_{stem}.py"}
    if "/rpc/" in where:
        names.add(f"test_rpc_{stem}.py")
    folder = ROOT / "tests" / (package_of(dotted(path)) or path.parent.name)
    near = [folder] if folder.is_dir() else [ROOT / "tests"]
    if "/rpc/" in where:
        near = [ROOT / "tests/mountd"]
    if where.startswith("ksmbd/") and where.count("/") == 1:
        near = [ROOT / "tests", ROOT / "tests/server"]
    return any(
        test.name in names or test.name.startswith(f"test_{stem}_")
        for place in near
        for test in place.rglob("test_*.py")
    )


@parametrize(*PACKAGES, "bench")
def test_every_module_has_a_test_module(path: Path) -> None:
    if path.name in {"__init__.py", "__main__.py"}:
        return
    assert has_test(path), (
        f"{relative(path)}: no tests/…/test_{path.stem}.py, nor a row in TESTED_BY"
    )


def test_the_table_of_tests_names_existing_files_only() -> None:
    for module, test in TESTED_BY.items():
        assert (ROOT / module).is_file(), module
        assert (ROOT / test).is_file(), test


# Spelled with brackets so that this file does not find itself.
FORBIDDEN: Final = {
    "a path of somebody's machine": re.compile(
        r"(?<![\w.])/(w[o]rk|f[a]rm|home/(?!alice|bob))/|\.\./sh[a]red/"
    ),
    "a registry's host": re.compile(
        r"p[y]pi\.org|files\.p[y]thonhosted|d[e]b\.debian\.org|snapshot\.d[e]bian\.org", re.I
    ),
}
UNFINISHED: Final = re.compile(r"\b(N[o]tImplementedError|T[O]DO|F[I]XME|X[X]X)\b")


def tracked() -> list[Path]:
    listing = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=True)
    return [ROOT / name for name in listing.stdout.decode().split("\0") if name]


def texts() -> Iterator[tuple[str, int, str]]:
    for path in tracked():
        if not path.is_file():
            continue
        try:
            lines = path.read_text().splitlines()
        except UnicodeDecodeError:
            continue
        for number, line in enumerate(lines, 1):
            yield relative(path), number, line


def test_nothing_names_a_machine_or_a_registry() -> None:
    found = [
        f"{where}:{number}: {what}"
        for where, number, line in texts()
        for what, pattern in FORBIDDEN.items()
        if pattern.search(line)
    ]
    assert found == []


def test_nothing_is_left_unfinished_in_the_product() -> None:
    found = [
        f"{where}:{number}"
        for where, number, line in texts()
        if where.split("/")[0] in PACKAGES and UNFINISHED.search(line)
    ]
    assert found == []
