"""The guest's file tree as an initramfs: files of packages with the libraries they need."""

from __future__ import annotations

import os
import re
import stat
import struct
from pathlib import Path
from typing import Final, NamedTuple

TRIPLET: Final = "usr/lib/x86_64-linux-gnu"
MERGED: Final = ("bin", "sbin", "lib", "lib64")
DEVICES: Final = {"dev/console": (5, 1), "dev/null": (1, 3)}

PT_LOAD, PT_DYNAMIC, PT_INTERP = 1, 2, 3
DT_NEEDED, DT_STRTAB, DT_RPATH, DT_RUNPATH = 1, 5, 15, 29


class Linkage(NamedTuple):
    """What a program asks of the dynamic loader."""

    needed: list[str]  # names of libraries
    search: list[str]  # RPATH and RUNPATH
    interpreter: str  # the loader's path, '' for a library


def linkage(data: bytes) -> Linkage | None:
    """Read a 64-bit little-endian ELF file; None when it is none."""
    if data[:5] != b"\x7fELF\x02":
        return None
    (start,) = struct.unpack_from("<Q", data, 32)
    size, count = struct.unpack_from("<HH", data, 54)
    loaded: list[tuple[int, int, int]] = []
    dynamic, interpreter = (0, 0), ""
    for number in range(count):
        kind, _, offset, address, _, length, _, _ = struct.unpack_from(
            "<IIQQQQQQ", data, start + number * size
        )
        if kind == PT_LOAD:
            loaded.append((address, offset, length))
        elif kind == PT_DYNAMIC:
            dynamic = (offset, length)
        elif kind == PT_INTERP:
            interpreter = data[offset : offset + length].rstrip(b"\0").decode()
    if dynamic == (0, 0):
        return Linkage([], [], interpreter)
    tags = list(struct.iter_unpack("<qQ", data[dynamic[0] : sum(dynamic)]))
    strings = next(value for tag, value in tags if tag == DT_STRTAB)
    base = next(strings - a + o for a, o, n in loaded if a <= strings < a + n)

    def text(offset: int) -> str:
        return data[base + offset : data.index(b"\0", base + offset)].decode()

    return Linkage(
        [text(value) for tag, value in tags if tag == DT_NEEDED],
        [p for t, v in tags if t in (DT_RPATH, DT_RUNPATH) for p in text(v).split(":")],
        interpreter,
    )


class Tree:
    """Files to go in, by archive path."""

    def __init__(self, root: Path) -> None:
        self.root = root  # the unpacked packages
        self.entries: dict[str, tuple[int, bytes | Path]] = {}  # mode, content or its source

    def folder(self, path: str, mode: int = 0o755) -> None:
        path = path.strip("/")
        if path and path not in self.entries:
            self.folder(os.path.dirname(path))
            self.entries[path] = (stat.S_IFDIR | mode, b"")

    def put(self, path: str, content: bytes | Path, mode: int = 0o644) -> None:
        self.folder(os.path.dirname(path))
        self.entries[path] = (stat.S_IFREG | mode, content)

    def link(self, path: str, target: str) -> None:
        self.folder(os.path.dirname(path))
        self.entries.setdefault(path, (stat.S_IFLNK | 0o777, target.encode()))

    def add(self, path: str) -> None:
        """A file, link or folder of the packages, with what it links to or loads."""
        path = path.strip("/")
        if path in self.entries:
            return
        source = self.root / path
        self.folder(os.path.dirname(path))
        if source.is_symlink():
            self._add_link(path, os.readlink(source))
        elif source.is_dir():
            for child in sorted(source.iterdir()):
                self.add(f"{path}/{child.name}")
        else:
            self.put(path, source, source.stat().st_mode & 0o7777)
            self._add_libraries(source.read_bytes())

    def _add_link(self, path: str, target: str) -> None:
        self.link(path, target)
        joined = target if target.startswith("/") else f"{os.path.dirname(path)}/{target}"
        real = merged(os.path.normpath(joined).lstrip("/"))
        if (self.root / real).exists():
            self.add(real)

    def _add_libraries(self, data: bytes) -> None:
        asked = linkage(data)
        if asked is None:
            return
        folders = [p.replace("$ORIGIN", "/" + TRIPLET).strip("/") for p in asked.search]
        for name in asked.needed:
            for folder in [*folders, TRIPLET, "usr/lib", "usr/lib64"]:
                if (self.root / folder / name).exists():
                    self.add(f"{folder}/{name}")
                    break
        if asked.interpreter:
            self.add(merged(asked.interpreter.lstrip("/")))

    def write(self, out: Path) -> None:
        """A cpio archive ("newc"), everything owned by root, uncompressed."""
        self.folder("dev")
        for path in DEVICES:
            self.entries[path] = (stat.S_IFCHR | 0o600, b"")
        with out.open("wb") as file:
            for number, path in enumerate(sorted(self.entries), 1):
                mode, content = self.entries[path]
                data = content.read_bytes() if isinstance(content, Path) else content
                file.write(member(number, path, mode, data))
            file.write(member(0, "TRAILER!!!", 0, b""))


def merged(path: str) -> str:
    """Where a path lies on a merged-/usr system."""
    return re.sub(rf"^({'|'.join(MERGED)})/", r"usr/\1/", path)


def member(number: int, path: str, mode: int, data: bytes) -> bytes:
    """One file of a "newc" archive: 13 hexadecimal numbers, the name, the content, padded to 4."""
    name = path.encode() + b"\0"
    major, minor = DEVICES.get(path, (0, 0))
    numbers = (number, mode, 0, 0, 1, 0, len(data), 0, 0, major, minor, len(name), 0)
    header = b"070701" + b"".join(b"%08x" % value for value in numbers) + name
    return b"".join((header, bytes(-len(header) % 4), data, bytes(-len(data) % 4)))
