"""Compounds through the engine, [MS-SMB2] 3.3.5.2.7 and 3.3.4.1.3."""

from __future__ import annotations

import os
import struct

import pytest

from ksmbd.wire.access import FILE_DELETE_ON_CLOSE, FILE_DIRECTORY_FILE, FILE_OPEN
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.echo import EchoResponse
from ksmbd.wire.header import ANY_SESSION, NO_FILE, RELATED_OPERATIONS, SIGNED, Command
from ksmbd.wire.negotiate import SIGNING_REQUIRED
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, ready, statuses
from tests.support.engine import Engine
from tests.support.frames import Frame

OK = NtStatus.SUCCESS
INVALID = NtStatus.INVALID_PARAMETER
CLOSED = NtStatus.FILE_CLOSED
GONE = NtStatus.NETWORK_NAME_DELETED
DELETED = NtStatus.USER_SESSION_DELETED


# -- related -----------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_create_write_read_close_in_one(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"),
        related.write(b"hello"),
        related.read(5),
        related.close(),
    )
    assert statuses(responses) == [OK] * 4
    assert responses[2].data == b"hello"
    assert (engine.folder / "new").read_bytes() == b"hello"
    assert len(engine.server.opens) == 0


def test_all_replies_come_in_one_pdu_each_aligned_and_linked(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.create("new"), related.query_info(), related.close())
    assert len(client.received) == 1
    at = 0
    for response in responses[:-1]:
        assert response.header.next_command == len(response.raw)
        assert at % 8 == 0
        at += len(response.raw)
    assert responses[-1].header.next_command == 0
    assert len(client.received[0]) == at + len(responses[-1].raw)


def test_each_reply_is_signed_with_its_padding(client: Client) -> None:
    signer = client.sessions[client.frames.session_id].signer
    assert signer is not None
    related = client.frames.related()
    frames = [client.frames.create("new"), related.write(b"x"), related.read(1), related.close()]
    for response in client.send(*frames):
        assert response.header.flags & SIGNED
        assert response.signed_by(signer)


def test_the_padding_is_zero(client: Client) -> None:
    related = client.frames.related()
    file = client.open("new")
    client.call(file.frames.write(b"\xff" * 64))
    responses = client.send(client.frames.open("new"), related.read(3), related.close())
    assert len(responses[1].raw) % 8 == 0
    assert responses[1].raw[64 + 16 + 3 :] == bytes(5)


def test_only_the_signature_of_the_wrong_element_is_refused(client: Client) -> None:
    related = client.frames.related()
    packed = client.pack(client.frames.create("new"), related.write(b"hello"), related.close())
    (first,) = struct.unpack_from("<I", packed, 20)
    packed[first + 48] ^= 1
    assert statuses(client.raw(packed)) == [OK, NtStatus.ACCESS_DENIED, OK]
    assert (client.engine.folder / "new").read_bytes() == b""


def test_related_replies_say_so(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.create("new"), related.close())
    assert [r.header.flags & RELATED_OPERATIONS for r in responses] == [0, RELATED_OPERATIONS]


def test_a_failed_create_is_the_status_of_all_that_need_its_file(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.open("missing"), related.query_info(), related.write(b"x"), related.close()
    )
    assert statuses(responses) == [NtStatus.OBJECT_NAME_NOT_FOUND] * 4


def test_the_status_of_a_failed_create_goes_no_further_than_the_next_one(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.open("missing"), related.create("new"), related.close())
    assert statuses(responses) == [NtStatus.OBJECT_NAME_NOT_FOUND, OK, OK]


def test_a_create_refused_before_its_handler_counts_as_failed_too(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.create("new", tree_id=77), related.close())
    assert statuses(responses) == [GONE, GONE]


def test_what_follows_a_close_finds_no_file(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.close(), related.read(1), related.close()
    )
    assert statuses(responses) == [OK, OK, CLOSED, CLOSED]


def test_a_command_with_its_own_file_makes_it_the_one_that_others_inherit(client: Client) -> None:
    file = client.open("new")
    related = client.frames.related()
    responses = client.send(file.frames.write(b"abc"), related.read(3), related.close())
    assert statuses(responses) == [OK, OK, OK]
    assert responses[1].data == b"abc"


def test_a_related_command_may_name_a_file_of_its_own(client: Client) -> None:
    file = client.open("first")
    client.call(file.frames.write(b"first"))
    related = client.frames.related()
    named = related.read(5, persistent_id=file.ids[0], volatile_id=file.ids[1])
    responses = client.send(client.frames.create("second"), named, related.close())
    assert statuses(responses) == [OK, OK, OK]
    assert responses[1].data == b"first"
    assert client.status(file.frames.close()) is CLOSED


def test_nothing_to_inherit_a_file_from_is_refused(client: Client) -> None:
    responses = client.send(client.frames.echo(), client.frames.related().read(1))
    assert statuses(responses)[0] is OK
    assert statuses(responses)[1] in {INVALID, DELETED, GONE}


def test_the_refusal_of_an_unknown_file_is_inherited(client: Client) -> None:
    related = client.frames.related()
    unknown = client.frames.on(1, 2).read(1)
    assert statuses(client.send(unknown, related.close())) == [CLOSED, CLOSED]


