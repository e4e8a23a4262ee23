"""Samba's smbclient against the running server: what a person does at its prompt."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.clients import (
    Answer,
    SmbClient,
    account,
    checksum,
    make_file,
    make_tree,
    program,
    run,
    tree_checksums,
)
from tests.support.peers import Peer

pytestmark = pytest.mark.interop

DIALECTS = ["SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11"]
# --client-protection=sign leaves the data unsigned; this option signs every message
SIGNED = "--option=client signing=required"
SEALED = "--client-protection=encrypt"
PROTECTED = [
    pytest.param(["-m", "SMB2_10", SIGNED], id="HMAC-SHA256"),
    pytest.param(["-m", "SMB3_00", SIGNED], id="3.0 AES-CMAC"),
    pytest.param(
        [SIGNED, "--option=client smb3 signing algorithms=AES-128-CMAC"], id="3.1.1 AES-CMAC"
    ),
    pytest.param(
        [SIGNED, "--option=client smb3 signing algorithms=AES-128-GMAC"], id="3.1.1 AES-GMAC"
    ),
    pytest.param(["-m", "SMB3_00", SEALED], id="3.0 AES-128-CCM"),
    *(
        pytest.param([SEALED, f"--option=client smb3 encryption algorithms={name}"], id=name)
        for name in ("AES-128-CCM", "AES-128-GCM", "AES-256-CCM", "AES-256-GCM")
    ),
]
NAMES = [
    "plain.txt",
    "two words.txt",
    "größe-ñ-☃.txt",
    "日本語.txt",
    "emoji-\N{PILE OF POO}.txt",
    "dots...in.the.middle.txt",
    ".hidden",
    "no-extension",
    "UPPER.TXT",
    "n" * 200,
    "bracket[1]{2}(3)+=@!#$%&'.txt",
]


@pytest.fixture
def client(live: Peer, tmp_path: Path, request: pytest.FixtureRequest) -> SmbClient:
    """smbclient whose local folder is ``tmp_path``."""
    return SmbClient(live, folder=tmp_path)


@pytest.fixture
def place(live: Peer, request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A folder of its own on the share for each test."""
    name = tmp_path.name
    SmbClient(live, folder=tmp_path).ok(f'mkdir "{name}"')
    return name


def transfer(client: SmbClient, place: str, size: int) -> None:
    """Put, get and delete a file; the bytes that come back are those that went."""
    sent = make_file(client.folder / "sent", size)
    client.ok(f'cd "{place}"; put sent file; get file back; del file')
    assert checksum(client.folder / "back") == sent


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("signing", [False, True], ids=["as negotiated", "signing required"])
def test_every_dialect_transfers_a_file(
    client: SmbClient, place: str, dialect: str, signing: bool
) -> None:
    options = ["-m", dialect, *([SIGNED] if signing else [])]
    transfer(SmbClient(client.peer, options, folder=client.folder), place, 2_500_001)


@pytest.mark.parametrize("options", PROTECTED)
def test_every_algorithm_transfers_a_file(
    client: SmbClient, place: str, options: list[str]
) -> None:
    transfer(SmbClient(client.peer, options, folder=client.folder), place, 2_500_001)


@pytest.mark.parametrize("size", [0, 1, 4096, 65535, 65536, 65537, 1_048_577])
def test_sizes_around_the_edges_arrive_whole(client: SmbClient, place: str, size: int) -> None:
    transfer(client, place, size)


def test_smb1_is_refused(client: SmbClient) -> None:
    old = SmbClient(client.peer, ["-m", "NT1", "--option=client min protocol=NT1"])
    assert old.run("ls").status != 0


def test_a_tree_goes_there_and_comes_back(client: SmbClient, place: str, tmp_path: Path) -> None:
    tree = make_tree(tmp_path / "tree")
    (tmp_path / "back").mkdir()
    client.ok(f'cd "{place}"; prompt off; recurse on; mput tree')
    assert tree_checksums(client.peer.path() / place / "tree") == tree
    client.ok(f'cd "{place}"; lcd back; prompt off; recurse on; mget tree')
    assert tree_checksums(tmp_path / "back" / "tree") == tree


