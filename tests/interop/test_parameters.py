"""Parameters of a running server, each changed by a reload: clients find what it says.

One server for all.  A row is a parameter, its values, and what a client sees under each, which
differs: so each proves that the parameter does something and that a reload changes it.  What a
reload changes for whom is in ``mountd/reloading.py``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from smbprotocol.connection import Ciphers, Connection, Dialects, SigningAlgorithms
from smbprotocol.create_contexts import SMB2CreateContextRequest
from smbprotocol.exceptions import SMBException, SMBResponseException
from smbprotocol.file_info import InfoType
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FileAttributes,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    Open,
    RequestedOplockLevel,
    ShareAccess,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from control import actions
from tests.interop.clients import Answer, SmbClient, account, program, run
from tests.support.frames import FrameFactory
from tests.support.live import PASSWORD, LiveServer, LiveShare

pytestmark = pytest.mark.interop

NAME = "share"
GUEST = "nobody-has-this-name"
MULTI_CHANNEL, PERSISTENT_HANDLES = 0x8, 0x10  # capabilities
BATCH = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_BATCH
NONE = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_NONE
FS_ATTRIBUTE_INFORMATION = 5
AAPL = struct.pack("<IIQQ", 1, 0, 7, 0)  # a server query: capabilities, volume, model


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "reloaded"
    folder.mkdir()
    there = {"TZ": "America/New_York"}  # five hours behind, in January
    with LiveServer(folder, shares=[share(folder)], environment=there) as running:
        fill(running.path())
        fill(folder / "root" / running.path().relative_to("/"))
        (folder / "root" / running.path().relative_to("/") / "below").touch()
        fill(folder / "elsewhere")
        (folder / "elsewhere" / "there").touch()
        (folder / "local").mkdir()
        (folder / "local/source").write_text("data")
        yield running


def share(folder: Path, **options: str) -> LiveShare:
    said = {"read only": "no", **options}
    path = Path(said.pop("path", folder / "share"))
    return LiveShare(NAME, path, said)


def fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("plain", "Mixed", ".dot", "old.bak"):
        (folder / name).touch()
    (folder / "inside").symlink_to("plain")
    (folder / "outside").symlink_to("/etc/hostname")
    for name in ("@GMT-2024.01.02-03.04.05", "@GMT-2025.01.02-03.04.05", "daily-2026-01-02"):
        (folder / ".snapshots" / name / "share").mkdir(parents=True)
        (folder / ".snapshots" / name / "plain").write_text(name)
        (folder / ".snapshots" / name / "share/plain").write_text(name + " below")


# -- what clients do ---------------------------------------------------------------------


@contextmanager
def connected(server: LiveServer, dialect: int | None = None) -> Iterator[Connection]:
    made = Connection(uuid.uuid4(), server.host, server.port, require_signing=True)
    made.client_capabilities |= MULTI_CHANNEL | PERSISTENT_HANDLES
    try:
        made.connect(dialect)
        yield made
    finally:
        made.disconnect()


@contextmanager
def tree(server: LiveServer) -> Iterator[TreeConnect]:
    with connected(server, Dialects.SMB_3_1_1) as connection:
        session = Session(connection, "tester", PASSWORD, require_encryption=False)
        session.connect()
        made = TreeConnect(session, rf"\\{server.host}\{NAME}")
        made.connect()
        yield made


def refusal(act: Callable[[], object]) -> int:
    """The status of what is refused, 0 if it is not."""
    try:
        act()
    except SMBResponseException as refused:
        return int(refused.status)
    return 0


def opened(
    made: TreeConnect, name: str, oplock: int = NONE, contexts: Sequence[Any] | None = None
) -> Open:
    file = Open(made, name)
    file.contexts = file.create(
        ImpersonationLevel.Impersonation,
        FilePipePrinterAccessMask.GENERIC_READ,
        FileAttributes.FILE_ATTRIBUTE_NORMAL,
        ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE,
        CreateDisposition.FILE_OPEN_IF,
        CreateOptions.FILE_NON_DIRECTORY_FILE,
        create_contexts=contexts,
        oplock_level=oplock,
    )
    return file


def negotiated(attribute: str, mask: int = 0) -> Callable[[LiveServer], Any]:
    def look(server: LiveServer) -> Any:
        with connected(server) as connection:
            value = getattr(connection, attribute)
            return value.get_value() & mask if mask else value

    return look


def speaks(dialect: int) -> Callable[[LiveServer], bool]:
    def look(server: LiveServer) -> bool:
        try:
            with connected(server, dialect):
                return True
        except SMBException:
            return False

    return look


def credits_held(server: LiveServer) -> int:
    with tree(server) as made:
        connection = made.session.connection
        for _ in range(3):
            connection.echo(sid=made.session.session_id, credit_request=500)
        window = connection.sequence_window
        return int(window["high"] - window["low"])


def encrypted(server: LiveServer) -> bool:
    with connected(server, Dialects.SMB_3_1_1) as connection:
        session = Session(connection, "tester", PASSWORD, require_encryption=False)
        session.connect()
        return bool(session.encrypt_data)


def second_session(user: str) -> Callable[[LiveServer], int]:
    """What becomes of *user*'s log-on beside a session of tester's."""

    def look(server: LiveServer) -> int:
        with tree(server), connected(server, Dialects.SMB_3_1_1) as connection:
            return refusal(Session(connection, user, PASSWORD, require_encryption=False).connect)

    return look


def second_connection(server: LiveServer) -> bool:
    """Whether there is an answer to it; what is one too many is closed at once."""
    frame = FrameFactory().negotiate().pack()
    with tree(server), socket.create_connection((server.host, server.port), 60) as second:
        try:
            second.sendall(struct.pack(">I", len(frame)) + frame)
            return bool(second.recv(1))
        except ConnectionError:
            return False


def second_tree(server: LiveServer) -> int:
    def again() -> None:
        with tree(server):
            pass

    with tree(server):
        return refusal(again)


def seals_the_share(server: LiveServer) -> bool:
    with tree(server) as made:
        return bool(made.encrypt_data)


def second_open(server: LiveServer) -> int:
    with tree(server) as made:
        opened(made, "plain")
        return refusal(lambda: opened(made, "Mixed"))


def fake_capability(server: LiveServer) -> int:
    with tree(server) as made:
        file = opened(made, "plain")
        query = SMB2QueryInfoRequest()
        query["info_type"] = InfoType.SMB2_0_INFO_FILESYSTEM
        query["file_info_class"] = FS_ATTRIBUTE_INFORMATION
        query["output_buffer_length"] = 1024
        query["file_id"] = file.file_id
        connection = made.session.connection
        sent = connection.send(query, made.session.session_id, made.tree_connect_id)
        answer = SMB2QueryInfoResponse()
        answer.unpack(connection.receive(sent)["data"].get_value())
        return int.from_bytes(answer["buffer"].get_value()[:4], "little") & 0x04000000


def granted_oplock(server: LiveServer) -> int:
    with tree(server) as made:
        return int(opened(made, "plain", BATCH).oplock_level)


def apple_model(server: LiveServer) -> bool:
    context = SMB2CreateContextRequest()
    context["buffer_name"] = b"AAPL"
    context["buffer_data"] = AAPL
    with tree(server) as made:
        answer = opened(made, "plain", contexts=[context]).contexts
        return any("Xserve".encode("utf-16-le") in bytes(each) for each in answer or ())


def smb(script: str, *options: str, user: str = "tester") -> Callable[[LiveServer], Answer]:
    return lambda server: SmbClient(
        server, options, user, share=NAME, folder=server.folder / "local"
    ).run(script)


def says(word: str, look: Callable[[LiveServer], Answer]) -> Callable[[LiveServer], bool]:
    return lambda server: word in look(server)


def listed(name: str) -> Callable[[LiveServer], bool]:
    def look(server: LiveServer) -> bool:
        lines = smb("ls")(server).text.splitlines()
        return name in [line.split()[0] for line in lines if line.startswith("  ")]

    return look


def attributes(name: str) -> Callable[[LiveServer], str]:
    """The letters smbclient shows beside a name."""

    def look(server: LiveServer) -> str:
        lines = smb("ls")(server).text.splitlines()
        return next(line.split()[1] for line in lines if line.split()[:1] == [name])

    return look


def refused(script: str, user: str = "tester") -> Callable[[LiveServer], str]:
    """The first status smbclient tells, or an empty text."""

    def look(server: LiveServer) -> str:
        found = smb(script, user=user)(server).text.partition("NT_STATUS_")
        return found[2].split()[0].strip(".,:)") if found[2] else ""

    return look


def shares_listed(server: LiveServer) -> bool:
    command = [program("smbclient"), "-L", server.host, "-p", str(server.port), *account()]
    return f"{NAME} " in run(command)


def anonymous_list(server: LiveServer) -> bool:
    command = [program("smbclient"), "-N", "-g", "-L", server.host, "-p", str(server.port)]
    return f"Disk|{NAME}|" in run(command)


def rpc(command: str, word: str) -> Callable[[LiveServer], bool]:
    def look(server: LiveServer) -> bool:
        asking = [program("rpcclient"), server.host, "-p", str(server.port), *account()]
        return word in run([*asking, "-c", command])

    return look


def mode_of(kind: str) -> Callable[[LiveServer], str]:
    """The mode of a file or folder that a client makes."""

    def look(server: LiveServer) -> str:
        made = server.path() / f"new-{kind}"
        script = f"put source {made.name}" if kind == "file" else f"mkdir {made.name}"
        smb(script)(server)
        shown = f"{made.stat().st_mode & 0o7777:04o}"
        made.rmdir() if made.is_dir() else made.unlink()
        return shown

    return look


def stores_attributes(server: LiveServer) -> bool:
    smb("put source kept; setmode kept +r")(server)
    made = server.path() / "kept"
    kept = "user.DOSATTRIB" in os.listxattr(made)
    made.unlink()
    return kept


def kept(script: str) -> Callable[[LiveServer], list[str]]:
    """Where a client's deleted files are, below the share."""

    def look(server: LiveServer) -> list[str]:
        smb("mkdir d; put source d/a.tmp; put source d/b; put source empty")(server)
        smb(script)(server)
        found = [path for bin in BINS for path in (server.path() / bin).rglob("*")]
        files = sorted(str(p.relative_to(server.path())) for p in found if p.is_file())
        for bin in (*BINS, "d"):
            shutil.rmtree(server.path() / bin, ignore_errors=True)
        return files

    return look


