"""commands/logoff.py through the engine, [MS-SMB2] 3.3.5.6."""

from __future__ import annotations

from ksmbd.wire.create import OPLOCK_BATCH, OPLOCK_II
from ksmbd.wire.header import SIGNED
from ksmbd.wire.logoff import LogoffResponse
from ksmbd.wire.oplock_break import OplockBreakAcknowledgment
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready
from tests.support.engine import Engine


def test_logoff_ends_opens_trees_and_the_session(client: Client) -> None:
    client.open("one")
    client.open("two")
    client.connect("ro")
    client.ok(client.frames.logoff(), LogoffResponse)
    engine = client.engine
    assert engine.server.sessions == {}
    assert len(engine.server.opens) == 0
    assert engine.mountd.trees == {}
    assert engine.mountd.logouts == [("joe", 0)]


def test_the_reply_is_signed_with_the_key_of_the_session_that_ended(client: Client) -> None:
    session = client.sessions[client.frames.session_id]
    response = client.call(client.frames.logoff())
    assert response.header.flags & SIGNED
    assert session.signer is not None
    assert response.signed_by(session.signer)


def test_a_second_logoff_finds_no_session(client: Client) -> None:
    client.ok(client.frames.logoff(), LogoffResponse)
    assert client.status(client.frames.logoff()) is NtStatus.USER_SESSION_DELETED
    assert client.engine.mountd.logouts == [("joe", 0)]


def test_nothing_of_the_session_works_any_more(client: Client) -> None:
    file = client.open("file")
    client.ok(client.frames.logoff(), LogoffResponse)
    for frame in (file.frames.read(), client.frames.create(), client.frames.tree_connect()):
        assert client.status(frame) is NtStatus.USER_SESSION_DELETED


def test_the_connection_lives_on(client: Client) -> None:
    client.ok(client.frames.logoff(), LogoffResponse)
    client.log_on()
    client.connect()
    client.open("file")


def test_another_session_of_the_connection_is_left_alone(client: Client) -> None:
    mine = client.frames.session_id
    client.log_on("jane", "Secret!", use=False)
    client.ok(client.frames.logoff(), LogoffResponse)
    assert mine not in client.engine.server.sessions
    assert len(client.engine.server.sessions) == 1


def test_sessions_of_other_connections_are_left_alone(engine: Engine) -> None:
    first, second = ready(engine), ready(engine)
    first.ok(first.frames.logoff(), LogoffResponse)
    second.open("file")


def test_logoff_of_a_session_in_progress_is_refused(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    token = b"NTLMSSP\0\1\0\0\0\x97\x82\x08\xe2" + bytes(24)
    started = client.call(client.frames.session_setup(token)).header.session_id
    frame = client.frames.logoff(session_id=started)
    assert client.status(frame) is NtStatus.USER_SESSION_DELETED


def test_an_open_that_waits_for_an_oplock_comes_to_nothing(engine: Engine) -> None:
    """The session is gone before the holder answers: nothing is opened for it."""
    holder, client = ready(engine), ready(engine)
    held = holder.open("file", requested_oplock_level=OPLOCK_BATCH)
    async_id = client.pend(client.frames.create("file"))
    client.ok(client.frames.logoff(), LogoffResponse)
    holder.ok(held.frames.oplock_break(OPLOCK_II), OplockBreakAcknowledgment)
    (late,) = client.receive()
    assert late.header.async_id == async_id
    assert late.status is NtStatus.NETWORK_NAME_DELETED
    assert len(engine.server.opens) == 1
    client.lose()
    holder.lose()
    engine.assert_idle()
