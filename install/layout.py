"""Where each file of an installation lies, and putting them there: ``make install PREFIX=...``.

The modules go into a folder of their own, ``PREFIX/share/ksmbd``, which only our programs search:
names as common as ``control`` would be in other people's way among the system's modules.
"""

from __future__ import annotations

import argparse
import gzip
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from ksmbd import __version__
from ksmbd.compiled import MANIFEST

ROOT: Final = Path(__file__).parents[1]
PACKAGES: Final = ("ksmbd", "mountd", "control", "discovery")
PROGRAMS: Final = {  # name -> module with main()
    "ksmbd": "ksmbd.__main__",
    "ksmbd-mountd": "mountd.__main__",
    "ksmbd-control": "control.__main__",
    "ksmbd-adduser": "control.adduser",
    "ksmbd-addshare": "control.addshare",
    "ksmbd-discovery": "discovery.__main__",
}
# as ksmbd-tools calls them
ALIASES: Final = {f"ksmbd.{name}": f"ksmbd-{name}" for name in ("mountd", "control")} | {
    f"ksmbd.{name}": f"ksmbd-{name}" for name in ("adduser", "addshare")
}
NEEDED: Final = ("cryptography",)  # modules
LOOK_FOR_THEM: Final = """\
import importlib.util
import sys

print(*[name for name in sys.argv[1:] if importlib.util.find_spec(name) is None])
"""
# Isolated from the caller's environment: these run as root.  PYTHONPATH is for children.
PROGRAM: Final = """\
#!{python} -I
import os
import sys

modules = os.path.dirname(os.path.dirname(os.path.realpath(__file__))) + "/share/ksmbd"
sys.path.insert(0, modules)
os.environ["PYTHONPATH"] = modules
from {module} import main

sys.exit(main())
"""


class File(NamedTuple):
    """One file: where it goes, below the root of the target, and what is in it."""

    path: str
    content: bytes
    mode: int = 0o644


def modules(prefix: str) -> str:
    return f"{prefix}/share/ksmbd"


def files(prefix: str, python: str, tree: Path = ROOT) -> Iterator[File]:
    """Everything but the links; the packages from *tree*, which may be compiled."""
    found = [path for package in PACKAGES for path in (tree / package).rglob("*.py")]
    if tree != ROOT:
        found += [*tree.rglob("*.so"), tree / "ksmbd" / MANIFEST]
    for path in sorted(found):
        yield File(f"{modules(prefix)}/{path.relative_to(tree)}", path.read_bytes())
    for name, module in PROGRAMS.items():
        text = PROGRAM.format(python=python, module=module)
        yield File(f"{prefix}/sbin/{name}", text.encode(), 0o755)
    for path in sorted((ROOT / "docs/man").iterdir()):
        # without the time of day in it, so that a package is the same whenever it is built
        packed = gzip.compress(path.read_bytes(), mtime=0)
        yield File(f"{prefix}/share/man/man{path.suffix[1:]}/{path.name}.gz", packed)
    for path in sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]):
        yield File(f"{prefix}/share/doc/ksmbd/{path.relative_to(ROOT)}", path.read_bytes())
    yield from system_files(prefix)


def system_files(prefix: str) -> Iterator[File]:
    """What systemd reads, the examples, and the script that puts an installation to use."""
    for unit in sorted((ROOT / "systemd").glob("*.service")):
        yield File(f"{prefix}/lib/systemd/system/{unit.name}", unit.read_bytes())
    for kind in ("sysusers", "tmpfiles"):
        declared = (ROOT / f"systemd/ksmbd.{kind}").read_bytes()
        yield File(f"{prefix}/lib/{kind}.d/ksmbd.conf", declared)
    yield File("/etc/default/ksmbd", (ROOT / "install/ksmbd.default").read_bytes())
    example = (ROOT / "install/ksmbd.conf").read_bytes()
    yield File(f"{modules(prefix)}/ksmbd.conf", example)
    yield File(f"{modules(prefix)}/settle", (ROOT / "install/settle").read_bytes(), 0o755)


def stage(root: Path, prefix: str, python: str, tree: Path = ROOT) -> None:
    """Lay everything below *root*; what administrators may have changed stays as it is."""
    shutil.rmtree(root / modules(prefix).lstrip("/"), ignore_errors=True)
    for file in files(prefix, python, tree):
        path = root / file.path.lstrip("/")
        if file.path.startswith("/etc/") and path.exists():
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.content)
        path.chmod(file.mode)
    for alias, name in ALIASES.items():
        link = root / prefix.lstrip("/") / "sbin" / alias
        link.unlink(missing_ok=True)
        link.symlink_to(name)


def missing(python: str) -> list[str]:
    """The modules of other projects that *python* lacks."""
    told = subprocess.run(
        [python, "-I", "-c", LOOK_FOR_THEM, *NEEDED], check=True, capture_output=True, text=True
    )
    return told.stdout.split()


def fits(tree: Path, python: str) -> bool:
    """Whether *python* can load what was compiled in *tree*."""
    told = subprocess.run(
        [python, "-I", "-c", "import sysconfig; print(sysconfig.get_config_var('EXT_SUFFIX'))"],
        check=True, capture_output=True, text=True,
    )  # fmt: skip
    return any(tree.rglob(f"*{told.stdout.strip()}"))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make install", description=__doc__)
    parser.add_argument("--prefix", default="/usr/local")
    parser.add_argument("--destdir", default="", help="put it below this folder, for packagers")
    parser.add_argument("--python", default="/usr/bin/python3", help="what runs the programs")
    parser.add_argument("--compiled", type=Path, default=ROOT, help="what make compiled has made")
    chosen = parser.parse_args(arguments)
    if not chosen.prefix.startswith("/"):
        parser.error("the prefix is an absolute path")
    if not chosen.destdir and (lacking := missing(chosen.python)):
        print(f"{chosen.python} has no module {', '.join(lacking)}", file=sys.stderr)
        print("on Debian: apt install python3-cryptography", file=sys.stderr)
        return 1
    if chosen.compiled != ROOT and not fits(chosen.compiled, chosen.python):
        print(f"{chosen.compiled} is compiled for another Python", file=sys.stderr)
        print(f"make clean, then make compiled PYTHON3={chosen.python}", file=sys.stderr)
        return 1
    root, prefix = Path(chosen.destdir or "/"), chosen.prefix.rstrip("/")
    stage(root, prefix, chosen.python, chosen.compiled)
    if chosen.destdir:
        return 0
    print(f"ksmbd {__version__} is in {chosen.prefix}")
    return os.spawnl(os.P_WAIT, f"{modules(chosen.prefix)}/settle", "settle")


if __name__ == "__main__":
    sys.exit(main())
