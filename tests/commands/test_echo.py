"""commands/echo.py"""

from __future__ import annotations

from ksmbd.wire.echo import EchoResponse
from tests.support.client import Client
from tests.support.engine import Engine


def test_echo_needs_no_session(engine: Engine) -> None:
    client = Client(engine)
    client.negotiate()
    assert client.ok(client.frames.echo(), EchoResponse) == EchoResponse()


def test_echo_of_a_session_is_signed_like_its_request(client: Client) -> None:
    response = client.call(client.frames.echo())
    assert response.signed_by(client.sessions[client.frames.session_id].signer)


def test_echo_with_a_session_that_is_not_there_is_answered(client: Client) -> None:
    client.ok(client.frames.echo(session_id=0x1234), EchoResponse)