def test_wildcards_choose_files(client: SmbClient, place: str, tmp_path: Path) -> None:
    for name in ("a1.dat", "a2.dat", "b1.dat", "a1.txt"):
        make_file(tmp_path / name, 10)
    client.ok(f'cd "{place}"; prompt off; mput *')
    listing = client.ok(f'ls "{place}\\a?.dat"')
    assert "a1.dat" in listing
    assert "a2.dat" in listing
    assert "b1.dat" not in listing
    assert "a1.txt" not in listing


@pytest.mark.parametrize("name", NAMES)
def test_a_name_survives_the_journey(client: SmbClient, place: str, name: str) -> None:
    make_file(client.folder / "sent", 33)
    client.ok(f'cd "{place}"; put sent "{name}"')
    assert (client.peer.path() / place / name).stat().st_size == 33
    assert name in client.ok(f'ls "{place}\\*"')
    client.ok(f'cd "{place}"; get "{name}" back; del "{name}"')
    assert not (client.peer.path() / place / name).exists()


@pytest.mark.parametrize("name", ["a:b:c:d", "wild*card", "less<than", "pipe|d"])
def test_a_name_windows_forbids_is_refused(client: SmbClient, place: str, name: str) -> None:
    make_file(client.folder / "sent", 3)
    assert "NT_STATUS_OBJECT_NAME_INVALID" in client.run(f'put sent "{place}\\{name}"')


def test_case_does_not_matter(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 5)
    client.ok(f'cd "{place}"; mkdir Folder; cd FOLDER; put sent File.Txt; get fILE.tXT back')
    assert (client.folder / "back").stat().st_size == 5
    assert (client.peer.path() / place / "Folder" / "File.Txt").exists()


def test_rename_moves_and_does_not_replace(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 5)
    client.ok(f'cd "{place}"; put sent a; put sent b; mkdir d; rename a c; rename c d\\c')
    assert "NT_STATUS_OBJECT_NAME_COLLISION" in client.run(f'cd "{place}"; rename b d\\c')
    client.ok(f'cd "{place}"; rename b d\\c -f; rename d e')
    folder = client.peer.path() / place
    assert sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*")) == ["e", "e/c"]


def test_delete_and_rmdir_say_what_is_wrong(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 5)
    client.ok(f'cd "{place}"; mkdir d; cd d; put sent f')

    def said(script: str) -> Answer:
        return client.run(f'cd "{place}"; {script}')

    assert "NT_STATUS_DIRECTORY_NOT_EMPTY" in said("rmdir d")
    assert "NT_STATUS_OBJECT_NAME_COLLISION" in said("mkdir d")
    assert "NT_STATUS_OBJECT_NAME_NOT_FOUND" in said("get nothing x")
    assert "NT_STATUS_OBJECT_PATH_NOT_FOUND" in said("get no\\such\\file x")
    assert "NT_STATUS_NO_SUCH_FILE" in said("ls nothing")
    client.ok(f'cd "{place}"; del d\\f; rmdir d')
    assert list((client.peer.path() / place).iterdir()) == []


def test_allinfo_tells_times_attributes_and_streams(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 5)
    client.ok(f'cd "{place}"; put sent f')
    told = client.ok(f'allinfo "{place}\\f"')
    for word in ("create_time", "access_time", "write_time", "change_time", "attributes"):
        assert word in told
    assert "stream: [::$DATA], 5 bytes" in told


def test_attributes_can_be_set(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 5)
    client.ok(f'cd "{place}"; put sent f; setmode f +rhs')
    (line,) = [text for text in client.ok(f'ls "{place}\\f"').splitlines() if " 5 " in text]
    assert set("RHS") <= set(line.split()[1])
    client.ok(f'cd "{place}"; setmode f -rhs; del f')


