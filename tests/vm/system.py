"""A guest that is a small but whole Debian: systemd, dpkg that knows what is installed, Python.

It boots from memory like the plain guest (``guest.py``): there is no disk.  Every file of every
package is there, and dpkg is told of them, so that a package is installed with its dependencies
checked and its scripts run.
"""

from __future__ import annotations

import io
import subprocess
import tarfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from install.deb import PREFIX
from install.layout import modules
from tests.support.debs import SUITE, cache_folder, run_inside
from tests.vm.archive import Tree
from tests.vm.guest import HERE, SOURCES, Guest, add_busybox, made, stamp_of

NAME: Final = "system"
PACKAGES: Final = (
    *("systemd", "systemd-sysv", "dpkg", "libc-bin", "base-passwd", "base-files", "bash"),
    *("coreutils", "busybox-static", "kmod", "cifs-utils", "keyutils", "mount", "util-linux"),
    *("iproute2", "findutils", "diffutils", "sed", "grep", "gzip", "tar", "procps"),
    *("python3", "python3-cryptography", "btrfs-progs", "e2fsprogs"),
)
OWN_SOURCES: Final = (HERE / "system.py",)
COMPILED_THERE: Final = "discovery"
# what a machine without hardware, console, disks and a message bus has no use for
MASKED: Final = (
    *("ldconfig.service", "systemd-hwdb-update.service", "systemd-journal-catalog-update.service"),
    *("systemd-firstboot.service", "systemd-modules-load.service", "systemd-binfmt.service"),
    *("systemd-pstore.service", "systemd-update-done.service", "systemd-random-seed.service"),
    *("systemd-update-utmp.service", "systemd-logind.service", "systemd-user-sessions.service"),
    *("serial-getty@ttyS0.service", "getty@tty1.service", "proc-sys-fs-binfmt_misc.automount"),
    *("modprobe@drm.service", "modprobe@fuse.service", "modprobe@configfs.service"),
    *("dev-hugepages.mount", "dev-mqueue.mount", "run-lock.mount", "sys-kernel-debug.mount"),
    *("sys-kernel-tracing.mount", "sys-kernel-config.mount", "sys-fs-fuse-connections.mount"),
    *("systemd-remount-fs.service", "systemd-networkd.service", "systemd-timesyncd.service"),
    *("systemd-boot-random-seed.service", "systemd-machine-id-commit.service"),
)
UNITS: Final = {
    "script.service": """\
[Unit]
Description=The test's script
After=multi-user.target
[Service]
ExecStart=/script
""",
    "script.target": """\
[Unit]
Description=All that there is, then the test's script
Requires=multi-user.target
Wants=script.service
After=multi-user.target
AllowIsolate=yes
""",
}
USERS: Final = "alice:x:1000:1000:alice:/home/alice:/bin/bash\n"
GROUPS: Final = "alice:x:1000:\n"


def built(suite: str = SUITE) -> Guest:
    """The guest, made when the sources here or the packages have changed."""
    return made(NAME, PACKAGES, (*SOURCES, *OWN_SOURCES), fill, suite)


def fill(tree: Tree, suite: str) -> None:
    compile_python(tree.root)
    for top in ("usr", "etc", "var"):
        add_all(tree, top)
    add_busybox(tree)
    add_database(tree, suite)
    add_settings(tree)


def add_all(tree: Tree, folder: str) -> None:
    """Everything below a folder of the packages."""
    tree.folder(folder)
    for child in sorted((tree.root / folder).iterdir()):
        path = f"{folder}/{child.name}"
        if child.is_dir() and not child.is_symlink():
            add_all(tree, path)
        else:
            tree.add(path)


def compile_python(root: Path) -> None:
    """As the scripts of Python's packages do when they are installed."""
    folders = [library(root), root / "usr/lib/python3/dist-packages"]
    compile_all(root, root, "unchecked-hash", folders)


def library(root: Path) -> Path:
    """Python's own modules in the tree of the packages."""
    return next(p for p in (root / "usr/lib").glob("python3.*") if (p / "os.py").exists())


def compile_all(root: Path, above: Path, mode: str, folders: Sequence[Path]) -> None:
    """Compile what lies in *folders* with the guest's Python; it is found without *above* there.

    *mode* is how a compiled module shows to be older than its source.
    """
    command = [
        *run_inside(root, root / "usr/bin" / library(root).name),
        *("-m", "compileall", "-qq", "--invalidation-mode", mode),
        *("-s", str(above), *map(str, folders)),
    ]
    subprocess.run(command, check=True, env={"PYTHONHOME": str(root / "usr")})


def compiled(package: Path, out: Path, suite: str = SUITE) -> bytes:
    """A tar of what the package's installation would compile, for the root of the guest.

    An emulated processor takes a minute for it.  The package's own script has what is left: the
    modules of ``COMPILED_THERE``, and the one that names the version.
    """
    subprocess.run(["dpkg-deb", "-x", package, out], check=True)
    folder = out / modules(PREFIX).lstrip("/")
    compile_all(cache_folder() / f"{NAME}-{suite}", out, "timestamp", [folder])
    left = [
        *(folder / COMPILED_THERE).rglob("*.pyc"),
        *folder.glob("ksmbd/__pycache__/__init__.*.pyc"),
    ]
    for path in left:
        path.unlink()
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as tar:
        for path in sorted(folder.rglob("*.pyc")):
            tar.add(path, path.relative_to(out))
    return packed.getvalue()


def add_database(tree: Tree, suite: str) -> None:
    """dpkg's list of what is installed; which files each package has it need not know."""
    archives = cache_folder() / f"apt-{suite}" / "cache/archives"
    entries = []
    for name in stamp_of(tree.root).read_text().splitlines()[1:]:
        fields = subprocess.run(
            ["dpkg-deb", "-f", archives / name], check=True, capture_output=True, text=True
        ).stdout
        entries.append(f"{fields.rstrip()}\nStatus: install ok installed\n")
        told = dict(line.split(": ", 1) for line in fields.splitlines() if ": " in line)
        where = told["Package"]
        if told.get("Multi-Arch") == "same":
            where += f":{told['Architecture']}"
        tree.put(f"var/lib/dpkg/info/{where}.list", b"")
    tree.put("var/lib/dpkg/status", "\n".join(entries).encode())
    for folder in ("updates", "triggers", "parts"):
        tree.folder(f"var/lib/dpkg/{folder}")


def add_settings(tree: Tree) -> None:
    masters = tree.root / "usr/share/base-passwd"
    tree.put("etc/passwd", (masters / "passwd.master").read_bytes() + USERS.encode())
    tree.put("etc/group", (masters / "group.master").read_bytes() + GROUPS.encode())
    tree.put("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n")
    tree.put("etc/hosts", b"127.0.0.1 localhost guest\n10.0.2.2 host server\n")
    tree.put("etc/machine-id", b"0123456789abcdef0123456789abcdef\n")
    tree.link("etc/mtab", "../proc/self/mounts")
    for name, text in UNITS.items():
        tree.put(f"etc/systemd/system/{name}", text.encode())
    tree.link("etc/systemd/system/default.target", "script.target")
    for name in MASKED:
        tree.link(f"etc/systemd/system/{name}", "/dev/null")
    for path in ("etc/.updated", "var/.updated"):
        tree.put(path, b"")
