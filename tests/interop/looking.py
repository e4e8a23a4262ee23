"""What clients see of a server whose parameters are looked at: one function for each look.

They look at its share ``share``; a folder ``local`` beside it has the file ``source``.
"""

from __future__ import annotations

import os
import re
import shutil
import socket
import struct
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from smbprotocol.connection import Connection, Dialects
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
from tests.support.live import PASSWORD, LiveServer

NAME: Final = "share"
MULTI_CHANNEL, PERSISTENT_HANDLES = 0x8, 0x10  # capabilities
BATCH: Final = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_BATCH
NONE: Final = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_NONE
FS_ATTRIBUTE_INFORMATION: Final = 5
AAPL: Final = struct.pack("<IIQQ", 1, 0, 7, 0)  # a server query: capabilities, volume, model
OLD, NEW = "2024.01.02-03.04.05", "2025.01.02-03.04.05"  # of snapshots
BINS: Final = (".recycle", "bin")


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
