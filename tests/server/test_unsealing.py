"""server/unsealing.py: what comes encrypted is opened, or ends the connection.

[MS-SMB2] 3.3.5.2.1.1.
"""

from __future__ import annotations

import os
import struct
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import pytest

from ksmbd.crypto.sealing import TAG_SIZE, Sealer
from ksmbd.server import dispatch, unsealing
from ksmbd.wire.header import TRANSFORM_SIZE
from ksmbd.wire.negotiate import AES_128_GCM, AES_256_GCM, SMB_2_1, SMB_3_1_1
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.engine import Engine
from tests.support.frames import Frame
from tests.support.mountd import GUEST
from tests.support.sealing import WAYS, SealingClient, nobody, sealing

OK: Final = NtStatus.SUCCESS
DENIED: Final = NtStatus.ACCESS_DENIED
FLAGS: Final = 42  # of EncryptionAlgorithm or Flags in the transform header
SIZE: Final = 36  # of OriginalMessageSize
SESSION: Final = 44  # of SessionId


def echo(client: SealingClient) -> bytearray:
    """A sealed ECHO."""
    return client.pack(client.frames.echo())


def assert_ends(client: SealingClient, pdu: bytes | bytearray) -> None:
    """*pdu* is answered by the end of the connection and of all that lived on it."""
    assert client.raw(pdu) == []
    assert client.closed
    client.engine.assert_idle()


# -- what is right -----------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
def test_files_are_written_and_read_encrypted(engine: Engine, way: tuple[int, int]) -> None:
    client = sealing(engine, way)
    file = client.open("new")
    data = os.urandom(300_000)
    for request in (
        file.frames.write(data[:200_000]),
        file.frames.write(data[200_000:], 200_000),
        file.frames.flush(),
    ):
        assert client.status(request) is OK
        assert client.sealed == [True]
    assert client.call(file.frames.read(300_000)).data == data
    assert client.sealed == [True]
    assert client.status(file.frames.close()) is OK
    assert (engine.folder / "new").read_bytes() == data


@pytest.mark.parametrize("size", [0, 1, 65_000, 65_536, 1 << 20])
def test_a_message_of_any_size_is_opened(engine: Engine, size: int) -> None:
    client = sealing(engine)
    file = client.open("new")
    data = os.urandom(size)
    assert client.status(file.frames.write(data)) is OK
    assert (engine.folder / "new").read_bytes() == data


def test_a_short_frame_is_opened_at_once_and_may_be_run_by_the_reader(engine: Engine) -> None:
    client = sealing(engine)
    work = dispatch.receive(client.connection, memoryview(echo(client)))
    assert work is not None
    assert not unsealing.is_sealed(work)
    assert dispatch.is_direct(work)
    file = client.open("new")
    flush = client.pack(file.frames.flush())
    work = dispatch.receive(client.connection, memoryview(flush))
    assert work is not None
    assert not dispatch.is_direct(work)


