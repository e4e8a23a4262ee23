"""Durable and persistent handles over real connections that break, and servers that die."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from smbprotocol.connection import Capabilities, Connection
from smbprotocol.create_contexts import (
    CreateContextName,
    DurableHandleFlags,
    SMB2CreateContextRequest,
    SMB2CreateDurableHandleReconnectV2,
    SMB2CreateDurableHandleRequestV2,
)
from smbprotocol.exceptions import SMBResponseException
from smbprotocol.file_info import FileAttributes
from smbprotocol.open import (
    CreateDisposition,
    CreateOptions,
    FilePipePrinterAccessMask,
    ImpersonationLevel,
    LockFlags,
    Open,
    RequestedOplockLevel,
    ShareAccess,
    SMB2LockElement,
)
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from ksmbd.wire.status import NtStatus
from tests.support.live import PASSWORD, LiveServer, LiveShare

pytestmark = pytest.mark.interop
ALL = FilePipePrinterAccessMask.GENERIC_READ | FilePipePrinterAccessMask.GENERIC_WRITE


@pytest.fixture
def server(real_folder: Path, request: pytest.FixtureRequest) -> Iterator[LiveServer]:
    folder = real_folder / f"durable-{uuid.uuid4().hex}"
    folder.mkdir()
    options = {"read only": "no", "continuous availability": "yes"}
    with LiveServer(folder, shares=[LiveShare("ca", folder / "ca", options)]) as made:
        yield made


class Machine:
    """One client with one ClientGuid, and a connection after the other."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.guid = uuid.uuid4()
        self.connect()

    def connect(self) -> None:
        self.connection = Connection(self.guid, self.server.host, self.server.port)
        self.connection.client_capabilities |= Capabilities.SMB2_GLOBAL_CAP_PERSISTENT_HANDLES
        self.connection.connect(timeout=30)
        self.session = Session(self.connection, "tester", PASSWORD)
        self.session.connect()
        self.tree = TreeConnect(self.session, rf"\\{self.server.host}\ca")
        self.tree.connect()

    def cut(self) -> None:
        """End the connection without a word: no CLOSE, no LOGOFF."""
        self.connection.transport.close()

    def open(
        self,
        name: str,
        *contexts: Any,
        share: int = ShareAccess.FILE_SHARE_READ,
        level: int = RequestedOplockLevel.SMB2_OPLOCK_LEVEL_BATCH,
    ) -> Open:
        file = Open(self.tree, name)
        file.create(
            ImpersonationLevel.Impersonation,
            ALL,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            share,
            CreateDisposition.FILE_OPEN_IF,
            CreateOptions.FILE_NON_DIRECTORY_FILE,
            create_contexts=[*contexts],
            oplock_level=level,
        )
        return file


def asked(guid: uuid.UUID, flags: int) -> SMB2CreateContextRequest:
    data = SMB2CreateDurableHandleRequestV2()
    data["create_guid"] = guid
    data["flags"] = flags
    return context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_REQUEST_V2, data)


def back(file: Open, guid: uuid.UUID, flags: int) -> SMB2CreateContextRequest:
    data = SMB2CreateDurableHandleReconnectV2()
    data["file_id"] = file.file_id
    data["create_guid"] = guid
    data["flags"] = flags
    return context(CreateContextName.SMB2_CREATE_DURABLE_HANDLE_RECONNECT_V2, data)


def context(name: Any, data: Any) -> SMB2CreateContextRequest:
    made = SMB2CreateContextRequest()
    made["buffer_name"] = name
    made["buffer_data"] = data
    return made


def test_a_file_is_the_same_after_the_connection_was_cut(server: LiveServer) -> None:
    client, guid = Machine(server), uuid.uuid4()
    file = client.open("file", asked(guid, 0))
    file.write(b"before ", 0)
    client.cut()
    client.connect()
    again = client.open("file", back(file, guid, 0))
    assert again.file_id == file.file_id
    again.write(b"after", 7)
    again.close()
    client.connection.disconnect()
    assert (server.path("ca") / "file").read_bytes() == b"before after"


def test_a_file_is_the_same_after_the_server_was_killed(server: LiveServer) -> None:
    client, guid = Machine(server), uuid.uuid4()
    flags = DurableHandleFlags.SMB2_DHANDLE_FLAG_PERSISTENT
    file = client.open("file", asked(guid, flags))
    file.write(b"before ", 0)
    server.kill()
    server.start_again()
    client.connect()
    again = client.open("file", back(file, guid, flags))
    assert again.file_id == file.file_id
    assert again.read(0, 7) == b"before "
    again.write(b"after", 7)
    again.close()
    client.connection.disconnect()
    assert (server.path("ca") / "file").read_bytes() == b"before after"


def test_a_lock_is_there_again_after_the_server_was_killed(server: LiveServer) -> None:
    client, guid = Machine(server), uuid.uuid4()
    flags = DurableHandleFlags.SMB2_DHANDLE_FLAG_PERSISTENT
    shared = ShareAccess.FILE_SHARE_READ | ShareAccess.FILE_SHARE_WRITE
    unheld: dict[str, int] = {"share": shared, "level": RequestedOplockLevel.SMB2_OPLOCK_LEVEL_NONE}
    file = client.open("file", asked(guid, flags), **unheld)
    file.write(bytes(30), 0)
    file.lock([lock(10, 10)])
    server.kill()
    server.start_again()
    client.connect()
    again = client.open("file", back(file, guid, flags), **unheld)
    other = Machine(server)
    theirs = other.open("file", **unheld)
    theirs.write(b"free", 0)
    with pytest.raises(SMBResponseException) as refused:
        theirs.write(b"no", 15)
    assert refused.value.status == NtStatus.FILE_LOCK_CONFLICT
    again.write(b"mine", 15)
    again.close()
    theirs.write(b"now", 15)
    for machine in (client, other):
        machine.connection.disconnect()
    assert (server.path("ca") / "file").read_bytes()[10:20] == b"\0\0\0\0\0nowe\0"


def lock(offset: int, length: int) -> SMB2LockElement:
    element = SMB2LockElement()
    element["offset"] = offset
    element["length"] = length
    element["flags"] = (
        LockFlags.SMB2_LOCKFLAG_EXCLUSIVE_LOCK | LockFlags.SMB2_LOCKFLAG_FAIL_IMMEDIATELY
    )
    return element
