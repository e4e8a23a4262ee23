"""Class L: nothing that a client names, and nothing that a local process does meanwhile, leads out.

The share is ``share``; beside it lies ``outside`` with a secret.  Whatever happens, the outside is
as it was, and no reply has the secret in it.
"""

from __future__ import annotations

import os
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import pytest

from ksmbd.vfs import path as path_module
from ksmbd.vfs import syscalls
from ksmbd.vfs.root import RootOptions, ShareRoot
from ksmbd.wire import fsctl
from ksmbd.wire.access import (
    DELETE,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OPEN_REPARSE_POINT,
    FILE_OVERWRITE_IF,
    FILE_READ_ATTRIBUTES,
    FILE_SUPERSEDE,
    MAXIMUM_ALLOWED,
)
from ksmbd.wire.create_context import TIMEWARP_TOKEN
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.ipc import SHARE_FOLLOW_SYMLINKS, SHARE_WIDE_LINKS
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine, give_to_joe
from tests.support.mountd import DISK, share

SECRET: Final = b"the secret of the outside"
INSIDE: Final = b"what lies in the share"
EXCHANGE: Final = 2  # RENAME_EXCHANGE

ESCAPES: Final = (
    "..",
    "..\\",
    r"..\outside",
    r"..\outside\secret",
    r"dir\..\..\outside\secret",
    r"missing\..\..\outside\secret",
    r"dir\.\..\..\outside\secret",
    r"dir\file\..\..\..\outside\secret",
    r"\..\outside\secret",
    r"\\..\outside\secret",
    r"..\..\..\..\..\..\..\..\etc\passwd",
    "../outside/secret",
    "dir/../../outside/secret",
    r"dir/..\..\outside\secret",
    "/etc/passwd",
    r"\etc\passwd",
    "..\uff0foutside\uff0fsecret",
    "..\u2215outside\u2215secret",
    "\uff0e\uff0e\\outside\\secret",
    r"C:\outside\secret",
    r"C:..\outside\secret",
    r"\\?\C:\outside\secret",
    r"\\server\data\..\outside\secret",
    r"\??\UNC\server\outside",
    "dir\0\\..\\..\\outside\\secret",
    "..\0\\outside\\secret",
    r"..\outside\secret::$DATA",
    r"dir:..\..\outside\secret",
    "dir:../../outside/secret",
    r"dir\file:..\..\outside\secret:$DATA",
    r"..:stream",
    r"..\outside\secret:stream",
    ":..:$DATA",
    r"dir\..",
    r"dir\..\..",
    "%2e%2e\\outside\\secret",
    r"~\outside",
    r"@GMT-2020.01.01-00.00.00\..\..\outside\secret",
)
LINKS: Final = {
    "absolute": lambda place: place / "outside",
    "relative": lambda place: "../outside",
    "chain": lambda place: "relative",
    "back": lambda place: "dir/../../outside",
    "root": lambda place: "/",
    "magic-root": lambda place: f"/proc/self/root{place}/outside",
    "magic-cwd": lambda place: "/proc/self/cwd",
}


