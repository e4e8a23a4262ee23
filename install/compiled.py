"""The hot modules as machine code: ``make compiled``, and ``COMPILED=yes`` for run, test, install.

mypyc compiles typed Python as it stands.  The sources remain what counts: everything works
without this, and nothing of it is written beside them.  A copy of the packages lies in a folder
of its own, where each compiled module takes its source's place when it is imported; it comes to
be there when it is whole, or not at all.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from install.layout import PACKAGES, ROOT
from ksmbd.compiled import MANIFEST, digest

# What a request passes on its way.  Most of wire/ makes its classes from annotations, modules with
# exceptions of their own are beyond mypyc, and what it makes of vfs/credentials.py has one identity
# for all threads: these stay as they are.  tests/test_compiled.py has what mypyc does otherwise
# than Python, and that nothing here rests on it.
HOT: Final = {
    "server": "dispatch reader checks loop own_thread tcp watchdog quicksend outbox",
    "state": "work open opens outbound credits session connection tree buffers caching holder inode"
    " oplock lease sight rights channel_sequence ranges notify watch binding tally local_locks"
    " snapshot lock_sequence apple_ids",
    "commands": "table echo read write close create create_caching create_contexts create_request"
    " create_durable create_local query_info query_file query_directory set_info set_file lock",
    "vfs": "handle path directory entry stamps attributes stat names followed reader posix_acl"
    " ntacl sid inherit streams quota_file afp_info locks posix_locks",
    "crypto": "signing sealing",
    "wire": "header dir_info",
}
LEVEL: Final = 2  # of optimisation
# Each file of C by a process of its own: setuptools would compile one after the other.
MYPYC: Final = """\
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from setuptools import setup
from setuptools._distutils.ccompiler import CCompiler
from mypyc.build import mypycify

one_by_one = CCompiler.compile

def compile(self, sources, *args, **kwargs):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        made = pool.map(lambda source: one_by_one(self, [source], *args, **kwargs), sources)
        return [name for names in made for name in names]

CCompiler.compile = compile
level, *files = sys.argv[1:]
sys.argv[1:] = ["--quiet", "build_ext", "--inplace"]
flags = ["--config-file", "mypy.toml"]
made = mypycify([*flags, *files], opt_level=level, multi_file=True)
setup(name="ksmbd-compiled", packages=[], py_modules=[], ext_modules=made)
"""


class CannotCompile(Exception):
    """What is missing, or went wrong, for whoever asked for it."""


def sources() -> list[str]:
    """What is compiled, relative to the project's root."""
    return [f"ksmbd/{part}/{name}.py" for part, names in HOT.items() for name in names.split()]


def build(folder: Path, files: Sequence[str], *, level: int = LEVEL) -> None:
    """A copy of all packages in *folder*, which is made anew, with *files* compiled.

    Raises CannotCompile; *folder* is as it was then.
    """
    require_tools()
    new = folder.with_name(f"{folder.name}.new")
    shutil.rmtree(new, ignore_errors=True)
    for package in PACKAGES:
        shutil.copytree(
            ROOT / package, new / package, ignore=shutil.ignore_patterns("__pycache__", "*.so")
        )
    shutil.copy(ROOT / "pyproject.toml", new / "mypy.toml")
    run_mypyc(new, files, level)
    for name in ("build", ".mypy_cache"):
        shutil.rmtree(new / name, ignore_errors=True)
    (new / "mypy.toml").unlink()
    sums = {name: digest(new / name) for name in files}
    (new / "ksmbd" / MANIFEST).write_text(json.dumps(sums, indent=1) + "\n")
    shutil.rmtree(folder, ignore_errors=True)
    new.rename(folder)


def run_mypyc(folder: Path, files: Sequence[str], level: int) -> None:
    """Compile *files* of *folder* there; what mypyc and the compiler say is shown if they fail."""
    done = subprocess.run(
        [sys.executable, "-c", MYPYC, str(level), *files],
        cwd=folder,
        env={**os.environ, "CFLAGS": "-w"},  # C from a generator: its warnings help nobody
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        said = "\n".join(done.stdout.splitlines()[-40:])
        raise CannotCompile(f"{said}\nnot compiled (exit {done.returncode})")


def require_tools() -> None:
    """CannotCompile, with what to do about it, unless mypyc and a C compiler are there."""
    for module in ("mypyc", "setuptools"):
        if importlib.util.find_spec(module) is None:
            raise CannotCompile(f"{sys.executable} has no {module}: pip install '.[compile]'")
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    if shutil.which(compiler) is None:
        raise CannotCompile(f"no C compiler: {compiler} is missing (on Debian: apt install gcc)")
    header = Path(sysconfig.get_path("include")) / "Python.h"
    if not header.exists():
        raise CannotCompile(f"no {header} (on Debian: apt install python3-dev)")


def libraries(folder: Path) -> Iterator[Path]:
    """What ``build`` has compiled there."""
    yield from sorted(folder.rglob("*.so"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m install.compiled", description=__doc__)
    parser.add_argument("folder", type=Path, help="where the compiled copy goes")
    parser.add_argument("--level", type=int, default=LEVEL, help="of optimisation, 0 to 3")
    chosen = parser.parse_args(arguments)
    folder = chosen.folder.absolute()
    try:
        build(folder, sources(), level=chosen.level)
    except CannotCompile as reason:
        print(reason, file=sys.stderr)
        return 1
    print(f"{folder}: {len(sources())} compiled modules")
    return 0


if __name__ == "__main__":
    sys.exit(main())
