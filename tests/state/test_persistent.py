"""state/persistent.py and state/journal.py: what a killed server's successor knows."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.state.journal import Journal, Record
from ksmbd.wire import create_context as wire
from ksmbd.wire import file_info, ipc
from ksmbd.wire.access import (
    FILE_CREATED,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_READ_ATTRIBUTES,
)
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_NONE, CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import REPLAY
from ksmbd.wire.negotiate import CAP_PERSISTENT_HANDLES, SMB_2_1
from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import SHARE_CAP_CONTINUOUS_AVAILABILITY, TreeConnectResponse
from tests.support.client import Client, File
from tests.support.durable import (
    GUID,
    KEY,
    RH,
    RWH,
    Context,
    ask,
    back_v1,
    back_v2,
    connected,
    lease,
    v2,
)
from tests.support.engine import Engine
from tests.support.mountd import DISK, share
from tests.support.transcript import rename_frame

OK = NtStatus.SUCCESS
NOT_FOUND = NtStatus.OBJECT_NAME_NOT_FOUND
FLAG = wire.DURABLE_PERSISTENT
CA = DISK | ipc.SHARE_CONTINUOUS_AVAILABILITY
BOOT = "this boot"
T1 = 131_000_000_000_000_000  # a FILETIME
DH2 = wire.DURABLE_HANDLE_REQUEST_V2


class Machine:
    """One share, one journal, and a server that can be killed and started again."""

    def __init__(self, folder: Path, state: Path) -> None:
        self.folder = folder
        self.path = state / "persistent.db"
        self.engine = self.start()

    def start(self, boot: str = BOOT) -> Engine:
        shares = [share("data", str(self.folder), CA), share("plain", str(self.folder))]
        self.engine = Engine(self.folder, shares=shares, persistent_handles=True)
        self.engine.server.persistence.journal = Journal(self.path, boot)
        self.engine.server.persistence.restore()
        return self.engine

    def kill(self) -> None:
        """The journal is left as it is; so are the descriptors, which a real end would close."""
        persistence = self.engine.server.persistence
        assert persistence.journal is not None
        persistence.journal.close()
        persistence.journal = None

    def restart(self, boot: str = BOOT) -> Engine:
        self.kill()
        return self.start(boot)

    def client(self, guid: bytes = b"joe's own client", **changes: str) -> Client:
        return connected(self.engine, guid=guid, **changes)


@pytest.fixture
def machine(folder: Path, tmp_path: Path) -> Iterator[Machine]:
    made = Machine(folder, tmp_path)
    yield made
    if made.engine.server.persistence.journal is not None:
        made.kill()


def asked(guid: bytes = GUID, timeout: int = 0) -> Context:
    return v2(guid, flags=FLAG, timeout=timeout)


def persistent(client: Client, *contexts: Context, name: str = "file", **changes: int) -> File:
    """A persistent open, with a lease RWH if no contexts are given."""
    response = ask(client, *(contexts or (asked(), lease())), name=name, **changes)
    granted = wire.DurableHandleResponseV2.unpack(response.contexts()[DH2])
    assert granted.flags == FLAG
    return client.file(response)


def back(client: Client, file: File, *more: Context, **changes: str) -> File:
    more = more or (lease(0),)
    response = ask(client, back_v2(file, flags=FLAG), *more, **changes)
    assert response.status is OK, response
    return client.file(response)


# -- who gets one ------------------------------------------------------------------------


def test_the_capabilities_are_told_where_there_is_something_behind_them(machine: Machine) -> None:
    client = machine.client()
    assert client.connection.server_capabilities & CAP_PERSISTENT_HANDLES
    for name, expected in (("data", SHARE_CAP_CONTINUOUS_AVAILABILITY), ("plain", 0)):
        response = client.call(client.frames.tree_connect(rf"\\server\{name}"))
        assert response.body(TreeConnectResponse).capabilities == expected
    old = connected(machine.engine, SMB_2_1)
    assert not old.connection.server_capabilities & CAP_PERSISTENT_HANDLES


@pytest.mark.parametrize("level", [OPLOCK_NONE, OPLOCK_BATCH])
def test_a_persistent_open_needs_neither_oplock_nor_lease(machine: Machine, level: int) -> None:
    persistent(machine.client(), asked(), requested_oplock_level=level)


def test_its_time_is_longer_than_that_of_a_durable_one(machine: Machine) -> None:
    response = ask(machine.client(), asked(), lease())
    assert wire.DurableHandleResponseV2.unpack(response.contexts()[DH2]).timeout == 180_000


def test_another_share_and_a_directory_have_none(machine: Machine) -> None:
    for changes in ({"share": "plain"}, {}):
        options = 0 if changes else FILE_DIRECTORY_FILE
        client = machine.client(**changes)
        key = str(options).encode().ljust(16)
        contexts = asked(key), lease(RH, key)
        response = ask(client, *contexts, name=f"f{options}", create_options=options)
        granted = response.contexts().get(DH2, bytes(8))
        assert wire.DurableHandleResponseV2.unpack(granted).flags == 0


def test_without_a_journal_it_is_durable_at_most(machine: Machine) -> None:
    machine.kill()
    client = machine.client()
    assert not client.connection.server_capabilities & CAP_PERSISTENT_HANDLES
    response = ask(client, asked(), lease())
    assert wire.DurableHandleResponseV2.unpack(response.contexts()[DH2]).flags == 0


def test_a_journal_that_cannot_be_written_grants_none(machine: Machine) -> None:
    journal = machine.engine.server.persistence.journal
    assert journal is not None
    journal.close()
    response = ask(machine.client(), asked(), lease())
    assert wire.DurableHandleResponseV2.unpack(response.contexts()[DH2]).flags == 0
    machine.engine.server.persistence.journal = None


# -- after a kill ------------------------------------------------------------------------


def test_everything_is_there_again(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    assert client.status(file.frames.write(b"acknowledged")) is OK
    assert client.status(file.frames.lock((5, 10, 2 | 16), lock_sequence=0x11)) is OK
    machine.restart()
    (open,) = machine.engine.server.opens.all()
    assert (open.persistent_id, open.volatile_id) == file.ids
    assert len(machine.engine.server.durables) == 1
    client = machine.client()
    response = ask(client, back_v2(file, flags=FLAG), lease(0))
    told = wire.RequestLeaseV2.unpack(response.contexts()[wire.REQUEST_LEASE])
    assert (told.lease_state, told.epoch) == (RWH, 1)
    assert response.body(CreateResponse).end_of_file == 12
    again = client.file(response)
    assert client.status(again.frames.lock((5, 10, 2 | 16), lock_sequence=0x11)) is OK
    assert client.status(again.frames.lock((5, 10, 2 | 16), lock_sequence=0x12)) is (
        NtStatus.LOCK_NOT_GRANTED
    )
    assert client.status(again.frames.write(b"more")) is OK
    assert client.status(again.frames.close()) is OK
    assert machine.restart().server.opens.all() == []


def test_share_modes_hold_before_the_client_is_back(machine: Machine) -> None:
    """Of 3.x clients nobody opens the file; older ones meet its share mode."""
    persistent(machine.client(), asked(), share_access=0)
    machine.restart()
    assert ask(machine.client(b"b" * 16)).status is NtStatus.FILE_NOT_AVAILABLE
    old = connected(machine.engine, SMB_2_1, guid=b"b" * 16)
    assert ask(old).status is NtStatus.SHARING_VIOLATION
    assert ask(old, desired_access=FILE_READ_ATTRIBUTES).status is OK
    assert ask(machine.client(b"b" * 16), name="other").status is OK


def test_the_lease_is_that_of_the_last_answer(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    other = machine.client(b"b" * 16)
    other.pend(other.frames.create())
    client.receive()
    client.call(client.frames.lease_break(KEY, RH))
    machine.restart()
    response = ask(machine.client(), back_v2(file, flags=FLAG), lease(0))
    told = wire.RequestLeaseV2.unpack(response.contexts()[wire.REQUEST_LEASE])
    assert (told.lease_state, told.epoch) == (RH, 2)


def test_a_break_without_an_answer_is_forgotten_with_who_caused_it(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    other = machine.client(b"b" * 16)
    other.pend(other.frames.create())
    machine.restart()
    response = ask(machine.client(), back_v2(file, flags=FLAG), lease(0))
    told = wire.RequestLeaseV2.unpack(response.contexts()[wire.REQUEST_LEASE])
    assert (told.lease_state, told.lease_flags) == (RWH, 0)


def test_two_opens_of_a_lease_have_it_together(machine: Machine) -> None:
    client = machine.client()
    first = persistent(client)
    second = persistent(client, asked(b"2" * 16), lease())
    machine.restart()
    client = machine.client()
    back(client, first)
    asked_back = back_v2(second, b"2" * 16, flags=FLAG)
    assert ask(client, asked_back, lease(0)).status is OK
    (holder,) = machine.engine.server.opens.all()[0].inode.holders  # type: ignore[union-attr]
    assert len(holder.opens) == 2


def test_a_batch_oplock_is_there_again(machine: Machine) -> None:
    file = persistent(machine.client(), asked())
    machine.restart()
    response = ask(machine.client(), back_v2(file, flags=FLAG))
    assert response.body(CreateResponse).oplock_level == OPLOCK_BATCH


def test_a_renamed_file_is_found_by_its_new_name(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    assert client.status(rename_frame(file.frames, "new")) is OK
    machine.restart()
    assert back(machine.client(), file, name="new").ids == file.ids


def test_a_file_that_was_to_be_deleted_still_is(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    delete = file.frames.set_info(FileInfo.DISPOSITION, b"\1")
    assert client.status(delete) is OK
    machine.restart()
    client = machine.client()
    again = back(client, file)
    assert ask(client, name="file").status is NtStatus.DELETE_PENDING
    assert client.status(again.frames.close()) is OK
    assert not (machine.folder / "file").exists()


def test_its_application_may_still_take_it_over(machine: Machine) -> None:
    name, newer = (
        b"an application..",
        wire.AppInstanceVersion(app_instance_version_high=2, app_instance_version_low=0),
    )
    app = wire.APP_INSTANCE_ID, wire.AppInstanceId(app_instance_id=name).pack()
    older = wire.AppInstanceVersion(app_instance_version_high=1, app_instance_version_low=9)
    persistent(machine.client(), asked(), app, (wire.APP_INSTANCE_VERSION, newer.pack()))
    machine.restart()
    client = machine.client(b"b" * 16)
    refused = ask(client, asked(), app, (wire.APP_INSTANCE_VERSION, older.pack()))
    assert refused.status is NtStatus.FILE_FORCED_CLOSED
    newer.app_instance_version_high = 3
    persistent(client, asked(), app, (wire.APP_INSTANCE_VERSION, newer.pack()))


def test_a_stream_is_there_again(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client, asked(), name="file:stream")
    assert client.status(file.frames.write(b"in the stream")) is OK
    machine.restart()
    client = machine.client()
    response = ask(client, back_v2(file, flags=FLAG))
    assert response.body(CreateResponse).end_of_file == 13


def test_a_replay_finds_the_open_of_the_server_before(machine: Machine) -> None:
    """The response was lost with the server: the client has no FileId."""
    first = persistent(machine.client())
    machine.restart()
    client = machine.client()
    response = ask(client, asked(), lease(), header_flags=REPLAY)
    assert client.file(response).ids == first.ids
    assert response.body(CreateResponse).create_action == FILE_CREATED


def test_an_open_that_was_used_is_not_replayed(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    assert client.status(file.frames.write(b"1")) is OK
    response = ask(client, asked(), lease(), header_flags=REPLAY)
    assert response.status is NtStatus.FILE_NOT_AVAILABLE


def test_a_reconnect_without_the_file_id_finds_it_by_its_guid(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    machine.restart()
    client = machine.client()
    nothing = File(client.frames.on(1, 1), file.response)
    response = ask(client, back_v2(nothing, flags=FLAG), lease(0))
    assert client.file(response).ids == file.ids


@pytest.mark.parametrize(
    ("context", "status"),
    [
        (lambda file: back_v2(file), NOT_FOUND),
        (lambda file: back_v1(file), NOT_FOUND),
        (lambda file: back_v2(file, b"x" * 16, flags=FLAG), NOT_FOUND),
    ],
    ids=["not as a persistent one", "version 1", "another guid"],
)
def test_how_it_is_not_given_back(
    machine: Machine, context: Callable[[File], Context], status: NtStatus
) -> None:
    file = persistent(machine.client())
    machine.restart()
    assert ask(machine.client(), context(file), lease(0)).status is status
    back(machine.client(), file)


def test_a_durable_open_is_no_persistent_one(machine: Machine) -> None:
    client = machine.client()
    file = client.file(ask(client, v2(), lease()))
    client.lose()
    response = ask(machine.client(), back_v2(file, flags=FLAG), lease(0))
    assert response.status is NtStatus.INVALID_PARAMETER


def test_another_user_is_denied(machine: Machine) -> None:
    file = persistent(machine.client())
    machine.restart()
    other = machine.client(user="jane")
    response = ask(other, back_v2(file, flags=FLAG), lease(0))
    assert response.status is NtStatus.ACCESS_DENIED


def test_the_time_runs_from_the_start(machine: Machine) -> None:
    persistent(machine.client(), asked(timeout=5000), create_options=FILE_DELETE_ON_CLOSE)
    machine.restart()
    machine.engine.advance(4.5)
    assert (machine.folder / "file").exists()
    machine.engine.advance(0.5)
    assert not (machine.folder / "file").exists()
    machine.engine.assert_idle()
    assert machine.restart().server.opens.all() == []


def test_a_shutdown_leaves_it_for_the_next_server(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    client.lose()
    machine.engine.server.durables.close_all(persistent=False)
    machine.restart()
    back(machine.client(), file)


@pytest.mark.parametrize("gone", [False, True])
def test_a_file_that_is_not_there_any_more_is_told(
    machine: Machine, caplog: pytest.LogCaptureFixture, gone: bool
) -> None:
    persistent(machine.client())
    machine.kill()
    os.rename(machine.folder / "file", machine.folder / "moved")
    if not gone:
        machine.engine.make_file("file")
    with caplog.at_level(logging.WARNING, "ksmbd.smb"):
        machine.start()
    assert "data/file is not opened again" in caplog.text
    assert machine.engine.server.opens.all() == []
    assert machine.restart().server.opens.all() == []


# -- the store ---------------------------------------------------------------------------


def test_another_start_of_the_machine_begins_anew(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    persistent(machine.client())
    with caplog.at_level(logging.WARNING, "ksmbd.smb"):
        machine.restart(boot="the next one")
    assert "of another start of the machine" in caplog.text
    assert machine.engine.server.opens.all() == []


def test_a_damaged_store_is_put_aside(machine: Machine, caplog: pytest.LogCaptureFixture) -> None:
    persistent(machine.client())
    machine.kill()
    machine.path.write_bytes(b"no database" * 1000)
    machine.start()
    assert "kept as persistent.damaged" in caplog.text
    assert machine.path.with_suffix(".damaged").read_bytes().startswith(b"no database")
    file = persistent(machine.client())
    machine.restart()
    back(machine.client(), file)


def test_a_damaged_record_is_told_and_the_others_live(
    machine: Machine, caplog: pytest.LogCaptureFixture
) -> None:
    file = persistent(machine.client())
    machine.kill()
    with contextlib.closing(sqlite3.connect(machine.path)) as db, db:
        db.execute("INSERT INTO opens VALUES (7, '[1, 2]')")
        db.execute("INSERT INTO opens VALUES (8, 'nonsense')")
        fields = len(Record._fields)
        db.execute("INSERT INTO opens VALUES (9, ?)", (json.dumps([None] * fields),))
        row = json.dumps([10, 9, "data", *"x" * fields][:fields])
        db.execute("INSERT INTO opens VALUES (10, ?)", (row,))
    machine.start()
    assert all(f"record {number}" in caplog.text for number in (7, 8, 9))
    assert caplog.text.count("is not opened again") == 1
    back(machine.client(), file)
    caplog.clear()
    machine.restart()
    assert "record" not in caplog.text  # they were forgotten
    assert "is not opened again" not in caplog.text


def test_only_its_owner_reads_the_store(machine: Machine) -> None:
    assert machine.path.stat().st_mode & 0o777 == 0o600


def test_a_record_comes_back_as_it_was(machine: Machine) -> None:
    persistent(machine.client())
    journal = machine.engine.server.persistence.journal
    assert journal is not None
    (record,) = journal.records()
    assert Record.unpack(record.pack()) == record


def test_who_is_not_persistent_writes_nothing(machine: Machine) -> None:
    client = machine.client()
    file = client.file(ask(client, v2(), lease()))
    client.call(file.frames.lock())
    journal = machine.engine.server.persistence.journal
    assert journal is not None
    assert journal.records() == []


def test_the_write_time_that_was_set_stays(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client)
    times = file_info.FileBasicInformation(
        creation_time=0, last_access_time=0, last_write_time=T1, change_time=0, file_attributes=0
    )
    assert client.status(file.frames.set_info(FileInfo.BASIC, times.pack())) is OK
    machine.restart()
    client = machine.client()
    file = back(client, file)
    assert client.status(file.frames.write(b"data")) is OK
    told = client.call(file.frames.query_info(FileInfo.BASIC)).data
    assert file_info.FileBasicInformation.unpack(told).last_write_time == T1


def test_delete_on_close_that_was_taken_back_stays_so(machine: Machine) -> None:
    client = machine.client()
    file = persistent(client, create_options=FILE_DELETE_ON_CLOSE)
    off = file_info.DISPOSITION_ON_CLOSE.to_bytes(4, "little")
    assert client.status(file.frames.set_info(FileInfo.DISPOSITION_EX, off)) is OK
    machine.restart()
    client = machine.client()
    assert client.status(back(client, file).frames.close()) is OK
    assert (machine.folder / "file").exists()