def test_a_failed_read_leaves_the_file_to_those_after_it(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(client.frames.create("new"), related.read(1), related.close())
    assert statuses(responses) == [OK, NtStatus.END_OF_FILE, OK]


def test_the_first_element_cannot_be_related(client: Client) -> None:
    related = client.frames.related()
    frames = [related.create("new"), related.close()]
    for frame in frames:
        frame.set(session_id=client.frames.session_id, tree_id=client.frames.tree_id)
    assert statuses(client.send(*frames)) == [INVALID, INVALID]
    assert list(client.engine.folder.iterdir()) == []


def test_a_single_related_request_is_refused(client: Client) -> None:
    frame = client.frames.create("new", header_flags=RELATED_OPERATIONS)
    assert client.status(frame) is INVALID


@pytest.mark.parametrize("share", ["data"])
def test_tree_connect_and_what_uses_the_tree_in_one(client: Client, share: str) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.tree_connect(rf"\\server\{share}"), related.create("new"), related.close()
    )
    assert statuses(responses) == [OK, OK, OK]


# -- the ground goes away meanwhile (reference 5.3 F) ------------------------------------


def test_what_follows_a_tree_disconnect_has_no_tree(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.tree_disconnect(),
        related.create("new"),
        related.close(),
        related.tree_disconnect(),
    )
    assert statuses(responses) == [OK, GONE, GONE, GONE]
    assert list(client.engine.folder.iterdir()) == []


def test_an_inherited_file_ends_with_its_tree(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.tree_disconnect(), related.read(1), related.close()
    )
    assert statuses(responses) == [OK, OK, GONE, GONE]
    assert len(client.engine.server.opens) == 0


def test_what_follows_a_logoff_has_no_session(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.logoff(),
        related.create("new"),
        related.close(),
        related.tree_connect(),
        related.tree_disconnect(),
        related.logoff(),
    )
    assert statuses(responses) == [OK, *[DELETED] * 5]
    assert client.engine.mountd.logouts == [("joe", 0)]
    assert client.engine.mountd.trees == {}


def test_an_inherited_file_ends_with_its_session(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.logoff(), related.read(1), related.close()
    )
    assert statuses(responses) == [OK, OK, DELETED, DELETED]
    assert len(client.engine.server.opens) == 0


def test_a_log_on_inside_a_compound_does_no_harm(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.session_setup(b"junk"), related.close()
    )
    assert statuses(responses) == [OK, DELETED, OK]


def test_a_negotiate_inside_a_compound_ends_the_connection(client: Client) -> None:
    client.send(client.frames.create("new"), client.frames.negotiate())
    assert client.closed
    client.engine.assert_idle()


def test_a_first_negotiate_with_others_behind_it(engine: Engine) -> None:
    client = Client(engine)
    client.connection.window.grant(5)
    responses = client.send(client.frames.negotiate(), client.frames.echo())
    assert statuses(responses) == [OK, OK]


# -- unrelated ---------------------------------------------------------------------------


def test_unrelated_commands_keep_their_own_files(client: Client) -> None:
    first, second = client.open("first"), client.open("second")
    responses = client.send(first.frames.write(b"1"), second.frames.write(b"2"))
    assert statuses(responses) == [OK, OK]
    assert (client.engine.folder / "first").read_bytes() == b"1"
    assert (client.engine.folder / "second").read_bytes() == b"2"


def test_an_unrelated_command_inherits_no_file(client: Client) -> None:
    frames = client.frames
    responses = client.send(frames.create("new"), frames.close())
    assert statuses(responses) == [OK, CLOSED]


def test_an_unrelated_command_does_not_fail_with_the_one_before(client: Client) -> None:
    responses = client.send(client.frames.open("missing"), client.frames.create("new"))
    assert statuses(responses) == [NtStatus.OBJECT_NAME_NOT_FOUND, OK]


def test_unrelated_commands_of_two_sessions(client: Client) -> None:
    """Each is signed with its own session's key, and so is its reply."""
    joe = client.frames
    first = joe.create("first")
    client.log_on("jane", "Secret!")
    tree = client.connect("data")
    second = client.frames.create("second")
    responses = client.send(first, second, client.frames.tree_disconnect(tree_id=tree))
    assert [r.header.session_id for r in responses[1:]] == [client.frames.session_id] * 2
    assert responses[1].status is OK or responses[1].status is NtStatus.ACCESS_DENIED


def test_a_related_command_of_another_session_is_refused(client: Client) -> None:
    mine = client.frames.session_id
    frame = client.frames.create("new")
    jane = client.log_on("jane", "Secret!", use=False)
    other = client.frames.related().close(session_id=jane.session_id)
    assert mine != jane.session_id
    assert statuses(client.send(frame, other)) == [OK, INVALID]


def test_the_key_of_one_element_never_signs_the_reply_to_another(client: Client) -> None:
    responses = client.send(client.frames.echo(), client.frames.create(session_id=0x77))
    assert [r.header.flags & SIGNED for r in responses] == [SIGNED, 0]