class Place:
    """The share and the outside."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.share = folder / "share"
        self.outside = folder / "outside"
        for made in (self.share, self.outside, self.share / "dir"):
            made.mkdir()
            give_to_joe(made)
        for path, data in (
            (self.outside / "secret", SECRET), (self.share / "dir/file", INSIDE),
            (self.share / "dir/secret", INSIDE),
        ):  # fmt: skip
            path.write_bytes(data)
            path.chmod(0o744)
            give_to_joe(path)
        self.before = self.snapshot()

    def snapshot(self) -> list[tuple[object, ...]]:
        """Everything outside that a client could have changed, or left there."""
        found: list[tuple[object, ...]] = [(sorted(os.listdir(self.folder)),)]
        for path in sorted(self.outside.rglob("*")):
            st = path.lstat()
            found.append((str(path), st.st_mode, st.st_nlink, st.st_uid, st.st_mtime_ns))
        found.append((self.outside.stat().st_mtime_ns, os.listxattr(self.outside)))
        secret = self.outside / "secret"
        return [*found, (secret.read_bytes(), os.listxattr(secret))]

    def engine(self, flags: int = DISK) -> Engine:
        return Engine(self.share, shares=[share("data", str(self.share), flags)])


@pytest.fixture
def place(folder: Path) -> Iterator[Place]:
    made = Place(folder)
    yield made
    assert made.snapshot() == made.before, "something has happened outside"


def throw(client: Client, *frames: object) -> NtStatus:
    """The status of the last reply, none of which tells the secret."""
    status = NtStatus.SUCCESS
    for frame in frames:
        for response in client.send(frame):  # type: ignore[arg-type]
            assert SECRET not in response.raw
            assert b"passwd\0" not in response.raw
            status = response.status
    return status


def try_to_use(client: Client, name: str) -> None:
    """Open, make, list, read, write and delete what goes by a name."""
    for disposition, options, access in (
        (FILE_OPEN, 0, MAXIMUM_ALLOWED),
        (FILE_OPEN, FILE_OPEN_REPARSE_POINT, FILE_READ_ATTRIBUTES),
        (FILE_OPEN, FILE_DIRECTORY_FILE, MAXIMUM_ALLOWED),
        (FILE_CREATE, 0, MAXIMUM_ALLOWED),
        (FILE_CREATE, FILE_DIRECTORY_FILE, MAXIMUM_ALLOWED),
        (FILE_OPEN_IF, 0, MAXIMUM_ALLOWED),
        (FILE_OVERWRITE_IF, 0, MAXIMUM_ALLOWED),
        (FILE_SUPERSEDE, FILE_DELETE_ON_CLOSE, MAXIMUM_ALLOWED | DELETE),
    ):
        frame = client.frames.create(
            name, create_disposition=disposition, create_options=options, desired_access=access
        )
        response = client.call(frame)
        if response.status is NtStatus.SUCCESS:
            f = client.file(response).frames
            throw(client, f.query_directory(), f.read(4096), f.write(b"overwritten"))
            throw(client, f.query_info(FileInfo.ALL), f.close())


def named(name: str, *, replace: bool = True) -> bytes:
    raw = name.encode("utf-16-le", "surrogatepass")
    return struct.pack("<B7xQI", replace, 0, len(raw)) + raw


# -- names -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ESCAPES)
def test_no_name_leads_out(place: Place, name: str) -> None:
    try_to_use(ready(place.engine()), name)


@pytest.mark.parametrize("name", ESCAPES)
def test_no_new_name_leads_out(place: Place, name: str) -> None:
    """Of a rename, a hard link, a stream."""
    client = ready(place.engine())
    for information in (FileInfo.RENAME, FileInfo.RENAME_EX, FileInfo.LINK, FileInfo.LINK_EX):
        f = client.open("moving").frames
        throw(client, f.set_info(information, named(name)), f.close())
        f = client.open("directory", create_options=FILE_DIRECTORY_FILE).frames
        throw(client, f.set_info(information, named(name)), f.close())
    f = client.open("file:stream").frames
    throw(client, f.set_info(FileInfo.RENAME, named(":" + name)), f.close())


@pytest.mark.parametrize("name", ESCAPES)
def test_no_pattern_leads_out(place: Place, name: str) -> None:
    client = ready(place.engine())
    f = client.open("dir", create_options=FILE_DIRECTORY_FILE).frames
    for pattern in (name, name + "\\*", name + "/*"):
        throw(client, f.query_directory(pattern, flags=1))


@pytest.mark.parametrize("name", ESCAPES)
def test_no_pipe_leads_out(place: Place, name: str) -> None:
    """CVE-2023-3961 was a pipe's name with a path in it."""
    client = ready(place.engine(), share="IPC$")
    for prefix in ("", "\\", "srvsvc\\", "pipe\\"):
        response = client.call(client.frames.create(prefix + name))
        assert response.status is not NtStatus.SUCCESS
    asked = client.engine.mountd.pipes
    assert asked == {}


def test_a_root_directory_of_a_rename_is_refused(place: Place) -> None:
    client = ready(place.engine())
    f = client.open("moving").frames
    raw = "outside".encode("utf-16-le")
    data = struct.pack("<B7xQI", 1, 7, len(raw)) + raw
    assert client.status(f.set_info(FileInfo.RENAME, data)) is NtStatus.INVALID_PARAMETER