def test_a_listing_tells_size_and_free_space(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 12345)
    client.ok(f'cd "{place}"; put sent f')
    told = client.ok(f'ls "{place}\\*"')
    assert " 12345 " in told
    assert "blocks of size" in told


def test_five_hundred_files_are_listed_once_each(client: SmbClient, place: str) -> None:
    folder = client.peer.path() / place
    for number in range(500):
        (folder / f"file-{number:04}-{'x' * 60}").touch()
    listed = [
        line.split()[0]
        for line in client.ok(f'ls "{place}\\file-*"').splitlines()
        if line.strip().startswith("file-")
    ]
    assert sorted(listed) == sorted(path.name for path in folder.iterdir())


def test_a_wrong_password_is_refused(client: SmbClient) -> None:
    wrong = SmbClient(client.peer, password="wrong").run("ls")
    assert wrong.status != 0
    assert "NT_STATUS_LOGON_FAILURE" in wrong


def test_an_unknown_account_is_refused(client: SmbClient) -> None:
    assert "NT_STATUS_LOGON_FAILURE" in SmbClient(client.peer, user="nobody99").run("ls")


def test_an_unknown_share_is_refused(client: SmbClient) -> None:
    assert "NT_STATUS_BAD_NETWORK_NAME" in SmbClient(client.peer, share="nonesuch").run("ls")


def test_a_share_name_needs_no_case(client: SmbClient) -> None:
    client.ok("ls")
    command = [program("smbclient"), f"//{client.peer.host}/SHARE", "-p", str(client.peer.port)]
    assert run([*command, *account(), "-c", "ls"]).status == 0


def test_a_read_only_share_can_be_read_and_not_written(client: SmbClient) -> None:
    (client.peer.path("readonly") / "f").write_text("hello")
    reader = SmbClient(client.peer, share="readonly", folder=client.folder)
    reader.ok("get f back")
    assert (client.folder / "back").read_text() == "hello"
    for script in ("put back g", "del f", "mkdir d", "rename f h"):
        answer = reader.run(script)
        assert "NT_STATUS_ACCESS_DENIED" in answer or "NT_STATUS_MEDIA_WRITE_PROTECTED" in answer
    assert [path.name for path in client.peer.path("readonly").iterdir()] == ["f"]


def test_the_list_of_shares_leaves_out_the_hidden_one(live: Peer) -> None:
    command = [program("smbclient"), "-L", f"//{live.host}", "-p", str(live.port), *account()]
    answer = run(command)
    assert answer.status == 0, answer.text
    names = {line.split()[0] for line in answer.text.splitlines() if line.startswith("\t")}
    assert {"share", "share2", "readonly", "IPC$"} <= names
    assert "hidden" not in names
    assert "the second" in answer
    SmbClient(live, share="hidden").ok("ls")


def test_two_users_see_the_same_files(client: SmbClient, place: str) -> None:
    make_file(client.folder / "sent", 9)
    client.ok(f'cd "{place}"; put sent f')
    SmbClient(client.peer, user="tester2", folder=client.folder).ok(f'get "{place}\\f" back')
    assert (client.folder / "back").stat().st_size == 9


@pytest.mark.parametrize("size", [1, 1 << 20, (16 << 20) + 1, 40_000_001])
def test_a_file_is_copied_on_the_server(client: SmbClient, place: str, size: int) -> None:
    sent = make_file(client.folder / "sent", size)
    client.ok(f'cd "{place}"; put sent f; scopy f copy')
    assert checksum(client.peer.path() / place / "copy") == sent


@pytest.mark.timeout(400)
def test_a_gibibyte_goes_there_and_comes_back(client: SmbClient, place: str) -> None:
    sent = make_file(client.folder / "sent", 1 << 30)
    client.ok(f'cd "{place}"; put sent big', timeout_s=180)
    assert checksum(client.peer.path() / place / "big") == sent
    client.ok(f'cd "{place}"; get big back; del big', timeout_s=180)
    assert checksum(client.folder / "back") == sent
    (client.folder / "sent").unlink()
    (client.folder / "back").unlink()
