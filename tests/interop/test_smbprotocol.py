"""The Python client smbprotocol: its file functions, and negotiation seen from close by."""

from __future__ import annotations

import io
import shutil
import stat
import uuid
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import smbclient
import smbclient.path
import smbclient.shutil
from smbprotocol.connection import Ciphers, Connection, Dialects, SigningAlgorithms
from smbprotocol.exceptions import LogonFailure, SMBOSError
from smbprotocol.file_info import FileAttributes
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from tests.interop.clients import make_file, make_tree, tree_checksums
from tests.support.live import PASSWORD
from tests.support.peers import Peer

pytestmark = pytest.mark.interop

DIALECTS = [
    Dialects.SMB_2_0_2,
    Dialects.SMB_2_1_0,
    Dialects.SMB_3_0_0,
    Dialects.SMB_3_0_2,
    Dialects.SMB_3_1_1,
]


class Files:
    """smbclient's functions for one server: ``files.stat(path)`` is ``smbclient.stat`` there."""

    def __init__(self, peer: Peer) -> None:
        self.cache: dict[str, Connection] = {}
        self._options = {
            "username": "tester",
            "password": PASSWORD,
            "port": peer.port,
            "auth_protocol": "ntlm",
            "connection_cache": self.cache,
        }

    def __getattr__(self, name: str) -> Callable[..., Any]:
        return partial(getattr(smbclient, name), **self._options)

    def exists(self, path: str) -> bool:
        return bool(smbclient.path.exists(path, **self._options))

    def rmtree(self, path: str) -> None:
        smbclient.shutil.rmtree(path, **self._options)


@pytest.fixture
def files(live: Peer) -> Iterator[Files]:
    made = Files(live)
    yield made
    smbclient.reset_connection_cache(connection_cache=made.cache)


@pytest.fixture
def root(files: Files, live: Peer, tmp_path: Path) -> str:
    """A folder of its own on the share, as a UNC path."""
    name = rf"\\{live.host}\share\{tmp_path.name}"
    files.mkdir(name)
    return name


def local(live: Peer, tmp_path: Path) -> Path:
    return live.path() / tmp_path.name


def test_a_file_is_written_read_and_seen_on_disk(
    files: Files, root: str, live: Peer, tmp_path: Path
) -> None:
    with files.open_file(rf"{root}\f.txt", mode="w", encoding="utf-8") as file:
        file.write("größe\n")
    assert (local(live, tmp_path) / "f.txt").read_text() == "größe\n"
    with files.open_file(rf"{root}\f.txt", encoding="utf-8") as file:
        assert file.read() == "größe\n"


def test_a_file_is_read_and_written_at_any_place(files: Files, root: str) -> None:
    with files.open_file(rf"{root}\f", mode="w+b", buffering=0) as file:
        file.write(b"0123456789")
        file.seek(3)
        file.write(b"abc")
        file.seek(-2, io.SEEK_END)
        assert file.read() == b"89"
        file.seek(0)
        assert file.read(6) == b"012abc"
        assert file.truncate(4) == 4
    assert files.stat(rf"{root}\f").st_size == 4


def test_a_file_is_appended_to(files: Files, root: str) -> None:
    for text in ("one\n", "two\n"):
        with files.open_file(rf"{root}\f", mode="a") as file:
            file.write(text)
    with files.open_file(rf"{root}\f") as file:
        assert file.read() == "one\ntwo\n"


def test_an_exclusive_create_refuses_what_exists(files: Files, root: str) -> None:
    files.open_file(rf"{root}\f", mode="x").close()
    with pytest.raises(SMBOSError, match="0xc0000035"):  # OBJECT_NAME_COLLISION
        files.open_file(rf"{root}\f", mode="x")


def test_a_tree_is_walked(files: Files, root: str, live: Peer, tmp_path: Path) -> None:
    tree = make_tree(local(live, tmp_path))
    seen = {
        f"{folder}\\{name}".removeprefix(root + "\\").replace("\\", "/")
        for folder, _, names in files.walk(root)
        for name in names
    }
    assert seen == set(tree)