def bin_mode(below: str) -> Callable[[LiveServer], str]:
    def look(server: LiveServer) -> str:
        smb("mkdir d; put source d/b; del d/b")(server)
        shown = f"{(server.path() / '.recycle' / below).stat().st_mode & 0o7777:04o}"
        shutil.rmtree(server.path() / ".recycle")
        return shown

    return look


def touched(attribute: str) -> Callable[[LiveServer], bool]:
    """Whether a deleted file has the time of its deletion."""

    def look(server: LiveServer) -> bool:
        made = server.path() / "aged"
        made.write_text("data")
        os.utime(made, (1_000_000_000, 1_000_000_000))
        smb("del aged")(server)
        time = getattr((server.path() / ".recycle/aged").stat(), attribute)
        shutil.rmtree(server.path() / ".recycle")
        return bool(time > 1_000_000_000)

    return look


def stream_size(server: LiveServer) -> int:
    """Bytes on the disk of a stream of four."""
    smb("put source plain:s")(server)
    name = "user.DosStream.s:$DATA"
    size = len(os.getxattr(server.path() / "plain", name))
    os.removexattr(server.path() / "plain", name)
    return size


def durable(server: LiveServer) -> bool:
    context = SMB2CreateContextRequest()
    context["buffer_name"] = b"DHnQ"
    context["buffer_data"] = bytes(16)
    with tree(server) as made:
        answer = opened(made, "plain", BATCH, [context]).contexts
        return bool(answer)


