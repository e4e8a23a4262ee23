"""Fetch Debian packages without installing them.

Peers of the tests (a Linux guest, QEMU, Samba) are unpacked into a cache folder.  apt gets a state
of its own there (lists, archives, an empty dpkg status), so the host's installed packages play no
part: a package's dependency closure is resolved as on an empty system, downloaded, its signature
checked, and unpacked with dpkg-deb.

The mirror is the one that the host's own apt uses, or ``$DEBIAN_MIRROR``.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, Self

KEYRING: Final = "/usr/share/keyrings/debian-archive-keyring.gpg"
SUITE: Final = os.environ.get("KSMBD_TEST_SUITE", "trixie")
How = Literal["closure", "only", "kernel"]

URI: Final = re.compile(r"^(?:URIs:|deb(?:\s+\[[^]]*\])?)\s+(\S+/debian)/?(?:\s|$)", re.M)
CONFIGURATION: Final = """\
Dir::Etc "{folder}/etc";
Dir::Etc::sourcelist "{folder}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferencesparts "/dev/null";
Dir::State "{folder}/state";
Dir::State::status "{folder}/status";
Dir::Cache "{folder}/cache";
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
Acquire::Check-Valid-Until "false";
Debug::NoLocking "true";
"""
# what no program needs to run
LEFT_OUT: Final = ("doc", "man", "locale", "info")


class NoPackages(RuntimeError):
    """The packages cannot be had: no mirror, no network, no such package."""


def cache_folder() -> Path:
    """Where unpacked packages stay between runs; may be deleted at any time."""
    if named := os.environ.get("KSMBD_TEST_CACHE"):
        return Path(named)
    if base := os.environ.get("XDG_CACHE_HOME"):
        return Path(base) / "ksmbd-tests"
    return Path(__file__).parents[2] / ".cache" / "debian"


def mirror_in(text: str) -> str | None:
    """The first Debian archive in the text of an apt source, one-line or deb822."""
    found = URI.search(text)
    return found[1] if found else None


def mirror(folder: Path = Path("/etc/apt")) -> str:
    """The mirror of the host's own apt, or ``$DEBIAN_MIRROR``."""
    if named := os.environ.get("DEBIAN_MIRROR"):
        return named
    for file in [folder / "sources.list", *sorted((folder / "sources.list.d").glob("*"))]:
        if file.is_file() and (found := mirror_in(file.read_text())):
            return found
    raise NoPackages(f"no Debian mirror in {folder}: set DEBIAN_MIRROR")


