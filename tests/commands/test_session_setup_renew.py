"""commands/session_setup_renew.py through the engine: re-authentication, [MS-SMB2] 3.3.5.5.3."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

import pytest

from ksmbd.state.session import SessionState
from ksmbd.wire import file_info, ipc
from ksmbd.wire.create import CreateResponse
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.header import SIGNED
from ksmbd.wire.negotiate import SIGNING_REQUIRED
from ksmbd.wire.session_setup import IS_NULL, SessionSetupResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.auth import client as ntlm
from tests.support.client import DIALECTS, Client, File, nobody, ready
from tests.support.engine import Engine
from tests.support.mountd import GUEST, User
from tests.support.replies import Response

OK: Final = NtStatus.SUCCESS
MORE: Final = NtStatus.MORE_PROCESSING_REQUIRED
DENIED: Final = NtStatus.ACCESS_DENIED
DELETED: Final = NtStatus.USER_SESSION_DELETED
EXPIRED: Final = NtStatus.NETWORK_SESSION_EXPIRED


def again(client: Client, side: ntlm.Client, **changes: object) -> list[Response]:
    """Re-authentication of the client's session."""
    first = client.call(client.frames.session_setup(side.negotiate()))
    if first.status is not MORE:
        return [first]
    frame = client.frames.session_setup(side.authenticate(first.token()))
    return [first, client.call(frame.set(**changes))]


def rename(client: Client, file: File, name: str = "file2") -> NtStatus:
    raw = utf16(name)
    head = file_info.FileRenameInformation(file_name_length=len(raw))
    return client.status(file.frames.set_info(FileInfo.RENAME, head.pack() + raw))


def result(client: Client, side: ntlm.Client) -> NtStatus:
    return again(client, side)[-1].status


# -- the same user -----------------------------------------------------------------------


@pytest.mark.parametrize("dialect", DIALECTS)
def test_a_session_may_log_on_again(engine: Engine, dialect: int) -> None:
    client = ready(engine, dialect)
    file = client.open("file")
    session = engine.server.sessions[client.frames.session_id]
    signer = session.signer_on(client.connection)
    session.expiration_time = engine.clock() - 1
    assert client.status(client.frames.create()) is EXPIRED
    responses = again(client, ntlm.Client())
    assert responses[-1].status is OK
    if dialect >= 0x0300:
        assert responses[-1].header.flags & SIGNED  # Samba's client insists
    assert session.state is SessionState.VALID
    assert session.signer_on(client.connection) is signer
    assert client.status(file.frames.write(b"data")) is OK
    client.open("another")


def test_an_unsigned_log_on_again_is_refused_where_signing_is_required(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    client.log_on(security_mode=SIGNING_REQUIRED)
    frame = client.frames.session_setup(ntlm.Client().negotiate(), sign=False)
    response = client.call(frame)
    assert response.status is DENIED
    assert response.header.flags & SIGNED
    client.connect()


def test_a_log_on_again_with_a_wrong_signature_is_refused(engine: Engine) -> None:
    client = ready(engine)
    packed = client.pack(client.frames.session_setup(ntlm.Client().negotiate()))
    packed[50] ^= 1
    (response,) = client.raw(packed)
    assert response.status is DENIED
    client.open("file")


# -- nobody: smb2.session.reauth2 to reauth5 ---------------------------------------------


def test_who_becomes_nobody_keeps_what_is_open(engine: Engine) -> None:
    client = ready(engine)
    file = client.open("file")
    responses = again(client, nobody())
    assert responses[-1].status is OK
    assert responses[-1].body(SessionSetupResponse).session_flags == IS_NULL
    assert client.status(file.frames.write(b"data")) is OK
    assert client.status(file.frames.read()) is OK
    assert client.status(file.frames.close()) is OK


def test_nobody_opens_and_renames_nothing_by_the_tree_connects_of_somebody(engine: Engine) -> None:
    client = ready(engine)
    file = client.open("file")
    assert result(client, nobody()) is OK
    assert client.status(client.frames.create("file")) is DENIED
    assert client.status(client.frames.create("new")) is DENIED
    assert rename(client, file) is DENIED
    assert rename(client, file, "\\file:stream") is DENIED
    assert not (engine.folder / "new").exists()
    assert (engine.folder / "file").exists()


def test_nobody_connects_as_nobody(engine: Engine) -> None:
    client = ready(engine)
    assert result(client, nobody()) is OK
    tree_id = client.connect(use=False)
    account, flags = engine.mountd.connecting[-1]
    assert account == GUEST.name
    assert flags & ipc.USER_GUEST
    client.ok(client.frames.create("file", tree_id=tree_id), CreateResponse)


def test_the_user_who_comes_back_has_his_tree_connects_again(engine: Engine) -> None:
    client = ready(engine)
    file = client.open("file")
    for side in (nobody(), nobody(), ntlm.Client()):
        assert result(client, side) is OK
    assert rename(client, file) is OK
    client.open("file2")
    assert engine.server.sessions[client.frames.session_id].account == "joe"


def test_a_null_session_cannot_become_somebodys(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    client.log_on_nobody()
    assert result(client, ntlm.Client()) is DENIED


# -- what ends the session: smb2.session.reauth6 -----------------------------------------


def a_wrong_password(client: Client) -> NtStatus:
    return result(client, ntlm.Client(password="wrong"))


def somebody_else(client: Client) -> NtStatus:
    return result(client, ntlm.Client("jane", password="Secret!"))


def a_guest(client: Client) -> NtStatus:
    client.engine.mountd.guest = replace(GUEST)
    return result(client, ntlm.Client("stranger"))


def nobody_where_nobody_may_come(client: Client) -> NtStatus:
    client.engine.mountd.anonymous = None
    return result(client, nobody())


def junk(client: Client) -> NtStatus:
    return client.status(client.frames.session_setup(b"junk"))


@pytest.mark.parametrize(
    ("attempt", "status"),
    [
        (a_wrong_password, NtStatus.LOGON_FAILURE),
        (somebody_else, DENIED),
        (a_guest, DENIED),
        (nobody_where_nobody_may_come, DENIED),
        (junk, NtStatus.INVALID_PARAMETER),
    ],
)
def test_a_log_on_again_that_fails_ends_the_session(
    engine: Engine, attempt: Callable[[Client], NtStatus], status: NtStatus
) -> None:
    client = ready(engine)
    file = client.open("file")
    assert attempt(client) is status
    assert client.status(file.frames.read()) is DELETED
    client.lose()
    engine.assert_idle()


def test_a_failure_that_is_held_back_has_ended_the_session_before(engine: Engine) -> None:
    client = ready(engine)
    engine.mountd.users["joe"] = User("joe", delay_s=5.0)
    first = client.call(client.frames.session_setup(ntlm.Client(password="wrong").negotiate()))
    token = ntlm.Client(password="wrong").authenticate(first.token())
    assert client.send(client.frames.session_setup(token)) == []
    assert engine.server.sessions == {}
    engine.advance(6)
    assert [r.status for r in client.receive()] == [NtStatus.LOGON_FAILURE]


def test_a_session_outlives_a_mountd_that_cannot_be_asked(engine: Engine) -> None:
    client = ready(engine)
    engine.mountd.away = True
    assert result(client, ntlm.Client()) is NtStatus.NO_LOGON_SERVERS
    engine.mountd.away = False
    client.open("file")
    assert result(client, ntlm.Client()) is OK
