"""Who must encrypt, and what is encrypted then.

[MS-SMB2] 3.3.4.1.4, 3.3.5.2.9, 3.3.5.2.11, 3.3.5.5, 3.3.5.7.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from ksmbd.crypto.sealing import RESERVE, Sealer
from ksmbd.state.outbound import notify
from ksmbd.wire import ipc
from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.header import ASYNC_COMMAND, SIGNED, UNSOLICITED, Command
from ksmbd.wire.lock import EXCLUSIVE_LOCK, UNLOCK
from ksmbd.wire.negotiate import (
    AES_128_CCM,
    AES_128_GCM,
    AES_256_GCM,
    CAP_ENCRYPTION,
    SIGNING_REQUIRED,
    SMB_2_1,
    SMB_3_0,
    SMB_3_1_1,
)
from ksmbd.wire.oplock_break import OplockBreakNotification
from ksmbd.wire.policy import Encryption
from ksmbd.wire.session_setup import ENCRYPT_DATA, SessionSetupResponse
from ksmbd.wire.status import NtStatus
from ksmbd.wire.tree_connect import SHAREFLAG_ENCRYPT_DATA, TreeConnectResponse
from tests.auth import client as ntlm
from tests.support.client import Client, LogOn, ready, statuses
from tests.support.engine import Engine
from tests.support.mountd import DISK, GUEST, share
from tests.support.sealing import WAYS, SealingClient, nobody, sealing

OK: Final = NtStatus.SUCCESS
DENIED: Final = NtStatus.ACCESS_DENIED
PENDING: Final = NtStatus.PENDING
EXPIRED: Final = NtStatus.NETWORK_SESSION_EXPIRED

WAITING = (0, 10, EXCLUSIVE_LOCK)
RELEASE = (0, 10, UNLOCK)


def encryption_engine(folder: Path, encryption: Encryption, **settings: Any) -> Engine:
    return Engine(folder, encryption=encryption, **settings)


@pytest.fixture
def demanding(folder: Path) -> Engine:
    """A server that wants everything encrypted."""
    return encryption_engine(folder, Encryption.REQUIRED)


@pytest.fixture
def vault(folder: Path) -> Engine:
    """A server with shares that must (vault) or should (safe) be used encrypted."""
    path = str(folder)
    shares = [
        share("data", path),
        share("vault", path, DISK | ipc.SHARE_ENCRYPT_DATA),
        share("safe", path, DISK | ipc.SHARE_ENCRYPT_DESIRED),
    ]
    return Engine(folder, shares=shares)


def flags_of(session: LogOn) -> int:
    return session.responses[-1].body(SessionSetupResponse).session_flags


def last(session: LogOn) -> NtStatus:
    return session.responses[-1].status


def clear(client: SealingClient) -> SealingClient:
    """From here on it does not encrypt."""
    client.sealing = False
    return client


# -- sessions ----------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("policy", "demanded"),
    [
        (Encryption.AUTO, False),
        (Encryption.DESIRED, True),
        (Encryption.REQUIRED, True),
    ],
)
def test_the_session_says_whether_it_must_be_encrypted(
    folder: Path, way: tuple[int, int], policy: Encryption, demanded: bool
) -> None:
    client = SealingClient(encryption_engine(folder, policy), ciphers=(way[1],))
    client.negotiate(way[0])
    session = client.log_on()
    assert bool(flags_of(session) & ENCRYPT_DATA) is demanded
    assert client.sealed == [False]  # the response that makes the keys is signed
    client.connect()
    assert client.sealed == [True]
    clear(client)
    assert client.status(client.frames.create("new")) is (DENIED if demanded else OK)
    assert client.sealed == [demanded]


@pytest.mark.parametrize("way", WAYS)
def test_in_clear_everything_is_refused_on_an_encrypted_session(
    demanding: Engine, way: tuple[int, int]
) -> None:
    client = sealing(demanding, way)
    file = client.open("new")
    clear(client)
    for frame in (
        client.frames.echo(),
        client.frames.tree_connect(),
        file.frames.write(b"data"),
        file.frames.read(4),
        file.frames.close(),
        client.frames.tree_disconnect(),
        client.frames.logoff(),
    ):
        assert client.status(frame) is DENIED
        assert client.sealed == [True]  # even the refusal
    assert (demanding.folder / "new").read_bytes() == b""
    client.sealing = True
    assert client.status(file.frames.close()) is OK


def test_a_signature_is_no_substitute(demanding: Engine) -> None:
    client = clear(sealing(demanding))
    assert client.status(client.frames.create("new", sign=True)) is DENIED
    assert not (demanding.folder / "new").exists()


def test_a_refused_compound_in_clear_is_answered_encrypted_as_a_whole(demanding: Engine) -> None:
    client = clear(sealing(demanding))
    related = client.frames.related()
    responses = client.send(client.frames.create("new"), related.close())
    assert statuses(responses) == [DENIED] * 2
    assert client.sealed == [True]


@pytest.mark.parametrize("dialect", [0x0202, SMB_2_1, SMB_3_0, SMB_3_1_1])
def test_who_cannot_encrypt_is_refused_where_everybody_must(
    demanding: Engine, dialect: int
) -> None:
    client = SealingClient(demanding, ciphers=())
    client.negotiate(dialect)
    response = client.call(client.frames.session_setup(ntlm.Client("joe").negotiate()))
    assert response.status is DENIED
    assert demanding.server.sessions == {}
    assert demanding.mountd.asked == []  # nobody's password was tried


def test_guests_and_anonymous_users_are_refused_where_everybody_must(demanding: Engine) -> None:
    demanding.mountd.guest = replace(GUEST)
    client = SealingClient(demanding)
    client.negotiate()
    assert last(client.try_log_on(ntlm.Client("stranger"))) is DENIED
    assert last(client.try_log_on(nobody())) is DENIED
    assert demanding.server.sessions == {}


def test_guests_stay_in_clear_where_encryption_is_only_desired(folder: Path) -> None:
    engine = encryption_engine(folder, Encryption.DESIRED)
    engine.mountd.guest = replace(GUEST)
    client = SealingClient(engine)
    client.negotiate()
    assert not flags_of(client.log_on("stranger")) & ENCRYPT_DATA
    client.connect()
    assert client.sealed == [False]


def test_who_cannot_encrypt_stays_in_clear_where_it_is_only_desired(folder: Path) -> None:
    engine = encryption_engine(folder, Encryption.DESIRED)
    client = ready(engine, SMB_2_1)
    assert client.status(client.frames.create("new")) is OK


def test_where_encryption_is_off_the_client_is_told_of_no_cipher(folder: Path) -> None:
    engine = encryption_engine(folder, Encryption.OFF)
    client = SealingClient(engine)
    client.negotiate()
    assert client.cipher == 0
    assert not flags_of(client.log_on()) & ENCRYPT_DATA
    client.connect()
    assert client.sealed == [False]


# -- shares ------------------------------------------------------------------------------


def tree_flags(client: Client, name: str) -> int:
    response = client.call(client.frames.tree_connect(rf"\\server\{name}"))
    assert response.status is OK
    client.frames.tree_id = response.header.tree_id
    return response.body(TreeConnectResponse).share_flags


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", ["vault", "safe"])
def test_a_share_may_have_to_be_used_encrypted(
    vault: Engine, way: tuple[int, int], name: str
) -> None:
    client = clear(sealing(vault, way, share="data"))
    assert tree_flags(client, name) & SHAREFLAG_ENCRYPT_DATA
    assert client.sealed == [False]  # the client cannot know before
    assert client.status(client.frames.create("new")) is DENIED
    assert client.sealed == [True]
    client.sealing = True
    assert client.status(client.frames.create("new")) is OK


def test_the_session_s_other_shares_stay_as_they_are(vault: Engine) -> None:
    client = clear(sealing(vault, share="data"))
    plain = client.frames.tree_id
    assert tree_flags(client, "vault") & SHAREFLAG_ENCRYPT_DATA
    assert client.status(client.frames.create("new", tree_id=plain)) is OK
    assert client.sealed == [False]
    assert client.status(client.frames.echo()) is OK
    assert not tree_flags(client, "data") & SHAREFLAG_ENCRYPT_DATA


def test_a_related_request_inherits_the_demand_of_its_share(vault: Engine) -> None:
    client = clear(sealing(vault, share="data"))
    tree_flags(client, "vault")
    related = client.frames.related()
    responses = client.send(client.frames.create("new"), related.write(b"data"), related.close())
    assert statuses(responses) == [DENIED] * 3
    assert not (vault.folder / "new").exists()


@pytest.mark.parametrize("dialect", [0x0202, SMB_2_1, SMB_3_0, SMB_3_1_1])
@pytest.mark.parametrize(("name", "status"), [("vault", DENIED), ("safe", OK)])
def test_who_cannot_encrypt_and_a_share_that_wants_it(
    vault: Engine, dialect: int, name: str, status: NtStatus
) -> None:
    client = SealingClient(vault, ciphers=())
    client.negotiate(dialect)
    client.log_on()
    response = client.call(client.frames.tree_connect(rf"\\server\{name}"))
    assert response.status is status
    assert len(vault.mountd.trees) == (status is OK)  # a refused one is not counted
    if status is OK:
        assert not response.body(TreeConnectResponse).share_flags & SHAREFLAG_ENCRYPT_DATA


@pytest.mark.parametrize("name", ["guest", "anonymous"])
def test_guests_and_anonymous_users_never_get_into_such_a_share(vault: Engine, name: str) -> None:
    vault.mountd.guest = replace(GUEST)
    client = SealingClient(vault)
    client.negotiate()
    if name == "guest":
        client.log_on("stranger")
    else:
        client.log_on_nobody()
    clear(client)
    assert client.status(client.frames.tree_connect(r"\\server\vault")) is DENIED
    assert client.status(client.frames.tree_connect(r"\\server\safe")) is OK


def test_where_encryption_is_off_nobody_gets_into_such_a_share(folder: Path) -> None:
    shares = [share("vault", str(folder), DISK | ipc.SHARE_ENCRYPT_DATA)]
    client = SealingClient(Engine(folder, shares=shares, encryption=Encryption.OFF))
    client.negotiate()
    client.log_on()
    assert client.status(client.frames.tree_connect(r"\\server\vault")) is DENIED


# -- replies -----------------------------------------------------------------------------


def test_a_client_that_encrypts_of_its_own_will_is_answered_so(engine: Engine) -> None:
    client = sealing(engine)
    assert client.status(client.frames.create("new")) is OK
    assert client.sealed == [True]
    assert client.status(client.frames.open("absent")) is NtStatus.OBJECT_NAME_NOT_FOUND
    assert client.sealed == [True]
    clear(client)
    assert client.status(client.frames.create("new")) is OK
    assert client.sealed == [False]


def test_malformed_requests_are_refused_encrypted(engine: Engine) -> None:
    client = sealing(engine)
    for frame in (
        client.frames.create("new", size=55),
        client.frames.echo(command=77),
        client.frames.create("new", tree_id=99),
    ):
        assert client.call(frame).status not in (OK, PENDING)
        assert client.sealed == [True]


@pytest.mark.parametrize("way", WAYS)
def test_a_compound_is_encrypted_as_one(engine: Engine, way: tuple[int, int]) -> None:
    client = sealing(engine, way)
    related = client.frames.related()
    responses = client.send(
        client.frames.create("new"), related.write(b"hello"), related.read(5), related.close()
    )
    assert statuses(responses) == [OK] * 4
    assert responses[2].data == b"hello"
    assert client.sealed == [True]


def test_signing_is_not_needed_inside(engine: Engine) -> None:
    client = sealing(engine, security_mode=SIGNING_REQUIRED)
    assert engine.server.sessions[client.frames.session_id].signing_required
    assert client.status(client.frames.create("new")) is OK
    clear(client)
    assert client.status(client.frames.create("new", sign=False)) is DENIED
    assert client.sealed == [False]
    assert client.call(client.frames.create("new")).header.flags & SIGNED


def test_a_wrong_signature_inside_does_not_matter(engine: Engine) -> None:
    """What is authentic by its seal is not verified again, [MS-SMB2] 3.3.5.2.4."""
    client = sealing(engine)
    frame = client.frames.echo(header_flags=SIGNED, signature=b"x" * 16, sign=False)
    assert client.status(frame) is OK


def test_interim_and_final_responses_are_encrypted(engine: Engine) -> None:
    client = sealing(engine)
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    client.pend(watched.frames.change_notify())
    assert client.sealed == [True]
    responses = client.send(watched.frames.close())
    assert {NtStatus.NOTIFY_CLEANUP, OK} == set(statuses(responses))
    assert client.sealed == [True] * len(client.sealed)


def test_a_lock_that_waited_is_granted_encrypted(engine: Engine) -> None:
    holder, client = sealing(engine), sealing(engine)
    held, wanted = holder.open("file"), client.open("file")
    assert holder.status(held.frames.lock((0, 10, EXCLUSIVE_LOCK | 0x10))) is OK
    client.pend(wanted.frames.lock(WAITING))
    assert holder.status(held.frames.lock(RELEASE)) is OK
    (final,) = client.receive()
    assert final.status is OK
    assert final.header.flags & ASYNC_COMMAND
    assert client.sealed == [True]


def test_a_cancel_comes_as_encrypted_as_its_request(engine: Engine) -> None:
    client = sealing(engine)
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    async_id = client.pend(watched.frames.change_notify())
    clear(client)
    assert client.send(client.frames.cancel(async_id=async_id)) == []
    assert client.send(client.frames.cancel(async_id=async_id, sign=True)) == []
    client.sealing = True
    (final,) = client.send(client.frames.cancel(async_id=async_id))
    assert final.status is NtStatus.CANCELLED
    assert client.sealed == [True]


def test_the_cancel_of_another_session_is_ignored(engine: Engine) -> None:
    client = sealing(engine)
    watched = client.open("", create_options=FILE_DIRECTORY_FILE)
    async_id = client.pend(watched.frames.change_notify())
    other = client.log_on("jane", "Secret!", use=False)
    assert client.send(client.frames.cancel(async_id=async_id, session_id=other.session_id)) == []


def test_logoff_is_answered_encrypted_although_the_session_is_gone(engine: Engine) -> None:
    client = sealing(engine)
    assert client.status(client.frames.logoff()) is OK
    assert client.sealed == [True]


@pytest.mark.parametrize("sealed", [False, True])
def test_reauthentication_leaves_the_keys_as_they_are(demanding: Engine, sealed: bool) -> None:
    client = sealing(demanding)
    session_id = client.frames.session_id
    side = ntlm.Client("joe")

    def leg(token: bytes) -> Any:
        pdu = Client.pack(client, client.frames.session_setup(token, sign=not sealed))
        (response,) = client.raw(client.seal(pdu, session_id) if sealed else pdu)
        assert client.sealed == [sealed]
        return response

    first = leg(side.negotiate())
    assert first.status is NtStatus.MORE_PROCESSING_REQUIRED
    second = leg(side.authenticate(first.token()))
    assert second.status is OK
    assert second.header.flags & SIGNED  # even inside: Samba's client verifies it
    assert second.body(SessionSetupResponse).session_flags & ENCRYPT_DATA
    assert client.status(client.frames.create("new")) is OK
    assert client.sealed == [True]


@pytest.mark.parametrize("sealed", [False, True])
def test_what_nobody_asked_for_is_encrypted_where_the_session_is(
    engine: Engine, sealed: bool
) -> None:
    client = sealing(engine)
    session = engine.server.sessions[client.frames.session_id]
    body = OplockBreakNotification(oplock_level=0, persistent_id=1, volatile_id=2)
    notify(client.connection, Command.OPLOCK_BREAK, body, seal=session if sealed else None)
    client.receive()
    (message,) = client.unsolicited
    assert client.sealed == [sealed]
    assert message.header.message_id == UNSOLICITED
    assert not message.header.flags & SIGNED


# -- nonces ------------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_no_nonce_is_used_twice(engine: Engine, way: tuple[int, int]) -> None:
    client = sealing(engine, way)
    file = client.open("new")
    for number in range(50):
        client.call(file.frames.write(b"x", number))
        client.call(file.frames.read(number + 1))
    assert len(set(client.nonces)) == len(client.nonces) >= 100


def wear_out(client: SealingClient, left: int) -> None:
    """Leave the server so many nonces for the session."""
    session = client.engine.server.sessions[client.frames.session_id]
    assert session.sealer is not None
    old = session.sealer
    session.sealer = Sealer(old.cipher, bytes(16), client.engine.random, (1 << 64) - left)
    session.sealer._aead = old._aead


def test_a_session_that_runs_out_of_nonces_has_to_log_on_again(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    wear_out(client, RESERVE + 1)
    assert client.status(file.frames.write(b"data")) is OK
    assert client.status(file.frames.write(b"DATA")) is EXPIRED
    assert client.sealed == [True]
    assert client.status(client.frames.create("other")) is EXPIRED
    assert client.status(file.frames.close()) is OK  # nothing is lost
    token = ntlm.Client("joe").negotiate()
    assert client.status(client.frames.session_setup(token)) is NtStatus.USER_SESSION_DELETED
    assert engine.server.sessions == {}
    assert (engine.folder / "new").read_bytes() == b"data"
    client.log_on()
    client.connect()
    assert client.status(client.frames.create("new")) is OK


def test_the_last_nonce_is_the_end_of_the_connection(engine: Engine) -> None:
    client = sealing(engine)
    wear_out(client, 1)
    assert client.status(client.frames.echo()) is OK
    assert client.send(client.frames.echo()) == []
    assert client.closed
    engine.assert_idle()


# -- negotiation -------------------------------------------------------------------------


@pytest.mark.parametrize("dialect", [SMB_3_0, 0x0302])
@pytest.mark.parametrize(
    ("asked", "settings", "answered"),
    [
        (CAP_ENCRYPTION, {}, True),
        (0, {}, False),
        (CAP_ENCRYPTION, {"encryption": Encryption.OFF}, False),
        (CAP_ENCRYPTION, {"ciphers": (AES_128_GCM, AES_256_GCM)}, False),
    ],
)
def test_3_0_agrees_on_encryption_by_the_capability_bit(
    folder: Path, dialect: int, asked: int, settings: dict[str, Any], answered: bool
) -> None:
    client = SealingClient(Engine(folder, **settings))
    body = client.negotiate(dialect, capabilities=asked)
    assert bool(body.capabilities & CAP_ENCRYPTION) is answered
    assert client.connection.cipher_id == (AES_128_CCM if answered else 0)


def test_3_1_1_never_shows_the_capability_bit(engine: Engine) -> None:
    """A Windows 10 that sees it does not encrypt."""
    client = SealingClient(engine)
    assert not client.negotiate().capabilities & CAP_ENCRYPTION
    assert client.cipher == AES_128_GCM


def test_older_dialects_never_show_the_capability_bit(engine: Engine) -> None:
    for dialect in (0x0202, SMB_2_1):
        client = SealingClient(engine)
        assert not client.negotiate(dialect).capabilities & CAP_ENCRYPTION
        assert client.connection.cipher_id == 0


@pytest.mark.parametrize(
    ("ours", "theirs", "chosen"),
    [
        ((2, 4, 1, 3), (4, 3, 2, 1), 2),
        ((2, 4, 1, 3), (3, 1, 4), 4),
        ((2, 4, 1, 3), (3, 1), 1),
        ((2, 4, 1, 3), (3,), 3),
        ((4,), (2, 4), 4),
        ((3, 2), (2, 3), 3),
        ((4,), (2, 1, 3), 0),
        ((2, 4, 1, 3), (7,), 0),
    ],
)
def test_the_server_s_order_decides(
    folder: Path, ours: tuple[int, ...], theirs: tuple[int, ...], chosen: int
) -> None:
    client = SealingClient(Engine(folder, ciphers=ours), ciphers=theirs)
    client.negotiate()
    assert client.cipher == client.connection.cipher_id == chosen
