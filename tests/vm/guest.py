"""Build the guest: a Debian kernel and an initramfs with the kernel's SMB client and its tools.

Everything is a Debian package fetched by ``tests/support/debs.py``.  Modules and programs are
uncompressed, so that an emulated processor has nothing to unpack.
"""

from __future__ import annotations

import fcntl
import fnmatch
import hashlib
import lzma
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

from tests.support.debs import SUITE, cache_folder, ensure, run_inside
from tests.vm.archive import MERGED, TRIPLET, Tree

HERE: Final = Path(__file__).parent
SOURCES: Final = tuple(HERE / name for name in ("guest.py", "archive.py", "init.sh", "run.sh"))

PACKAGES: Final = (
    *("bash", "coreutils", "busybox-static", "kmod", "cifs-utils", "keyutils", "attr", "acl"),
    *("mount", "util-linux", "iproute2", "python3", "findutils", "diffutils", "sed", "grep"),
    "e2fsprogs",
)
# every program of these packages
WHOLE: Final = frozenset({"coreutils", "cifs-utils", "keyutils", "attr", "acl", "kmod"})
# and these, below usr/; busybox fills in the rest
PROGRAMS: Final = (
    *("bin/bash", "bin/busybox", "bin/mount", "bin/umount", "bin/findmnt", "bin/flock"),
    *("bin/fallocate", "bin/dmesg", "bin/ip", "bin/ss", "bin/find", "bin/diff", "bin/cmp"),
    *("bin/sed", "bin/grep", "bin/python3", "bin/python3.*", "sbin/mke2fs"),
)
# loaded with dlopen, so that no program names them
DLOPEN: Final = ("libgcc_s.so.1", "cifs-utils/*.so", "gconv/UTF-16.so", "gconv/gconv-modules*")
OTHER: Final = ("etc/request-key.conf", "etc/request-key.d")
PYTHON_WITHOUT: Final = (
    *("test", "idlelib", "tkinter", "ensurepip", "pydoc_data", "turtledemo", "lib2to3"),
    *("config-*", "__pycache__"),
)
MODULES: Final = (
    *("cifs", "virtio_net", "virtio_pci", "virtio_console", "9p", "9pnet_virtio"),
    *("nls_utf8", "nls_iso8859-1", "nls_ucs2_utils", "nls_cp437", "nls_ascii", "dns_resolver"),
    *("ccm", "gcm", "ctr", "cmac", "hmac", "md4", "md5", "arc4", "libarc4", "des_generic"),
    *("loop", "ext4", "quota_v2", "crc32c_generic", "crc32c_cryptoapi", "libcrc32c"),
    *("ecb", "aesni_intel", "ghash_clmulni_intel", "sha256", "sha512", "cryptd", "aead2"),
    *("btrfs", "loop", "crc32c_generic"),
)
ACCOUNTS: Final = (("root", 0), ("alice", 1000), ("bob", 1001), ("nobody", 65534))
FOLDERS: Final = (
    *("proc", "sys", "dev", "run", "mnt", "root", "shared", "var/log", "home/alice", "home/bob"),
)


class Guest(NamedTuple):
    """What QEMU boots."""

    kernel: Path
    initramfs: Path
    version: str  # of the kernel


def built(suite: str = SUITE) -> Guest:
    """The guest, made when the sources here or the packages have changed."""
    return made("guest", PACKAGES, SOURCES, fill, suite)