def test_a_long_frame_is_opened_in_its_own_buffer_by_whoever_runs_it(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    data = os.urandom(100_000)
    pdu = client.pack(file.frames.write(data))
    buffer = pdu + bytes(TAG_SIZE)
    work = dispatch.receive(client.connection, memoryview(buffer)[: len(pdu)])
    assert work is not None
    assert unsealing.is_sealed(work)
    with engine.acting():
        dispatch.run(work)
    assert work.frame.obj is buffer
    assert (engine.folder / "new").read_bytes() == data


def run_by_the_reader(client: SealingClient, *frames: Frame) -> int:
    """How many works are left to kworkers when a reader has run one of *frames*."""
    engine = client.engine
    pdu = client.pack(*frames)
    work = dispatch.receive(client.connection, memoryview(pdu + bytes(TAG_SIZE))[: len(pdu)])
    assert work is not None
    work.direct = True
    with engine.acting():
        dispatch.run(work)
        return len(engine.scheduler.queue)


def test_a_reader_opens_a_long_frame_and_keeps_it_if_it_is_a_write(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    assert run_by_the_reader(client, file.frames.write(bytes(100_000))) == 0
    assert client.receive()[0].status is OK


def test_a_reader_leaves_anything_else_in_a_long_frame_to_a_kworker(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    data = os.urandom(100_000)
    assert run_by_the_reader(client, file.frames.write(data), file.frames.flush()) == 1
    assert [response.status for response in client.receive()] == [OK, OK]
    assert (engine.folder / "new").read_bytes() == data


def test_a_reader_that_finds_a_wrong_tag_has_nothing_written(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    pdu = client.pack(file.frames.write(b"x" * 100_000))
    pdu[-1] ^= 1
    work = dispatch.receive(client.connection, memoryview(pdu + bytes(TAG_SIZE))[: len(pdu)])
    assert work is not None
    work.direct = True
    with engine.acting():
        dispatch.run(work)
    assert client.closed
    assert (engine.folder / "new").read_bytes() == b""


@pytest.mark.parametrize("spare", [0, TAG_SIZE - 1])
def test_without_room_behind_it_a_long_frame_is_copied(engine: Engine, spare: int) -> None:
    client = sealing(engine)
    file = client.open("new")
    pdu = client.pack(file.frames.write(bytes(100_000)))
    buffer = pdu + bytes(spare)
    untouched = bytes(buffer)
    engine.receive(client.connection, memoryview(buffer)[: len(pdu)])
    assert client.receive()[0].status is OK
    assert buffer == untouched


def test_a_frame_that_does_not_begin_its_buffer_is_copied(engine: Engine) -> None:
    client = sealing(engine)
    file = client.open("new")
    pdu = client.pack(file.frames.write(bytes(100_000)))
    buffer = bytearray(64) + pdu + bytes(64)
    engine.receive(client.connection, memoryview(buffer)[64 : 64 + len(pdu)])
    assert client.receive()[0].status is OK


# -- what is not -------------------------------------------------------------------------


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("at", [4, 19, 20, 30, SESSION, TRANSFORM_SIZE, 100, -1])
def test_a_changed_bit_ends_the_connection(engine: Engine, way: tuple[int, int], at: int) -> None:
    client = sealing(engine, way)
    pdu = echo(client)
    pdu[at] ^= 0x10
    assert_ends(client, pdu)


@pytest.mark.parametrize("at", [4, 200, -1])
def test_a_changed_bit_of_a_long_message_ends_the_connection(engine: Engine, at: int) -> None:
    client = sealing(engine)
    file = client.open("new")
    pdu = client.pack(file.frames.write(bytes(100_000)))
    pdu[at] ^= 1
    assert_ends(client, pdu)
    assert (engine.folder / "new").read_bytes() == b""


@pytest.mark.parametrize(
    ("at", "value"),
    [
        (FLAGS, struct.pack("<H", 0)),
        (FLAGS, struct.pack("<H", 2)),
        (FLAGS, struct.pack("<H", 0x8001)),
        (SIZE, struct.pack("<I", 67)),
        (SIZE, struct.pack("<I", 69)),
        (SIZE, struct.pack("<I", 0)),
        (SIZE, struct.pack("<I", 0xFFFF_FFFF)),
        (SESSION, struct.pack("<Q", 0)),
        (SESSION, struct.pack("<Q", 0xFFFF_FFFF_FFFF_FFFF)),
    ],
)
def test_a_wrong_header_ends_the_connection(engine: Engine, at: int, value: bytes) -> None:
    client = sealing(engine)
    pdu = echo(client)
    pdu[at : at + len(value)] = value
    assert_ends(client, pdu)


@pytest.mark.parametrize("length", [4, 20, 51, 52, 53, 52 + 63])
def test_a_truncated_message_ends_the_connection(engine: Engine, length: int) -> None:
    client = sealing(engine)
    assert_ends(client, echo(client)[:length])


def test_bytes_behind_the_message_end_the_connection(engine: Engine) -> None:
    client = sealing(engine)
    assert_ends(client, echo(client) + bytes(8))


@pytest.mark.parametrize(
    "inside",
    [
        b"\xfdSMB" + bytes(80),
        b"\xfcSMB" + bytes(80),
        b"\xffSMB" + bytes(80),
        b"\xfeSMC" + bytes(80),
        bytes(84),
    ],
)
def test_only_an_smb2_message_may_be_inside(engine: Engine, inside: bytes) -> None:
    client = sealing(engine)
    assert_ends(client, client.seal(inside, client.frames.session_id))


def test_a_sealed_message_inside_a_sealed_message_ends_the_connection(engine: Engine) -> None:
    client = sealing(engine)
    assert_ends(client, client.seal(echo(client), client.frames.session_id))


def test_the_session_inside_is_the_one_outside(engine: Engine) -> None:
    client = sealing(engine)
    mine = client.frames.session_id
    theirs = client.log_on("jane", "Secret!", use=False).session_id
    client.sealing = False
    frame = client.frames.tree_connect(session_id=theirs, sign=False)
    assert_ends(client, client.seal(client.pack(frame), mine))


def test_no_other_session_may_follow_in_the_compound(engine: Engine) -> None:
    client = sealing(engine)
    theirs = client.log_on("jane", "Secret!", use=False).session_id
    first = client.frames.echo()
    responses = client.send(first, client.frames.tree_connect(session_id=theirs))
    assert [response.status for response in responses] == [OK, DENIED]
    assert client.sealed == [True]
    assert not engine.server.sessions[theirs].trees


@pytest.mark.parametrize("session_id", [0, 0x1234_5678])
def test_a_session_that_is_not_there_ends_the_connection(engine: Engine, session_id: int) -> None:
    client = sealing(engine)
    sealer = Sealer(AES_128_GCM, bytes(16), engine.random)
    assert_ends(client, bytearray(sealer.seal([bytes(68)], session_id)))


def test_the_session_of_another_connection_ends_this_one(engine: Engine) -> None:
    client, other = sealing(engine), sealing(engine)
    stolen = echo(other)
    assert client.raw(stolen) == []
    assert client.closed
    assert other.call(other.frames.echo()).status is OK  # the other does not suffer


def test_a_replayed_message_ends_the_connection(engine: Engine) -> None:
    """Its nonce is good for ever, its message id is not, [MS-SMB2] 3.3.5.2.3."""
    client = sealing(engine)
    pdu = echo(client)
    assert client.raw(bytearray(pdu))[0].status is OK
    assert_ends(client, pdu)


def test_a_session_that_has_ended_opens_nothing(engine: Engine) -> None:
    client = sealing(engine)
    late = echo(client)
    assert client.status(client.frames.logoff()) is OK
    assert client.sealed == [True]
    assert_ends(client, late)


def test_nobody_is_heard_encrypted_before_the_log_on(engine: Engine) -> None:
    client = SealingClient(engine)
    sealer = Sealer(AES_128_GCM, bytes(16), engine.random)
    pdu = bytearray(sealer.seal([bytes(68)], 1))
    assert_ends(client, pdu)
    client = SealingClient(engine)
    client.negotiate()
    first = client.call(client.frames.session_setup(ntlm.Client("joe").negotiate(), session_id=0))
    pdu = bytearray(sealer.seal([bytes(68)], first.header.session_id))
    assert_ends(client, pdu)


def test_guests_are_not_heard_encrypted(engine: Engine) -> None:
    engine.mountd.guest = replace(GUEST)
    client = SealingClient(engine)
    client.negotiate()
    session = client.log_on("stranger")
    assert session.signer is None
    assert_ends(client, forged(client, session.session_id))


def test_somebody_anonymous_is_heard_encrypted_only_beside_somebody_known(engine: Engine) -> None:
    """The key is no secret.  Windows does so, smb2.session.anon-encryption* want it."""
    alone = SealingClient(engine)
    alone.negotiate()
    alone.frames.session_id = alone.try_log_on(nobody()).session_id
    assert_ends(alone, echo(alone))
    client = sealing(engine)
    session_id = client.frames.session_id = client.try_log_on(nobody()).session_id
    assert client.status(client.frames.echo()) is OK
    assert client.sealed == [True]
    assert not engine.server.sessions[session_id].encrypt_data


def forged(client: SealingClient, session_id: int) -> bytearray:
    """An ECHO that somebody without a key seals with one that he made up."""
    frame: Frame = client.frames.echo(session_id=session_id)
    sealer = Sealer(client.cipher, bytes(16), client.engine.random)
    return bytearray(sealer.seal([client.pack(frame)], session_id))


@pytest.mark.parametrize(
    ("dialect", "settings"),
    [
        (SMB_2_1, {}),
        (SMB_3_1_1, {"encryption": Encryption.OFF}),
        (SMB_3_1_1, {"ciphers": (AES_256_GCM,)}),
    ],
)
def test_where_no_cipher_was_negotiated_nothing_is_opened(
    folder: Path, dialect: int, settings: dict[str, Any]
) -> None:
    client = SealingClient(Engine(folder, **settings), ciphers=(AES_128_GCM,))
    client.negotiate(dialect)
    session = client.log_on()
    assert client.cipher == 0
    client.cipher = AES_128_GCM
    assert_ends(client, forged(client, session.session_id))


def test_a_sealed_negotiate_ends_the_connection(engine: Engine) -> None:
    client = sealing(engine)
    frame = client.frames.negotiate(SMB_3_1_1, session_id=client.frames.session_id)
    client.sealing = False
    assert_ends(client, client.seal(client.pack(frame), client.frames.session_id))


def test_a_compressed_message_ends_the_connection(engine: Engine) -> None:
    client = sealing(engine)
    assert_ends(client, b"\xfcSMB" + bytes(80))
