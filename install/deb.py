"""A Debian package: ``make deb``.

Written by dpkg-deb alone.  Everything the server needs beside Python comes from the distribution,
so that its security updates arrive: nothing of other projects is packed, and the package is the
same for every architecture.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from install.layout import ROOT, modules, stage
from ksmbd import __version__

PREFIX: Final = "/usr"
PYTHON: Final = "/usr/bin/python3"
SCRIPTS: Final = ("postinst", "prerm", "postrm")
HERE: Final = ROOT / "install/debian"


def build(out: Path, version: str = __version__) -> Path:
    """Make ``ksmbd_VERSION_all.deb`` in the folder *out*; its path."""
    out.mkdir(parents=True, exist_ok=True)
    made = out / f"ksmbd_{version}_all.deb"
    with tempfile.TemporaryDirectory(prefix="deb-") as name:
        tree = Path(name) / "ksmbd"
        stage(tree, PREFIX, PYTHON)
        if version != __version__:  # what runs tells which it is
            init = tree / modules(PREFIX).lstrip("/") / "ksmbd/__init__.py"
            init.write_text(init.read_text().replace(f'"{__version__}"', f'"{version}"'))
        add_control(tree, version)
        moment = make_plain(tree)
        subprocess.run(
            ["dpkg-deb", "--root-owner-group", "-Zxz", "-z1", "--build", tree, made],
            check=True,
            stdout=subprocess.DEVNULL,
            env={**os.environ, "SOURCE_DATE_EPOCH": str(moment)},
        )
    return made


def add_control(tree: Path, version: str) -> None:
    """What dpkg wants to know: the control file, the conffiles, the scripts."""
    size = sum(path.stat().st_size for path in tree.rglob("*") if path.is_file())
    folder = tree / "DEBIAN"
    folder.mkdir()
    text = (HERE / "control").read_text()
    text = text.replace("@VERSION@", version).replace("@SIZE@", str(size // 1024))
    (folder / "control").write_text(text)
    kept = sorted(path.relative_to(tree) for path in (tree / "etc").rglob("*") if path.is_file())
    (folder / "conffiles").write_text("".join(f"/{path}\n" for path in kept))
    for script in SCRIPTS:
        shutil.copyfile(HERE / script, folder / script)
        (folder / script).chmod(0o755)


def make_plain(tree: Path) -> int:
    """Folders anybody can enter, whatever the builder's umask; times that are always the same.

    Returns that time, in seconds since 1970.
    """
    moment = int(os.environ.get("SOURCE_DATE_EPOCH", "0")) or newest(ROOT)
    for path in [tree, *tree.rglob("*")]:
        if path.is_dir() and not path.is_symlink():
            path.chmod(0o755)
        os.utime(path, (moment, moment), follow_symlinks=False)
    return moment


def newest(root: Path) -> int:
    """When the sources were changed last."""
    return int(max(path.stat().st_mtime for path in (root / "ksmbd").rglob("*.py")))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="make deb", description=__doc__)
    parser.add_argument("--out", type=Path, default=ROOT / "build")
    parser.add_argument("--version", default=__version__)
    chosen = parser.parse_args(arguments)
    print(build(chosen.out, chosen.version))
    return 0


if __name__ == "__main__":
    sys.exit(main())