class Apt:
    """apt with a state of its own for one suite; one process at a time uses it."""

    def __init__(self, suite: str) -> None:
        self.folder = cache_folder() / f"apt-{suite}"
        for part in ("state/lists/partial", "cache/archives/partial", "etc/apt.conf.d"):
            (self.folder / part).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").touch()
        self._lock = (self.folder / "lock").open("w")
        fcntl.flock(self._lock, fcntl.LOCK_EX)
        source = f"deb [signed-by={KEYRING}] {mirror()} {suite} main\n"
        (self.folder / "sources.list").write_text(source)
        # apt reads these before its command line: the host's stay out
        (self.folder / "apt.conf").write_text(CONFIGURATION.format(folder=self.folder))
        self.archives = self.folder / "cache/archives"
        self.updated = False
        if not list((self.folder / "state/lists").glob("*_Packages*")):
            self.update()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._lock.close()

    def update(self) -> None:
        self.run("apt-get", "-qq", "update")
        self.updated = True

    def run(self, *command: str, folder: Path | None = None) -> str:
        environment = dict(os.environ, APT_CONFIG=str(self.folder / "apt.conf"))
        done = subprocess.run(
            command, env=environment, cwd=folder, capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise NoPackages(f"{' '.join(command)}: {done.stderr.strip()[-1000:]}")
        return done.stdout

    def closure(self, packages: Sequence[str]) -> list[Path]:
        """The archives of the packages and of all that they depend on."""
        # -s names every package; --print-uris would leave out those in the cache
        text = self.run("apt-get", "-s", "-y", "install", *packages)
        names = [
            f"{name}_{version.replace(':', '%3a')}_{arch}.deb"
            for name, version, arch in re.findall(
                r"^Inst (\S+) \((\S+) [^)]*\[(\w+)\]\)", text, re.M
            )
        ]
        if not all((self.archives / name).exists() for name in names):
            self.run("apt-get", "-qq", "-y", "-d", "install", *packages)
        return [self.archives / name for name in names]

    def only(self, packages: Sequence[str]) -> list[Path]:
        """The archives of just these packages."""
        archives = []
        for package in packages:
            text = self.run("apt-get", "-qq", "--print-uris", "download", package)
            found = re.search(r"^'[^']+' (\S+)", text, re.M)
            if found is None:
                raise NoPackages(f"no {package} in this suite")
            if not (self.archives / found[1]).exists():
                self.run("apt-get", "-qq", "download", package, folder=self.archives)
            archives.append(self.archives / found[1])
        return archives

    def depends(self, package: str) -> list[str]:
        text = self.run("apt-cache", "show", "--no-all-versions", package)
        found = re.search(r"^Depends: (.*)$", text, re.M)
        return [part.split()[0] for part in found[1].split(", ")] if found else []

    def kernel(self) -> list[Path]:
        """The archives with the suite's kernel and its modules."""
        image = next(d for d in self.depends("linux-image-amd64") if d.startswith("linux-image-"))
        parts = [d for d in self.depends(image) if re.match(r"linux-(base|binary|modules)-\d", d)]
        return self.only([image, *parts])

    def fetch(self, how: How, packages: Sequence[str]) -> list[Path]:
        if how == "kernel":
            return self.kernel()
        return self.closure(packages) if how == "closure" else self.only(packages)


def unpack(archives: Sequence[Path], folder: Path) -> None:
    """Unpack onto a merged-/usr tree."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("bin", "sbin", "lib", "lib64"):
        (folder / "usr" / name).mkdir(parents=True, exist_ok=True)
        if not (folder / name).is_symlink():
            (folder / name).symlink_to(f"usr/{name}")
    excluded = [f"--exclude=./usr/share/{name}" for name in LEFT_OUT]
    for archive in archives:
        # a tar stream keeps the links /bin -> /usr/bin as they are
        with subprocess.Popen(
            ["dpkg-deb", "--fsys-tarfile", archive], stdout=subprocess.PIPE
        ) as stream:
            subprocess.run(
                ["tar", "-x", "-C", folder, "--keep-directory-symlink", *excluded],
                stdin=stream.stdout,
                check=True,
            )
        if stream.returncode:
            raise NoPackages(f"dpkg-deb failed on {archive.name}")


def ensure(name: str, how: How, packages: Sequence[str] = (), suite: str = SUITE) -> Path:
    """The folder ``name`` of the cache with the packages in it, made once.

    The stamp beside it is written last: a folder without one is made anew.  Lists that have grown
    too old to download by are fetched again, once.
    """
    folder = cache_folder() / f"{name}-{suite}"
    stamp = folder.with_name(folder.name + ".stamp")
    wanted = f"{suite} {how} {' '.join(packages)}\n"
    if stamp.exists() and stamp.read_text().startswith(wanted):
        return folder
    with Apt(suite) as apt:
        if stamp.exists() and stamp.read_text().startswith(wanted):
            return folder  # another process made it meanwhile
        try:
            archives = apt.fetch(how, packages)
        except NoPackages:
            if apt.updated:
                raise
            apt.update()
            archives = apt.fetch(how, packages)
        shutil.rmtree(folder, ignore_errors=True)
        unpack(archives, folder)
        stamp.write_text(wanted + "".join(archive.name + "\n" for archive in archives))
    return folder


def run_inside(root: Path, *command: str | Path) -> list[str]:
    """The command line that runs a program of an unpacked tree with the tree's own libraries."""
    library = root / "usr/lib/x86_64-linux-gnu"
    loader = [str(library / "ld-linux-x86-64.so.2"), "--library-path", str(library)]
    return [*loader, *(str(word) for word in command)]