def test_unsigned_elements_are_refused_one_by_one(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    client.log_on(security_mode=SIGNING_REQUIRED)
    client.connect()
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.write(b"x", sign=False), related.close()
    )
    assert statuses(responses) == [OK, NtStatus.ACCESS_DENIED, OK]
    assert (engine.folder / "new").read_bytes() == b""


# -- framing -----------------------------------------------------------------------------


@pytest.mark.parametrize("next_command", [1, 4, 7, 8, 63, 64, 65, 68, 74, 0xFFF8, 0xFFFF_FFF8])
def test_a_next_command_that_leads_nowhere_ends_the_connection(
    client: Client, next_command: int
) -> None:
    client.send(client.frames.echo(next_command=next_command))
    assert client.closed


def test_a_next_command_right_at_the_end_ends_the_connection(client: Client) -> None:
    client.raw(client.pack(client.frames.echo(next_command=72, data=bytes(4))))
    assert client.closed


def test_nothing_but_a_header_behind_next_command_ends_the_connection(client: Client) -> None:
    packed = client.pack(client.frames.echo(), client.frames.echo())
    client.raw(packed[: 72 + 65])
    assert client.closed


def test_rubbish_behind_next_command_ends_the_connection(client: Client) -> None:
    packed = client.pack(client.frames.echo(), client.frames.echo())
    packed[72] ^= 1
    client.raw(packed)
    assert client.closed


def test_padding_behind_the_last_element_is_tolerated(client: Client) -> None:
    frame = client.frames.echo(data=bytes(4))
    client.ok(frame, EchoResponse)


def test_ten_thousand_elements_are_just_many(engine: Engine) -> None:
    client = ready(engine)
    frames = [client.frames.echo(credits=0, sign=False) for _ in range(10_000)]
    assert statuses(client.send(*frames)) == [OK] * 10_000
    assert client.connection.window.available == 1


def test_a_long_chain_within_the_credits_is_answered(engine: Engine) -> None:
    client = ready(engine)
    client.call(client.frames.echo(credits=1000))
    frames = [client.frames.echo(sign=False) for _ in range(1000)]
    assert statuses(client.send(*frames)) == [OK] * 1000


def test_an_unknown_command_in_the_middle(client: Client) -> None:
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.echo(command=0x77), related.close()
    )
    assert statuses(responses) == [OK, INVALID, OK]


def test_a_cancel_inside_a_compound_cancels_nothing(client: Client) -> None:
    folder = client.open("", create_options=FILE_DIRECTORY_FILE, create_disposition=FILE_OPEN)
    waiting = folder.frames.change_notify()
    client.pend(waiting)
    cancel = client.frames.cancel(message_id=waiting.header.message_id)
    cancel.numbered = False
    responses = client.send(client.frames.echo(), cancel, client.frames.echo())
    assert [r.header.command for r in responses if r.status is OK] == [Command.ECHO] * 2
    assert len(client.connection.async_commands) == 1


# -- large replies -----------------------------------------------------------------------


def test_replies_that_fit_no_frame_together_come_in_several(engine: Engine) -> None:
    """Three reads of 8 MiB are longer than a frame can be, 2^24 - 1 bytes."""
    size = 8 << 20
    os.truncate(engine.make_file("big"), size)
    client = ready(engine)
    file = client.open("big", desired_access=0x120089)
    client.call(client.frames.echo(credits=8000))
    related = client.frames.related()
    responses = client.send(file.frames.read(size), related.read(size), related.read(size))
    assert statuses(responses) == [OK] * 3
    assert [len(r.data) for r in responses] == [size] * 3
    assert len(client.received) > 1


def test_a_large_read_among_others_is_whole(engine: Engine) -> None:
    path = engine.make_file("big", bytes(range(256)) * 1024)
    client = ready(engine)
    related = client.frames.related()
    responses = client.send(client.frames.open("big"), related.read(262144), related.close())
    assert statuses(responses) == [OK] * 3
    assert responses[1].data == path.read_bytes()


def test_a_delete_in_one_compound(client: Client) -> None:
    """cifs.ko and smbclient remove files so."""
    path = client.engine.make_file("doomed")
    related = client.frames.related()
    responses = client.send(
        client.frames.open("doomed", create_options=FILE_DELETE_ON_CLOSE), related.close()
    )
    assert statuses(responses) == [OK, OK]
    assert not path.exists()


def test_ids_of_related_elements_may_be_real_ones(client: Client) -> None:
    frame = client.frames.close(
        header_flags=RELATED_OPERATIONS, persistent_id=NO_FILE, volatile_id=NO_FILE
    )
    responses = client.send(client.frames.create("new"), frame)
    assert statuses(responses) == [OK, OK]
    assert responses[0].body(CreateResponse).volatile_id != NO_FILE


def test_a_session_of_all_ones_means_nothing_unless_related(client: Client) -> None:
    frames: list[Frame] = [client.frames.create("new"), client.frames.close(session_id=ANY_SESSION)]
    frames[1].sign = False
    assert statuses(client.send(*frames)) == [OK, DELETED]
