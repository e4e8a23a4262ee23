"""state/caching.py: what the transcripts do not tell, above all the order of messages."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ksmbd.state.open import Open
from ksmbd.state.oplock import Cause
from ksmbd.state.wait import Wait
from ksmbd.wire import create_context as wire
from ksmbd.wire import file_info
from ksmbd.wire.access import FILE_DIRECTORY_FILE, FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_II, OPLOCK_LEASE, OPLOCK_NONE, CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import ASYNC_COMMAND, Command
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING
from ksmbd.wire.oplock_break import LeaseBreakNotification, OplockBreakNotification
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client, File
from tests.support.engine import Engine
from tests.support.mountd import PASSWORD

PENDING = NtStatus.PENDING
SUCCESS = NtStatus.SUCCESS
R, RH, RWH = 1, 3, 7


def another(engine: Engine, guid: bytes = b"B" * 16, *dialects: int) -> Client:
    """A client with a ClientGuid of its own."""
    client = Client(engine)
    client.negotiate(*dialects, client_guid=guid, capabilities=CAP_DIRECTORY_LEASING)
    client.log_on("joe", PASSWORD)
    client.connect()
    return client


@pytest.fixture
def holder(engine: Engine) -> Client:
    return another(engine, b"A" * 16)


@pytest.fixture
def other(engine: Engine) -> Client:
    return another(engine)


def leased(key: str, level: int = RWH, **changes: Any) -> dict[str, Any]:
    request = wire.RequestLeaseV2(lease_key=key.encode().ljust(16), lease_state=level, **changes)
    return {
        "contexts": [(wire.REQUEST_LEASE, request.pack())],
        "requested_oplock_level": OPLOCK_LEASE,
    }


def level_of(file: File) -> int:
    context = file.response.contexts()[wire.REQUEST_LEASE]
    return wire.RequestLeaseV2.unpack(context).lease_state


def told(client: Client) -> list[tuple[int, int]]:
    """The levels, from and to, of the lease breaks that have come."""
    client.receive()
    breaks = [each.body(LeaseBreakNotification) for each in client.unsolicited]
    client.unsolicited.clear()
    return [(each.current_lease_state, each.new_lease_state) for each in breaks]


def open_of(engine: Engine, file: File) -> Open:
    found = engine.server.opens.find(file.ids[1])
    assert found is not None
    return found


# -- the notification --------------------------------------------------------------------


def test_a_break_belongs_to_no_request_and_no_session(holder: Client, other: Client) -> None:
    file = holder.open("file", requested_oplock_level=OPLOCK_BATCH)
    other.pend(other.frames.create("file"))
    holder.receive()
    (notice,) = holder.unsolicited
    header = notice.header
    assert header.command == Command.OPLOCK_BREAK
    assert (header.session_id, header.tree_id, header.credits) == (0, 0, 0)
    body = notice.body(OplockBreakNotification)
    assert (body.persistent_id, body.volatile_id) == file.ids
    assert body.oplock_level == OPLOCK_II


def test_a_break_waits_for_the_response_that_grants(engine: Engine, other: Client) -> None:
    """The grant is in a compound whose second half waits; nobody may hear of its break before."""
    client, third = another(engine, b"A" * 16), another(engine, b"C" * 16)
    kept = other.open("kept", **leased("k", RH))
    renamed = client.open("kept")
    raw = utf16("renamed")
    rename = file_info.FileRenameInformation(replace_if_exists=0, file_name_length=len(raw))
    grant = client.frames.create("file", **leased("file"))
    rename_frame = renamed.frames.set_info(FileInfo.RENAME, rename.pack() + raw)
    assert client.send(grant, rename_frame) == []
    assert told(other) == [(RH, R)]
    third.pend(third.frames.create("file"))
    assert client.receive() == []
    assert client.unsolicited == []
    assert other.status(kept.frames.lease_break(b"k".ljust(16), R)) is SUCCESS
    replies = client.receive()
    assert [reply.status for reply in replies] == [SUCCESS, SUCCESS]
    assert level_of(client.file(replies[0])) == RWH
    assert told(client) == [(RWH, RH)]


def test_a_listing_break_follows_the_reply_that_caused_it(engine: Engine) -> None:
    client = another(engine)
    client.open("dir", create_options=FILE_DIRECTORY_FILE, **leased("dir", RH))
    client.engine.receive(client.connection, client.pack(client.frames.create(r"dir\file")))
    pdus = client.transport._pdus
    assert [int.from_bytes(pdu[12:14], "little") for pdu in pdus] == [
        Command.CREATE,
        Command.OPLOCK_BREAK,
    ]


# -- ways --------------------------------------------------------------------------------


def test_another_channel_of_the_session_tells_of_an_oplock(engine: Engine, other: Client) -> None:
    client, channel = another(engine, b"A" * 16), Client(engine)
    file = client.open("file", requested_oplock_level=OPLOCK_BATCH)
    session = open_of(engine, file).session
    session.add_channel(channel.connection, None)
    client.connection.closed = True
    other.pend(other.frames.create("file"))
    channel.receive()
    (notice,) = channel.unsolicited
    assert notice.body(OplockBreakNotification).volatile_id == file.ids[1]


def test_who_cannot_be_told_holds_nothing(engine: Engine, other: Client) -> None:
    client = another(engine, b"A" * 16)
    file = client.open("file", requested_oplock_level=OPLOCK_BATCH)
    client.connection.closed = True
    frame = other.frames.create("file", requested_oplock_level=OPLOCK_BATCH)
    replies = other.send(frame)  # the interim one, and at once the other
    assert [reply.status for reply in replies] == [PENDING, SUCCESS]
    assert replies[1].body(CreateResponse).oplock_level == OPLOCK_II
    assert open_of(engine, file).oplock_level == OPLOCK_NONE


# -- CREATE in compounds -----------------------------------------------------------------


def test_a_create_that_waits_says_so_even_with_more_behind_it(
    holder: Client, other: Client
) -> None:
    file = holder.open("file", requested_oplock_level=OPLOCK_BATCH)
    related = other.frames.related()
    interim = other.send(other.frames.create("file"), related.query_info(), related.close())
    assert [(r.header.command, r.status) for r in interim] == [(Command.CREATE, PENDING)]
    assert interim[0].header.flags & ASYNC_COMMAND
    assert holder.status(file.frames.oplock_break(OPLOCK_II)) is SUCCESS
    replies = other.receive()
    assert [reply.status for reply in replies] == [SUCCESS] * 3
    assert len(other.received) == 1
    assert replies[0].header.async_id == interim[0].header.async_id


# -- changes under way -------------------------------------------------------------------


def test_nothing_can_be_read_into_a_cache_during_a_change(
    engine: Engine, holder: Client, other: Client
) -> None:
    writer = open_of(engine, other.open("file"))
    with engine.server.caching.change(writer):
        during = holder.open("file", **leased("k", RH))
        assert level_of(during) == 0
    assert level_of(holder.open("file", **leased("k", RH))) == RH


def test_a_change_that_fails_is_over_too(engine: Engine, other: Client) -> None:
    writer = open_of(engine, other.open("file"))
    with pytest.raises(KeyError), engine.server.caching.change(writer):
        raise KeyError
    assert writer.inode is not None
    assert writer.inode.changing == 0


def test_who_alone_caches_changes_without_ado(engine: Engine, holder: Client) -> None:
    writer = open_of(engine, holder.open("file", **leased("k")))
    with engine.server.caching.change(writer):
        assert writer.inode is not None
        assert writer.inode.changing == 0


def test_a_change_waits_for_what_was_written_into_another_cache(
    engine: Engine, holder: Client, other: Client
) -> None:
    holder.open("file", **leased("k"))
    looker = open_of(engine, other.open("file", desired_access=0x80))
    with pytest.raises(Wait):
        engine.server.caching.change(looker)
    assert told(holder) == [(RWH, 0)]


def test_an_overwriting_open_that_fails_leaves_no_change_behind(
    engine: Engine, folder: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = client.open("file")

    def fails(*_: object) -> None:
        raise OSError(28, "full")

    monkeypatch.setattr("ksmbd.vfs.handle.Handle.truncate", fails)
    frame = client.frames.create("file", create_disposition=4)
    assert client.status(frame) is NtStatus.DISK_FULL
    inode = open_of(engine, file).inode
    assert inode is not None
    assert inode.changing == 0
    assert len(inode.opens) == 1


# -- many --------------------------------------------------------------------------------


def test_all_who_wait_for_a_break_go_on_after_it(engine: Engine, holder: Client) -> None:
    file = holder.open("file", **leased("k"))
    others = [another(engine, bytes([number]) * 16) for number in range(5)]
    for each in others:
        each.pend(each.frames.create("file"))
    assert told(holder) == [(RWH, RH)]
    assert holder.status(file.frames.lease_break(b"k".ljust(16), RH)) is SUCCESS
    for each in others:
        (reply,) = each.receive()
        assert reply.status is SUCCESS
    assert engine.scheduler.pending_timers == 0


def test_a_hundred_holders_are_asked_at_once(engine: Engine) -> None:
    holders = [another(engine, bytes([number]) * 16) for number in range(100)]
    files = [
        each.open("file", desired_access=FILE_READ_DATA, **leased("k", RH)) for each in holders
    ]
    writer = another(engine, b"w" * 16)
    opened = writer.open("file", desired_access=FILE_WRITE_DATA)
    assert writer.status(opened.frames.write(b"new")) is SUCCESS
    for each, file in zip(holders, files, strict=True):
        assert told(each) == [(RH, 0)]
        assert each.status(file.frames.lease_break(b"k".ljust(16), 0)) is SUCCESS
    assert engine.scheduler.pending_timers == 0


def test_nothing_is_left_of_leases_that_are_closed(engine: Engine, client: Client) -> None:
    for number in range(50):
        file = client.open(f"f{number % 7}", **leased(f"k{number % 7}"))
        assert client.status(file.frames.close()) is SUCCESS
    assert len(engine.server.caching.leases) == 0
    client.lose()
    engine.assert_idle()


# -- directories when handles run short --------------------------------------------------


def test_directories_are_given_back_when_handles_run_short(folder: Path) -> None:
    engine = Engine(folder, max_open_files=8)
    client = another(engine)
    options = {"create_options": FILE_DIRECTORY_FILE}
    opened = [client.open(f"d{n}", **options, **leased(f"d{n}", RH)) for n in range(7)]
    assert [level_of(file) for file in opened] == [RH] * 7
    scarce = client.open("d7", **options, **leased("d7", RH))
    assert level_of(scarce) == R
    assert told(client) == [(RH, R)] * 7
    for file in opened:
        assert client.status(file.frames.close()) is SUCCESS
    assert level_of(client.open("d8", **options, **leased("d8", RH))) == RH


def test_a_file_keeps_its_handles_when_they_run_short(folder: Path) -> None:
    client = another(Engine(folder, max_open_files=4))
    opened = [client.open(f"f{n}", **leased(f"f{n}")) for n in range(4)]
    assert [level_of(file) for file in opened] == [RWH] * 4
    assert told(client) == []


# -- what goes wrong ---------------------------------------------------------------------


def test_a_directory_that_is_gone_is_told_nothing(
    engine: Engine, folder: Path, holder: Client
) -> None:
    holder.open("dir", create_options=FILE_DIRECTORY_FILE, **leased("dir", RH))
    open = open_of(engine, holder.open("file"))
    engine.server.caching.listing_changed(open, "away/file", None)
    engine.server.caching.listing_changed(open, "", None)
    assert told(holder) == []


def test_a_demand_on_a_file_that_nobody_caches_is_nothing(engine: Engine, client: Client) -> None:
    open = open_of(engine, client.open("file"))
    engine.server.caching.demand(open.inode, Cause.HANDLE, None)
    engine.server.caching.demand(None, Cause.HANDLE, None)


def test_a_pipe_changes_nobodys_cache(client: Client) -> None:
    client.connect("IPC$")
    pipe = client.open("srvsvc")
    open = open_of(client.engine, pipe)
    with client.engine.server.caching.change(open):
        assert open.inode is None


def test_leases_of_a_lost_connection_end_with_it(engine: Engine, other: Client) -> None:
    client = another(engine, b"A" * 16)
    client.open("file", **leased("k"))
    other.pend(other.frames.create("file", requested_oplock_level=OPLOCK_BATCH))
    client.lose()
    (reply,) = other.receive()
    assert reply.body(CreateResponse).oplock_level == OPLOCK_BATCH
    assert len(engine.server.caching.leases) == 0
    assert engine.scheduler.pending_timers == 0


def test_a_lost_connection_leaves_the_lease_to_the_clients_others(engine: Engine) -> None:
    first, second = another(engine, b"A" * 16), another(engine, b"A" * 16)
    third = another(engine)
    first.open("file", **leased("k"))
    file = second.open("file", **leased("k"))
    first.lose()
    third.pend(third.frames.create("file"))
    assert told(second) == [(RWH, RH)]
    assert second.status(file.frames.lease_break(b"k".ljust(16), RH)) is SUCCESS
    (reply,) = third.receive()
    assert reply.status is SUCCESS


def test_a_session_that_encrypts_hears_in_its_own_key(
    engine: Engine, other: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = another(engine, b"A" * 16)
    file = client.open("file", **leased("k"))
    session = open_of(engine, file).session
    session.encrypt_data = True
    seals: list[object] = []

    def notify(*_: object, seal: object) -> None:
        seals.append(seal)

    monkeypatch.setattr("ksmbd.state.caching.notify", notify)
    other.pend(other.frames.create("file"))
    assert seals == [session]
