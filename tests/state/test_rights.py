"""state/rights.py: what a tree's user may do with a file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.state import rights
from ksmbd.state.tree import TreeConnect
from ksmbd.wire.access import (
    DELETE,
    FILE_ADD_FILE,
    FILE_ADD_SUBDIRECTORY,
    FILE_ALL_ACCESS,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_WRITE_DATA,
    MAXIMUM_ALLOWED,
    READ_CONTROL,
    WRITE_DAC,
)
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine
from tests.support.mountd import DISK, User, share

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs files of somebody else")


@pytest.fixture
def tree(client: Client) -> TreeConnect:
    session = client.engine.server.sessions[client.frames.session_id]
    return session.find_tree(client.frames.tree_id)


def granted(tree: TreeConnect, name: str, desired: int, besides: int = 0) -> int:
    with tree.root.resolve(name) as entry:
        return rights.granted(tree, entry, desired, besides)


def of_root(path: Path, mode: int) -> Path:
    os.chown(path, 0, 0)
    path.chmod(mode)
    return path


def test_the_owner_has_what_the_mode_gives_and_keeps_the_descriptor(tree: TreeConnect) -> None:
    path = Path(tree.share.path) / "file"
    path.touch()
    os.chown(path, 1000, 1000)
    path.chmod(0o000)
    assert granted(tree, "file", READ_CONTROL | WRITE_DAC) == READ_CONTROL | WRITE_DAC
    with pytest.raises(PermissionError):
        granted(tree, "file", FILE_READ_DATA)
    path.chmod(0o700)
    assert granted(tree, "file", MAXIMUM_ALLOWED) == FILE_ALL_ACCESS


def test_others_have_what_the_mode_gives(tree: TreeConnect) -> None:
    path = of_root(Path(tree.share.path), 0o755) / "file"
    path.touch()
    of_root(path, 0o644)
    assert granted(tree, "file", FILE_READ_DATA) == FILE_READ_DATA
    for refused in (FILE_WRITE_DATA, WRITE_DAC, DELETE):
        with pytest.raises(PermissionError):
            granted(tree, "file", refused)
    mask = granted(tree, "file", MAXIMUM_ALLOWED)
    assert mask & FILE_READ_DATA
    assert not mask & (FILE_WRITE_DATA | WRITE_DAC | DELETE)


def test_who_may_empty_the_directory_may_delete_what_is_in_it(tree: TreeConnect) -> None:
    path = Path(tree.share.path) / "file"
    path.touch()
    of_root(path, 0o600)
    assert granted(tree, "file", DELETE) == DELETE
    assert granted(tree, "file", FILE_READ_ATTRIBUTES) == FILE_READ_ATTRIBUTES


def test_what_is_needed_besides_is_asked_for_and_not_granted(tree: TreeConnect) -> None:
    path = Path(tree.share.path) / "file"
    path.touch()
    of_root(path, 0o644)
    with pytest.raises(PermissionError):
        granted(tree, "file", FILE_READ_DATA, FILE_WRITE_DATA)
    path.chmod(0o666)
    assert granted(tree, "file", FILE_READ_DATA, FILE_WRITE_DATA) == FILE_READ_DATA


def test_new_files_need_the_right_in_their_directory(tree: TreeConnect) -> None:
    path = Path(tree.share.path)
    with tree.root.resolve("new") as entry:
        rights.require_in_parent(tree, entry, FILE_ADD_FILE)
        of_root(path, 0o755)
        for right in (FILE_ADD_FILE, FILE_ADD_SUBDIRECTORY):
            with pytest.raises(PermissionError):
                rights.require_in_parent(tree, entry, right)


def test_root_may_everything(folder: Path) -> None:
    engine = Engine(folder, users=[User("root", uid=0, gid=0)])
    client = ready(engine, user="root")
    session = engine.server.sessions[client.frames.session_id]
    tree = session.find_tree(client.frames.tree_id)
    path = folder / "file"
    path.touch()
    os.chown(path, 1234, 1234)
    path.chmod(0)
    assert granted(tree, "file", MAXIMUM_ALLOWED) == FILE_ALL_ACCESS
    assert granted(tree, "file", FILE_READ_DATA | WRITE_DAC) == FILE_READ_DATA | WRITE_DAC


@pytest.mark.parametrize("inherit", [True, False])
def test_new_files_are_their_makers_or_their_directorys(folder: Path, inherit: bool) -> None:
    flags = DISK | (0x400 if inherit else 0)
    client = ready(Engine(folder, shares=[share("data", str(folder), flags)]))
    os.chown(folder, 4321, 4321)
    folder.chmod(0o777)
    client.open("file")
    assert (folder / "file").stat().st_uid == (4321 if inherit else 1000)


def test_force_user_makes_everything_his(folder: Path) -> None:
    forced = share("data", str(folder), DISK, force_uid=4321, force_gid=4322)
    engine = Engine(folder, shares=[forced])
    folder.chmod(0o777)
    client = ready(engine)
    client.open("file")
    st = (folder / "file").stat()
    assert (st.st_uid, st.st_gid) == (4321, 4322)
    (folder / "secret").touch()
    of_root(folder / "secret", 0o600)
    frame = client.frames.open("secret", desired_access=FILE_READ_DATA)
    assert client.status(frame) is NtStatus.ACCESS_DENIED


def test_each_session_acts_as_its_own_user(folder: Path) -> None:
    engine = Engine(
        folder, users=[User("joe", uid=1000, gid=1000), User("ann", uid=2000, gid=2000)]
    )
    folder.chmod(0o777)
    joe, ann = ready(engine), ready(engine, user="ann")
    joe.open("of-joe")
    ann.open("of-ann")
    joe.open("joe-again")
    owners = {path.name: path.stat().st_uid for path in folder.iterdir()}
    assert owners == {"of-joe": 1000, "of-ann": 2000, "joe-again": 1000}
    assert os.geteuid() == 0