def made(
    name: str,
    packages: Sequence[str],
    sources: Sequence[Path],
    fill: Callable[[Tree, str], None],
    suite: str,
) -> Guest:
    """A guest of these packages: a tree that *fill* puts them into, and the kernel's modules."""
    out = cache_folder() / f"{name}-image-{suite}"
    out.mkdir(parents=True, exist_ok=True)
    with (out / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        kernel = ensure("kernel", "kernel", suite=suite)
        root = ensure(name, "closure", packages, suite=suite)
        parts = [*sources, stamp_of(kernel), stamp_of(root)]
        state = hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()
        stamp = out / "stamp"
        base = next((kernel / "usr/lib/modules").iterdir())
        guest = Guest(out / "vmlinuz", out / "initramfs.cpio", base.name)
        if not stamp.exists() or stamp.read_text() != state:
            stamp.unlink(missing_ok=True)
            tree = Tree(root)
            add_skeleton(tree)
            fill(tree, suite)
            write(tree, base, guest)
            stamp.write_text(state)
    return guest


def stamp_of(folder: Path) -> Path:
    return folder.with_name(folder.name + ".stamp")


def add_skeleton(tree: Tree) -> None:
    """Folders that no package has, and what runs first."""
    for name in MERGED:
        tree.folder(f"usr/{name}")
        tree.link(name, f"usr/{name}")
    for name in FOLDERS:
        tree.folder(name)
    tree.folder("tmp", 0o1777)
    tree.put("init", (HERE / "init.sh").read_bytes(), 0o755)
    tree.put("script", (HERE / "run.sh").read_bytes(), 0o755)


def fill(tree: Tree, suite: str) -> None:
    add_programs(tree, suite)
    add_python(tree)
    add_busybox(tree)
    add_configuration(tree)


def write(tree: Tree, base: Path, guest: Guest) -> None:
    """Make the files that QEMU boots; *base* is the folder of the kernel's modules."""
    add_modules(tree, base)
    # beside the modules since 6.16, in /boot before
    beside = base / "vmlinuz"
    image = beside if beside.exists() else base.parents[3] / "boot" / f"vmlinuz-{base.name}"
    shutil.copy(image, guest.kernel)
    partial = guest.initramfs.with_suffix(".part")
    tree.write(partial)
    partial.rename(guest.initramfs)


def package_files(suite: str) -> Iterator[str]:
    """What the packages of WHOLE contain, as paths without a leading './'."""
    archives = cache_folder() / f"apt-{suite}" / "cache/archives"
    for name in stamp_of(cache_folder() / f"guest-{suite}").read_text().splitlines()[1:]:
        if name.split("_")[0] in WHOLE:
            listing = subprocess.run(
                ["dpkg-deb", "-c", archives / name], check=True, capture_output=True, text=True
            )
            for line in listing.stdout.splitlines():
                if line[0] in "-lh":
                    path = line.split(None, 5)[5].split(" -> ")[0].split(" link to ")[0]
                    yield path.removeprefix("./")


def add_programs(tree: Tree, suite: str) -> None:
    wanted = re.compile(r"(usr/)?s?bin/|usr/lib/.*/(cifs-utils|coreutils)/|etc/")
    for path in package_files(suite):
        if wanted.match(path):
            tree.add(path if path.startswith(("usr/", "etc/")) else "usr/" + path)
    for pattern in PROGRAMS:
        for found in sorted((tree.root / "usr").glob(pattern)):
            tree.add(f"usr/{pattern.split('/')[0]}/{found.name}")
    for pattern in DLOPEN:
        for found in sorted((tree.root / TRIPLET).glob(pattern)):
            tree.add(found.relative_to(tree.root).as_posix())
    for path in OTHER:
        if (tree.root / path).exists():
            tree.add(path)


def add_python(tree: Tree) -> None:
    """The standard library without its tests; the guest compiles what it imports."""
    library = next(
        path for path in (tree.root / "usr/lib").glob("python3.*") if (path / "os.py").exists()
    )

    def walk(folder: Path, path: str) -> None:
        for child in sorted(folder.iterdir()):
            if any(fnmatch.fnmatch(child.name, pattern) for pattern in PYTHON_WITHOUT):
                continue
            if child.is_dir() and not child.is_symlink():
                walk(child, f"{path}/{child.name}")
            else:
                tree.add(f"{path}/{child.name}")

    walk(library, f"usr/lib/{library.name}")


def add_modules(tree: Tree, base: Path) -> None:
    """The modules of MODULES with all that they depend on, and depmod's tables for them."""
    available = {plain(path.name.split(".ko")[0]): path for path in base.rglob("*.ko*")}
    taken: dict[str, bytes] = {}

    def take(name: str) -> None:
        name = plain(name)
        if name in taken or name not in available:
            return  # built in, or not in this kernel
        data = module(available[name])
        taken[name] = data
        for key in (b"depends=", b"softdep="):
            for found in re.finditer(rb"\0" + key + rb"([^\0]*)", data):
                for other in re.split(r"[,\s]+", found[1].decode()):
                    if other and not other.endswith(":"):
                        take(other)

    for name in MODULES:
        take(name)
    with tempfile.TemporaryDirectory(prefix="modules-") as stage:
        folder = Path(stage) / "lib/modules" / base.name
        for name, data in taken.items():
            path = folder / str(available[name].relative_to(base)).removesuffix(".xz")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
        for name in ("modules.builtin", "modules.builtin.modinfo", "modules.order"):
            shutil.copy(base / name, folder / name)
        program = tree.root / "usr/bin/kmod"
        command = run_inside(tree.root, "--argv0", "depmod", program, "-b", stage, base.name)
        subprocess.run(command, check=True)
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                target = f"usr/lib/modules/{base.name}/{path.relative_to(folder)}"
                tree.put(target, path.read_bytes())


def plain(name: str) -> str:
    return name.replace("-", "_")


def module(path: Path) -> bytes:
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def add_busybox(tree: Tree) -> None:
    busybox = tree.root / "usr/bin/busybox"
    listing = subprocess.run([busybox, "--list"], check=True, capture_output=True, text=True)
    for name in listing.stdout.split():
        if not any(f"usr/{folder}/{name}" in tree.entries for folder in ("bin", "sbin")):
            tree.link(f"usr/bin/{name}", "busybox")


def add_configuration(tree: Tree) -> None:
    homes = {"root": "/root", "nobody": "/nonexistent"}
    users = [f"{n}:x:{u}:{u}:{n}:{homes.get(n, f'/home/{n}')}:/bin/bash\n" for n, u in ACCOUNTS]
    tree.put("etc/passwd", "".join(users).encode())
    tree.put("etc/group", "".join(f"{name}:x:{uid}:\n" for name, uid in ACCOUNTS).encode())
    tree.put("etc/nsswitch.conf", b"passwd: files\ngroup: files\nhosts: files\n")
    tree.put("etc/hosts", b"127.0.0.1 localhost guest\n10.0.2.2 host server\n")
    tree.link("etc/mtab", "../proc/self/mounts")


if __name__ == "__main__":
    print(*built(), sep=os.linesep)