def test_a_name_in_an_fsctl_names_no_file(place: Place) -> None:
    client = ready(place.engine(), share="IPC$")
    raw = r"..\outside\secret".encode("utf-16-le")
    wait = struct.pack("<qIBx", 0, len(raw), 1) + raw
    frame = client.frames.ioctl(fsctl.PIPE_WAIT, wait)
    assert throw(client, frame) is not NtStatus.SUCCESS


def test_a_previous_version_is_not_the_present_one(place: Place) -> None:
    client = ready(place.engine())
    token = [(TIMEWARP_TOKEN, (132_000_000_000_000_000).to_bytes(8, "little"))]
    frame = client.frames.open(r"dir\file", contexts=token)
    assert client.status(frame) is NtStatus.OBJECT_NAME_NOT_FOUND


# -- links -------------------------------------------------------------------------------


@pytest.mark.parametrize("follow", [0, SHARE_FOLLOW_SYMLINKS, SHARE_WIDE_LINKS])
@pytest.mark.parametrize("openat2", [True, False])
def test_no_symlink_leads_out(
    place: Place, follow: int, openat2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither with ``follow symlinks`` alone, nor with ``wide links`` alone."""
    if not openat2:
        monkeypatch.setattr(path_module, "has_openat2", lambda: False)
    for name, target in LINKS.items():
        (place.share / name).symlink_to(target(place.folder))
    client = ready(place.engine(DISK | follow))
    for name in LINKS:
        for below in ("", r"\secret", r"\new", r"\outside\secret", r"\..\outside\secret"):
            try_to_use(client, name + below)
        for inside in (rf"{name}\planted", rf"{name}\secret"):
            f = client.open("moving").frames
            for information in (FileInfo.LINK, FileInfo.RENAME):
                assert throw(client, f.set_info(information, named(inside))) != 0
            throw(client, f.close())


def test_a_symlink_inside_is_followed_if_the_share_says_so(place: Place) -> None:
    (place.share / "inside").symlink_to("dir/file")
    client = ready(place.engine(DISK | SHARE_FOLLOW_SYMLINKS))
    assert client.call(client.open("inside").frames.read(100)).data == INSIDE
    client = ready(place.engine())
    frame = client.frames.open("inside")
    assert client.status(frame) is not NtStatus.SUCCESS


def test_wide_links_lead_out_where_the_share_says_so(folder: Path) -> None:
    place = Place(folder)
    (place.share / "link").symlink_to("../outside")
    client = ready(place.engine(DISK | SHARE_FOLLOW_SYMLINKS | SHARE_WIDE_LINKS))
    assert client.call(client.open(r"link\secret").frames.read(100)).data == SECRET


def test_a_hard_link_of_something_outside_is_the_shares_own(place: Place) -> None:
    """What it links to somebody with the right to has put there; names around it stay hidden."""
    (place.share / "hard").hardlink_to(place.share / "dir/file")
    client = ready(place.engine())
    f = client.open("hard").frames
    response = client.call(f.query_info(FileInfo.HARD_LINK))
    assert SECRET not in response.raw


# -- while a local process is at it --------------------------------------------------------


@contextmanager
def flipping(place: Place) -> Iterator[None]:
    """``dir`` is now a directory, now a symlink to the outside, as fast as can be."""
    link = place.share / "link"
    link.symlink_to(place.outside)
    stop = threading.Event()

    def flip() -> None:
        one, other = os.fsencode(place.share / "dir"), os.fsencode(link)
        while not stop.is_set():
            syscalls._renameat2(syscalls._RENAMEAT2, -100, one, -100, other, EXCHANGE)

    thread = threading.Thread(target=flip)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()


Step = Callable[[ShareRoot, int], object]


def _read(root: ShareRoot, _number: int) -> object:
    with root.resolve("dir/secret") as entry:
        handle = root.open(entry, read=True, write=True)
    try:
        data = bytearray(64)
        handle.readinto(memoryview(data), 0)
        assert SECRET not in data
        handle.set_attributes(2)
    finally:
        handle.close()
    return data


def _make(root: ShareRoot, number: int) -> object:
    with root.resolve(f"dir/f{number}") as entry:
        handle = root.create_file(entry, 0o644)
    try:
        return root.unlink(handle)
    finally:
        handle.close()


def _make_directory(root: ShareRoot, number: int) -> object:
    with root.resolve(f"dir/d{number}") as entry:
        handle = root.create_directory(entry, 0o755)
    try:
        return root.unlink(handle)
    finally:
        handle.close()


def _move(root: ShareRoot, number: int) -> object:
    """In and out again, by rename and by link."""
    with root.resolve(f"m{number}") as entry:
        handle = root.create_file(entry, 0o644)
    try:
        with suppress(OSError), root.resolve(f"dir/l{number}") as target:
            root.link(handle, target, replace=True)
        with suppress(OSError), root.resolve(f"dir/m{number}") as target:
            root.rename(handle, target, replace=True)
        with suppress(OSError), root.resolve("dir/secret") as target:
            root.link(handle, target, replace=True)
        return root.unlink(handle)
    finally:
        handle.close()


def _list(root: ShareRoot, _number: int) -> object:
    with root.resolve("dir") as entry:
        handle = root.open(entry, read=True, write=False)
    try:
        entries = handle.entries()
        entries.restart("*")
        names = {found.name for found in entries.stream()}
        entries.close()
        assert "file" in names or "secret" not in names, "the outside was listed"
    finally:
        handle.close()
    return names


STEPS: Final[tuple[Step, ...]] = (_read, _make, _make_directory, _move, _list)


@pytest.mark.parametrize("follow", [False, True])
@pytest.mark.parametrize("openat2", [True, False])
def test_a_directory_that_turns_into_a_symlink_and_back_leads_nowhere(
    place: Place, follow: bool, openat2: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Thousands of exchanges while everything is done that a name is needed for."""
    if not openat2:
        monkeypatch.setattr(path_module, "has_openat2", lambda: False)
    root = ShareRoot(str(place.share), RootOptions(follow_symlinks=follow))
    done = refused = 0
    with flipping(place):
        for number in range(300):
            for step in STEPS:
                try:
                    step(root, number)
                    done += 1
                except OSError:
                    refused += 1
    root.close()
    assert done, "nothing got through"
    assert refused, "the race was never met"


def test_a_client_meets_the_same_race(place: Place) -> None:
    client = ready(place.engine(DISK | SHARE_FOLLOW_SYMLINKS))
    seen = set()
    with flipping(place):
        for number in range(150):
            for name in (r"dir\secret", rf"dir\new{number}"):
                response = client.call(client.frames.create(name))
                seen.add(response.status)
                if response.status is NtStatus.SUCCESS:
                    f = client.file(response).frames
                    throw(client, f.read(64), f.set_info(FileInfo.RENAME, named(rf"dir\r{number}")))
                    throw(client, f.set_info(FileInfo.DISPOSITION, b"\1"), f.close())
    assert NtStatus.SUCCESS in seen
    assert len(seen) > 1, "the race was never met"


def test_what_has_left_the_share_is_no_way_out(place: Place) -> None:
    """A directory that is open and was moved out by a local process stays what it was."""
    client = ready(place.engine())
    directory = client.open("dir", create_options=FILE_DIRECTORY_FILE)
    inside = client.open(r"dir\file")
    (place.share / "dir").rename(place.folder / "gone")
    f, g = directory.frames, inside.frames
    throw(client, f.query_directory(flags=1), f.query_info(FileInfo.ALL))
    assert client.call(g.read(100)).data == INSIDE
    for what in (f, g):
        for name in (r"back", r"gone\back", r"..\gone\back"):
            throw(client, what.set_info(FileInfo.RENAME, named(name)))
    throw(client, f.set_info(FileInfo.DISPOSITION, b"\1"), f.close())
    throw(client, g.set_info(FileInfo.DISPOSITION, b"\1"), g.close())
    assert sorted(os.listdir(place.folder / "gone")) == ["file", "secret"]
    assert client.status(client.frames.open(r"dir\file")) is NtStatus.OBJECT_PATH_NOT_FOUND
    (place.folder / "gone").rename(place.share / "dir")