def test_a_tree_is_written_and_removed(files: Files, root: str, live: Peer, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    for name in tree:
        target = rf"{root}\copy\{name}".replace("/", "\\")
        files.makedirs(target.rpartition("\\")[0], exist_ok=True)
        with files.open_file(target, mode="wb") as file:
            file.write((tmp_path / "tree" / name).read_bytes())
    assert tree_checksums(local(live, tmp_path) / "copy") == tree
    files.rmtree(rf"{root}\copy")
    assert not (local(live, tmp_path) / "copy").exists()


def test_a_file_is_copied_by_way_of_the_client(
    files: Files, root: str, live: Peer, tmp_path: Path
) -> None:
    make_file(local(live, tmp_path) / "from", 5_000_001)
    with (
        files.open_file(rf"{root}\from", mode="rb") as source,
        files.open_file(rf"{root}\to", mode="xb") as target,
    ):
        shutil.copyfileobj(source, target, 1 << 20)
    found = tree_checksums(local(live, tmp_path))
    assert found["from"] == found["to"]


def test_stat_tells_what_the_disk_says(files: Files, root: str, live: Peer, tmp_path: Path) -> None:
    make_file(local(live, tmp_path) / "f", 1234)
    told, real = files.stat(rf"{root}\f"), (local(live, tmp_path) / "f").stat()
    assert told.st_size == 1234
    assert stat.S_ISREG(told.st_mode)
    assert told.st_mtime_ns // 100 == real.st_mtime_ns // 100
    assert told.st_nlink == 1
    assert stat.S_ISDIR(files.stat(root).st_mode)


def test_times_are_set(files: Files, root: str, live: Peer, tmp_path: Path) -> None:
    files.open_file(rf"{root}\f", mode="w").close()
    files.utime(rf"{root}\f", times=(1_000_000_000, 1_100_000_000))
    assert (local(live, tmp_path) / "f").stat().st_mtime == 1_100_000_000
    assert files.stat(rf"{root}\f").st_atime == 1_000_000_000


def test_attributes_come_back(files: Files, root: str) -> None:
    wanted = FileAttributes.FILE_ATTRIBUTE_HIDDEN | FileAttributes.FILE_ATTRIBUTE_SYSTEM
    with files.open_file(rf"{root}\f", mode="w", file_attributes=wanted) as file:
        file.write("x")
    told = files.stat(rf"{root}\f").st_file_attributes
    assert told & wanted == wanted


def test_rename_replace_and_remove(files: Files, root: str) -> None:
    for name in ("a", "b"):
        with files.open_file(rf"{root}\{name}", mode="w") as file:
            file.write(name)
    with pytest.raises(SMBOSError, match="0xc0000035"):  # OBJECT_NAME_COLLISION
        files.rename(rf"{root}\a", rf"{root}\b")
    files.replace(rf"{root}\a", rf"{root}\b")
    with files.open_file(rf"{root}\b") as file:
        assert file.read() == "a"
    files.remove(rf"{root}\b")
    assert files.listdir(root) == []


def test_folders_are_made_and_removed(files: Files, root: str) -> None:
    files.makedirs(rf"{root}\a\b\c")
    with pytest.raises(SMBOSError, match="0xc0000101"):  # DIRECTORY_NOT_EMPTY
        files.rmdir(rf"{root}\a")
    files.removedirs(rf"{root}\a\b\c")
    assert not files.exists(rf"{root}\a")


def test_a_thousand_names_are_listed_once_each(
    files: Files, root: str, live: Peer, tmp_path: Path
) -> None:
    names = {f"name-{number:04}" for number in range(1000)}
    for name in names:
        (local(live, tmp_path) / name).touch()
    listed = files.listdir(root)
    assert len(listed) == 1000
    assert set(listed) == names
    assert len(files.listdir(root, search_pattern="name-00?5")) == 10


def test_a_hard_link_is_one_file_with_two_names(files: Files, root: str) -> None:
    files.open_file(rf"{root}\f", mode="w").close()
    files.link(rf"{root}\f", rf"{root}\g")
    assert files.stat(rf"{root}\g").st_nlink == 2
    assert files.stat(rf"{root}\g").st_ino == files.stat(rf"{root}\f").st_ino


def test_a_missing_file_and_a_missing_folder_are_told_apart(files: Files, root: str) -> None:
    with pytest.raises(SMBOSError, match="0xc0000034"):  # OBJECT_NAME_NOT_FOUND
        files.stat(rf"{root}\nothing")
    with pytest.raises(SMBOSError, match="0xc000003a"):  # OBJECT_PATH_NOT_FOUND
        files.stat(rf"{root}\nothing\here")


def test_a_share_mode_keeps_a_second_open_out(files: Files, root: str) -> None:
    with (
        files.open_file(rf"{root}\f", mode="w", share_access="r"),
        pytest.raises(SMBOSError, match="0xc0000043"),  # SHARING_VIOLATION
    ):
        files.open_file(rf"{root}\f", mode="a")


def test_volume_figures_are_plausible(files: Files, root: str) -> None:
    told = files.stat_volume(root)
    assert told.total_size > told.actual_available_size > 0


# negotiation, from close by


@pytest.fixture
def connection(live: Peer) -> Iterator[Connection]:
    """A client that has not connected yet."""
    made = Connection(uuid.uuid4(), live.host, live.port, require_signing=True)
    yield made
    made.disconnect(close=False)


@pytest.mark.parametrize("dialect", DIALECTS, ids=hex)
def test_a_dialect_that_is_asked_for_is_spoken(connection: Connection, dialect: int) -> None:
    connection.connect(dialect)
    assert connection.dialect == dialect
    session = Session(connection, "tester", PASSWORD, require_encryption=False)
    session.connect()
    tree = TreeConnect(session, rf"\\{connection.server_name}\share")
    tree.connect(require_secure_negotiate=True)
    tree.disconnect()
    session.disconnect()


@pytest.mark.parametrize(
    "cipher",
    [Ciphers.AES_128_CCM, Ciphers.AES_128_GCM, Ciphers.AES_256_CCM, Ciphers.AES_256_GCM],
)
def test_a_cipher_that_is_asked_for_is_used(connection: Connection, cipher: int) -> None:
    connection.connect(Dialects.SMB_3_1_1, preferred_encryption_algos=[cipher])
    assert connection.cipher_id == cipher
    session = Session(connection, "tester", PASSWORD, require_encryption=True)
    session.connect()
    TreeConnect(session, rf"\\{connection.server_name}\share").connect()
    session.disconnect()


@pytest.mark.parametrize("algorithm", [SigningAlgorithms.AES_CMAC, SigningAlgorithms.AES_GMAC])
def test_a_signing_algorithm_that_is_asked_for_is_used(
    connection: Connection, algorithm: int
) -> None:
    connection.connect(Dialects.SMB_3_1_1, preferred_signing_algos=[algorithm])
    assert connection.signing_algorithm_id == algorithm
    session = Session(connection, "tester", PASSWORD, require_encryption=False)
    session.connect()
    TreeConnect(session, rf"\\{connection.server_name}\share").connect()
    session.disconnect()


def test_a_wrong_password_is_a_logon_failure(connection: Connection) -> None:
    connection.connect(Dialects.SMB_3_1_1)
    with pytest.raises(LogonFailure):
        Session(connection, "tester", "wrong").connect()


def test_the_server_says_what_it_can_do(connection: Connection) -> None:
    connection.connect(Dialects.SMB_3_1_1)
    assert connection.max_read_size >= 1 << 20
    assert connection.max_write_size >= 1 << 20
    assert connection.supports_multi_credit
    assert connection.server_guid is not None