def continuous(server: LiveServer) -> bool:
    with tree(server) as made:
        return bool(made.is_ca_share)


def snapshots(server: LiveServer) -> list[str]:
    """The versions of a file, in the order they are told."""
    return re.findall(r"^@GMT-(\S+)", smb("allinfo plain")(server).text, re.M)


def version(server: LiveServer) -> str:
    """What a version of a file was."""
    smb(f"get @GMT-{NEW}/plain then")(server)
    return (server.folder / "local/then").read_text()


def counts(server: LiveServer) -> bool:
    smb("ls")(server)
    told = actions.metrics(server.run_folder)
    return bool(re.search(r'_count\{command="tree_connect"\} [1-9]', told))


# -- the parameters ----------------------------------------------------------------------

TOO_MANY_SESSIONS, TOO_MANY_FILES, TOO_MANY_TREES = 0xC00000CE, 0xC000011F, 0xC00000D0
Row = tuple[str, Callable[[LiveServer], Any], list[tuple[str, Any]]]

GLOBALS: list[Row] = [
    ("aapl model", apple_model, [("MacSamba", False), ("Xserve", True)]),
    ("max active sessions", second_session("tester2"), [("9", 0), ("1", TOO_MANY_SESSIONS)]),
    ("max user sessions", second_session("tester"), [("9", 0), ("1", TOO_MANY_SESSIONS)]),
    ("max connections", second_connection, [("9", True), ("1", False)]),
    ("max ip connections", second_connection, [("9", True), ("1", False)]),
    ("max open files", second_open, [("9", 0), ("1", TOO_MANY_FILES)]),
    ("metrics", counts, [("no", False), ("yes", True)]),
    ("netbios name", rpc("querydominfo", "FIRST"), [("FIRST", True), ("SECOND", False)]),
    ("restrict anonymous", anonymous_list, [("0", True), ("1", False)]),
    ("root directory", listed("below"), [("", False), ("{folder}/root", True)]),
    (
        "server max protocol",
        negotiated("dialect"),
        [("SMB3_11", 0x311), ("SMB3_02", 0x302), ("SMB2_10", 0x210)],
    ),
    ("server min protocol", speaks(0x210), [("SMB2_02", True), ("SMB3_00", False)]),
    (
        "server multi channel support",
        negotiated("server_capabilities", MULTI_CHANNEL),
        [("no", 0), ("yes", MULTI_CHANNEL)],
    ),
    ("server signing", negotiated("server_security_mode"), [("auto", 1), ("mandatory", 3)]),
    (
        "server smb3 encryption algorithms",
        negotiated("cipher_id"),
        [("AES-256-CCM", Ciphers.AES_256_CCM), ("AES-128-GCM", Ciphers.AES_128_GCM)],
    ),
    (
        "server smb3 signing algorithms",
        negotiated("signing_algorithm_id"),
        [
            ("AES-128-CMAC", SigningAlgorithms.AES_CMAC),
            ("AES-128-GMAC", SigningAlgorithms.AES_GMAC),
        ],
    ),
    ("server string", rpc("srvinfo", "in the attic"), [("", False), ("in the attic", True)]),
    ("share:fake_fscaps", fake_capability, [("64", 0), ("67108864", 0x04000000)]),
    ("smb2 leases", negotiated("server_capabilities", 2), [("yes", 2), ("no", 0)]),
    ("smb2 max credits", credits_held, [("16", 16), ("64", 64)]),
    ("smb2 max read", negotiated("max_read_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb2 max trans", negotiated("max_transact_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb2 max write", negotiated("max_write_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb3 encryption", encrypted, [("auto", False), ("required", True)]),
    ("workgroup", rpc("lsaquery", "ATTIC"), [("LAB", False), ("ATTIC", True)]),
]

TWICE = "del d/b; put source d/b; del d/b"
COPY = ".recycle/Copy #1 of b"
BINS = (".recycle", "bin")
DENIED, MISSING = "ACCESS_DENIED", "OBJECT_NAME_NOT_FOUND"
SYMLINK = "STOPPED_ON_SYMLINK"
SHARES: list[Row] = [
    ("available", refused("ls"), [("yes", ""), ("no", "BAD_NETWORK_NAME")]),
    ("browseable", shares_listed, [("yes", True), ("no", False)]),
    ("case sensitive", refused("get mixed x"), [("no", ""), ("yes", MISSING)]),
    ("change notify", refused("notify \\"), [("no", "NOT_IMPLEMENTED")]),  # else it waits
    ("comment", rpc(f"netsharegetinfo {NAME}", "the news"), [("", False), ("the news", True)]),
    ("create mask", mode_of("file"), [("0600", "0600"), ("0640", "0640")]),
    ("directory mask", mode_of("folder"), [("0700", "0700"), ("0750", "0750")]),
    ("follow symlinks", refused("get inside x"), [("no", SYMLINK), ("yes", "")]),
    ("force create mode", mode_of("file"), [("0000", "0644"), ("0020", "0664")]),
    ("force directory mode", mode_of("folder"), [("0000", "0755"), ("2000", "2755")]),
    ("guest ok", refused("ls", GUEST), [("no", DENIED), ("yes", "")]),
    ("hide dot files", attributes(".dot"), [("yes", "AH"), ("no", "A")]),
    ("hide files", attributes("old.bak"), [("", "A"), ("/*.bak/", "AH")]),
    ("hosts allow", refused("ls"), [("127.0.0.1", ""), ("10.0.0.0/8", DENIED)]),
    ("hosts deny", refused("ls"), [("10.0.0.0/8", ""), ("127.0.0.0/8", DENIED)]),
    ("invalid users", refused("ls"), [("tester2", ""), ("tester", DENIED)]),
    ("max connections", second_tree, [("9", 0), ("1", TOO_MANY_TREES)]),
    ("oplocks", granted_oplock, [("yes", BATCH), ("no", NONE)]),
    ("path", listed("there"), [("{folder}/share", False), ("{folder}/elsewhere", True)]),
    ("read list", refused("mkdir d; rmdir d"), [("", ""), ("tester", DENIED)]),
    ("read only", refused("mkdir d; rmdir d"), [("no", ""), ("yes", DENIED)]),
    ("smb encrypt", seals_the_share, [("auto", False), ("required", True)]),
    ("store dos attributes", stores_attributes, [("yes", True), ("no", False)]),
    ("valid users", refused("ls"), [("tester", ""), ("tester2", DENIED)]),
    ("veto files", listed("old.bak"), [("", True), ("/*.bak/", False)]),
    (
        "vfs objects",
        refused("put source plain:s"),
        [("streams_xattr", ""), ("acl_xattr", "OBJECT_NAME_INVALID")],
    ),
    ("volume", says("|ATTIC|", smb("volume")), [("SHED", False), ("ATTIC", True)]),
    ("write list", refused("mkdir d; rmdir d"), [("", DENIED), ("tester", "")]),
]
RECYCLE = {"vfs objects": "streams_xattr recycle"}
SHADOW = {
    "vfs objects": "streams_xattr shadow_copy2",
    "shadow:snapdir": "{folder}/share/.snapshots",
    "shadow:basedir": "{folder}/share",
}
OLD, NEW = "2024.01.02-03.04.05", "2025.01.02-03.04.05"
SHARES += [
    ("allow insecure wide links", refused("get outside x"), [("no", SYMLINK), ("yes", "")]),
    ("continuous availability", continuous, [("no", False), ("yes", True)]),
    ("durable handles", durable, [("yes", True), ("no", False)]),
    ("streams_xattr:samba format", stream_size, [("no", 4), ("yes", 5)]),
    ("recycle:directory_mode", bin_mode(""), [("0700", "0700"), ("2750", "2750")]),
    ("recycle:exclude", kept("del d/a.tmp"), [("", [".recycle/a.tmp"]), ("*.tmp", [])]),
    ("recycle:exclude_dir", kept("del d/b"), [("", [".recycle/b"]), ("d", [])]),
    ("recycle:keeptree", kept("del d/b"), [("no", [".recycle/b"]), ("yes", [".recycle/d/b"])]),
    ("recycle:maxsize", kept("del d/b"), [("0", [".recycle/b"]), ("3", [])]),
    ("recycle:minsize", kept("del d/b"), [("0", [".recycle/b"]), ("5", [])]),
    ("recycle:noversions", kept(TWICE), [("", [COPY, ".recycle/b"]), ("b*", [".recycle/b"])]),
    ("recycle:repository", kept("del d/b"), [("", []), ("bin", ["bin/b"])]),
    ("recycle:subdir_mode", bin_mode("d"), [("0700", "0700"), ("0750", "0750")]),
    ("recycle:touch", touched("st_atime"), [("no", False), ("yes", True)]),
    ("recycle:touch_mtime", touched("st_mtime"), [("no", False), ("yes", True)]),
    ("recycle:versions", kept(TWICE), [("no", [".recycle/b"]), ("yes", [COPY, ".recycle/b"])]),
    (
        "shadow:basedir",
        version,
        [("{folder}/share", f"@GMT-{NEW}"), ("{folder}", f"@GMT-{NEW} below")],
    ),
    (
        "shadow:format",
        snapshots,
        [("@GMT-%Y.%m.%d-%H.%M.%S", [NEW, OLD]), ("daily-%Y-%m-%d", ["2026.01.02-00.00.00"])],
    ),
    (
        "shadow:localtime",
        snapshots,
        [("no", [NEW, OLD]), ("yes", ["2025.01.02-08.04.05", "2024.01.02-08.04.05"])],
    ),
    ("shadow:snapdir", snapshots, [("{folder}/share/.snapshots", [NEW, OLD]), ("/nowhere", [])]),
    ("shadow:sort", snapshots, [("desc", [NEW, OLD]), ("asc", [OLD, NEW])]),
]
BESIDE: Mapping[str, Mapping[str, str]] = {  # what else the share says meanwhile
    "aapl model": {"vfs objects": "streams_xattr fruit"},
    "force create mode": {"create mask": "0644"},
    "allow insecure wide links": {"follow symlinks": "yes"},
    "hosts allow": {"hosts deny": "ALL"},
    "recycle:noversions": {"recycle:versions": "yes"},
    "recycle:subdir_mode": {"recycle:keeptree": "yes"},
    "write list": {"read only": "yes"},
}
GUESTS = {"map to guest": "bad user"}


def of_module(key: str) -> Mapping[str, str]:
    """What the parameters of a `vfs objects` need."""
    return {"recycle": RECYCLE, "shadow": SHADOW}.get(key.partition(":")[0], {})


def test_every_row_shows_a_difference() -> None:
    same = [key for key, _, values in GLOBALS + SHARES if len({str(v[1]) for v in values}) < 2]
    assert same == ["change notify"]


@pytest.mark.parametrize(("key", "look", "values"), GLOBALS, ids=[row[0] for row in GLOBALS])
def test_a_global_parameter_does_what_it_says_after_a_reload(
    server: LiveServer, key: str, look: Callable[[LiveServer], Any], values: list[tuple[str, Any]]
) -> None:
    for value, expected in values:
        said = value.format(folder=server.folder)
        server.reload({**GUESTS, key: said}, [share(server.folder, **BESIDE.get(key, {}))])
        assert look(server) == expected, value


@pytest.mark.parametrize(("key", "look", "values"), SHARES, ids=[row[0] for row in SHARES])
def test_a_parameter_of_a_share_does_what_it_says_after_a_reload(
    server: LiveServer, key: str, look: Callable[[LiveServer], Any], values: list[tuple[str, Any]]
) -> None:
    for value, expected in values:
        said = value.format(folder=server.folder)
        beside = {**of_module(key), **BESIDE.get(key, {})}
        options = {name: text.format(folder=server.folder) for name, text in beside.items()}
        server.reload(GUESTS, [share(server.folder, **{**options, key: said})])
        assert look(server) == expected, value
