"""server/file_security.py: which sessions may ask for a file's descriptor over RPC."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.server import administration
from ksmbd.wire import ipc
from ksmbd.wire.ipc import FileSecurityRequest, FileSecurityResponse, Message
from ksmbd.wire.policy import Encryption
from ksmbd.wire.security import DACL_SECURITY_INFORMATION, SecurityDescriptor
from ksmbd.wire.status import NtStatus
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.mountd import DISK, share
from tests.support.sealing import SealingClient

VAULT = DISK | ipc.SHARE_ENCRYPT_DATA


def ask(engine: Engine, client: Client, name: str) -> FileSecurityResponse:
    """Through a pipe of the client's."""
    client.connect("IPC$")
    client.open("srvsvc")
    (pipe,) = (open.pipe for open in engine.server.opens.all() if open.pipe is not None)
    request = FileSecurityRequest(
        handle=7,
        pipe=pipe.number,
        information=DACL_SECURITY_INFORMATION,
        connection_flags=ipc.TREE_WRITABLE,
        share=name,
        path="file",
    )
    answers: list[Message] = []
    administration.answer(engine.server, request, answers.append)
    (answer,) = answers
    assert isinstance(answer, FileSecurityResponse)
    return answer


@pytest.mark.parametrize(
    ("policy", "name", "status"),
    [
        (Encryption.AUTO, "plain", NtStatus.SUCCESS),
        (Encryption.AUTO, "vault", NtStatus.ACCESS_DENIED),  # IPC$ is used in clear
        (Encryption.REQUIRED, "vault", NtStatus.SUCCESS),
    ],
)
def test_a_share_that_must_be_encrypted_tells_nothing_in_clear(
    folder: Path, policy: Encryption, name: str, status: NtStatus
) -> None:
    shares = [share("plain", str(folder)), share("vault", str(folder), VAULT)]
    engine = Engine(folder, encryption=policy, shares=shares)
    engine.make_file("file")
    client = SealingClient(engine)
    client.negotiate()
    client.log_on()
    answer = ask(engine, client, name)
    assert (answer.handle, answer.status) == (7, status)
    if status is NtStatus.SUCCESS:
        assert SecurityDescriptor.unpack(answer.security).dacl_present
    else:
        assert answer.security == b""
