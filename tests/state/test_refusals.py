"""What the log says of clients that may not come in: which, why, what to do, and not too often."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ksmbd.ipc.requests import TreeConnectReply
from ksmbd.state import refusals
from ksmbd.state.refusals import QUIET_S, ROOM, Refusals
from ksmbd.wire import ipc
from ksmbd.wire.ipc import TreeStatus
from ksmbd.wire.policy import Encryption
from ksmbd.wire.status import NtStatus
from tests.auth import client as ntlm
from tests.support.client import Client, nobody
from tests.support.engine import PEER, Clock, Engine
from tests.support.mountd import DISK, share

DENIED = NtStatus.ACCESS_DENIED
HEAD = f"{PEER}: "


@pytest.fixture
def said(caplog: pytest.LogCaptureFixture) -> Callable[[], list[str]]:
    """The lines since it was called last."""
    caplog.set_level(logging.WARNING, "ksmbd.auth")

    def take() -> list[str]:
        lines = [each.getMessage() for each in caplog.records if each.name == "ksmbd.auth"]
        caplog.clear()
        return lines

    return take


Said = Callable[[], list[str]]


def client_of(engine: Engine, *dialects: int, **changes: Any) -> Client:
    client = Client(engine)
    client.negotiate(*dialects, **changes)
    return client


def sealed_share(folder: Path, **settings: Any) -> Engine:
    secret = share("secret", str(folder), DISK | ipc.SHARE_ENCRYPT_DATA)
    return Engine(folder, shares=[secret], **settings)


def connect(client: Client, name: str = "secret") -> NtStatus:
    return client.status(client.frames.tree_connect(rf"\\server\{name}"))


def test_a_client_that_cannot_encrypt_is_told_of_with_share_and_remedy(
    folder: Path, said: Said, caplog: pytest.LogCaptureFixture
) -> None:
    client = client_of(sealed_share(folder), 0x0210)
    client.log_on()
    assert connect(client) is DENIED
    (record,) = caplog.records
    assert (record.SMB_USER, record.SMB_SHARE) == ("joe", "secret")  # type: ignore[attr-defined]
    assert said() == [
        HEAD + "joe refused at secret: the client speaks SMB 2.1, which cannot encrypt, and "
        "smb encrypt = required; have it speak SMB 3, or say smb encrypt = desired"
    ]


def test_so_is_one_that_has_no_cipher_in_common(folder: Path, said: Said) -> None:
    client = client_of(sealed_share(folder), 0x0302)  # it does not offer CAP_ENCRYPTION
    client.log_on()
    assert connect(client) is DENIED
    (line,) = said()
    assert "the client has no encryption, or none that is allowed here" in line


def test_and_the_server_itself_where_it_is_told_not_to(folder: Path, said: Said) -> None:
    client = client_of(sealed_share(folder, encryption=Encryption.OFF))
    client.log_on()
    assert connect(client) is DENIED
    (line,) = said()
    assert "smb3 encryption = off, and smb encrypt = required; say smb3 encryption = auto" in line


def test_a_guest_has_no_key(folder: Path, said: Said) -> None:
    client = client_of(sealed_share(folder))
    client.log_on_nobody()
    assert connect(client) is DENIED
    (line,) = said()
    assert "guests cannot encrypt, and smb encrypt = required; give its users accounts" in line


def test_a_server_that_encrypts_everything_says_whom_it_refuses(folder: Path, said: Said) -> None:
    engine = Engine(folder, encryption=Encryption.REQUIRED)
    old = client_of(engine, 0x0210)
    assert old.try_log_on(ntlm.Client()).responses[-1].status is DENIED
    assert said() == [
        HEAD + "refused: the client speaks SMB 2.1, which cannot encrypt, and "
        "smb3 encryption = required; have it speak SMB 3, or say smb3 encryption = desired"
    ]


def test_a_dialect_that_is_not_allowed_is_named(folder: Path, said: Said) -> None:
    client = Client(Engine(folder, min_dialect=0x0300))
    assert client.status(client.frames.negotiate(0x0202, 0x0210, 0x7777)) is NtStatus.NOT_SUPPORTED
    assert said() == [
        HEAD + "refused: the client speaks SMB 2.0.2, 2.1; "
        "server min protocol and server max protocol allow 3.0 to 3.1.1"
    ]
    assert client.status(client.frames.negotiate(0x7777)) is NtStatus.NOT_SUPPORTED
    (line,) = said()
    assert "SMB of another time" in line


def test_limits_of_sessions_name_themselves(folder: Path, said: Said) -> None:
    client = client_of(Engine(folder, max_sessions=1))
    client.log_on()
    client.try_log_on(ntlm.Client())
    client = client_of(Engine(folder, max_user_sessions=1))
    client.log_on()
    client.try_log_on(ntlm.Client())
    assert said() == [
        HEAD + "refused: max active sessions = 1 are there; raise it",
        HEAD + "refused: joe has max user sessions = 1 already; raise it",
    ]


def test_of_what_mountd_refuses_mountd_speaks(engine: Engine, said: Said) -> None:
    engine.mountd.decisions["data"] = TreeConnectReply(TreeStatus.INVALID_USER, 0)
    client = client_of(engine)
    client.log_on()
    assert connect(client, "data") is DENIED
    assert said() == []


def test_a_client_that_tries_again_and_again_has_one_line_a_minute(
    folder: Path, said: Said
) -> None:
    engine = sealed_share(folder)
    client = client_of(engine, 0x0210)
    client.log_on()
    for _ in range(5):
        connect(client)
    assert len(said()) == 1
    engine.clock.now += QUIET_S
    connect(client)
    (line,) = said()
    assert line.endswith("(4 more like it meanwhile)")
    other = Client(engine, peer="192.0.2.99")
    other.negotiate(0x0210)
    other.log_on()
    connect(other)
    assert len(said()) == 1


def test_what_is_remembered_is_bounded() -> None:
    made = Refusals(Clock())
    for number in range(ROOM + 10):
        assert made.due(f"client {number}", "why") == 0
    assert len(made) == ROOM
    assert made.due("client 0", "why") == 0  # forgotten
    assert made.due(f"client {ROOM}", "why") is None


def test_a_clock_that_is_set_back_silences_nobody() -> None:
    clock = Clock()
    made = Refusals(clock)
    made.due("c", "why")
    clock.now -= 3600
    assert made.due("c", "why") == 0


def test_nobody_is_refused_in_silence_where_guests_may_not_be(folder: Path, said: Said) -> None:
    engine = Engine(folder, encryption=Encryption.REQUIRED)
    assert client_of(engine).try_log_on(nobody()).responses[-1].status is DENIED
    (line,) = said()
    assert line.startswith(HEAD + "refused: guests cannot encrypt")
    assert line.endswith(refusals.NO_ACCOUNT)


def test_a_share_whose_directory_is_gone_says_so_once(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    gone = str(folder / "gone")
    client = client_of(Engine(folder, shares=[share("data", gone)]))
    client.log_on()
    for _ in range(3):
        assert connect(client, "data") is NtStatus.BAD_NETWORK_NAME
    (line,) = [each.getMessage() for each in caplog.records if each.name == "ksmbd.vfs"]
    assert line.startswith("data: nobody can connect: ")
    assert gone in line
