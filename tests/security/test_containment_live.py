"""Class L against a running server with other people's clients: smbprotocol and smbclient."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest
from smbprotocol.exceptions import SMBException
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    ShareAccess,
)
from smbprotocol.tree import TreeConnect

from tests.interop.clients import SmbClient
from tests.security.test_containment import ESCAPES, SECRET, Place, flipping
from tests.support.live import LiveServer, LiveShare
from tests.support.smb_tree import SmbTree

pytestmark = pytest.mark.interop


@pytest.fixture
def place(real_folder: Path) -> Iterator[Place]:
    folder = real_folder / f"contained-{uuid.uuid4()}"
    folder.mkdir()
    made = Place(folder)
    yield made
    shutil.rmtree(folder)


@pytest.fixture
def server(place: Place, tmp_path: Path) -> Iterator[LiveServer]:
    options = {"read only": "no", "follow symlinks": "yes"}
    shares = [LiveShare("share", place.share, options)]
    with LiveServer(tmp_path, shares=shares) as running:
        yield running
    assert place.snapshot() == place.before, "something has happened outside"


@pytest.fixture
def tree(server: LiveServer) -> Iterator[TreeConnect]:
    with SmbTree(server) as made:
        yield made.tree


def try_to_read(tree: TreeConnect, name: str, disposition: int) -> bytes:
    """What a file of that name holds; nothing if the server refuses."""
    file = Open(tree, name)
    try:
        file.create(
            ImpersonationLevel.Impersonation,
            FilePipePrinterAccessMask.MAXIMUM_ALLOWED,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE,
            disposition,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
        )
        data: bytes = file.read(0, 100)
        file.close()
    except SMBException:
        return b""
    return data


def test_no_name_of_smbprotocols_leads_out(tree: TreeConnect) -> None:
    for name in ESCAPES:
        for disposition in (CreateDisposition.FILE_OPEN, CreateDisposition.FILE_OVERWRITE_IF):
            assert SECRET not in try_to_read(tree, name, disposition), name


def test_a_directory_that_turns_into_a_symlink_leads_nowhere(
    tree: TreeConnect, place: Place
) -> None:
    inside = 0
    with flipping(place):
        for _ in range(300):
            data = try_to_read(tree, r"dir\secret", CreateDisposition.FILE_OPEN)
            assert SECRET not in data
            inside += bool(data)
    assert inside, "nothing got through"


def test_smbclient_finds_no_way_out(server: LiveServer, place: Place, tmp_path: Path) -> None:
    (place.share / "out").symlink_to("../outside")
    samba = SmbClient(server, folder=tmp_path)
    for script in (
        r"get ..\outside\secret stolen",
        r"get out\secret stolen",
        "cd ..; cd outside; get secret stolen",
        "cd out; get secret stolen",
        r"rename dir\file ..\outside\moved",
        r"rename dir\file out\moved",
        r"del ..\outside\secret",
        r"rm out\secret",
        r"mkdir ..\outside\made",
        r"mkdir out\made",
    ):
        samba.run(script)
        assert not (tmp_path / "stolen").exists(), script
