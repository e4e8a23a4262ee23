"""server/administration.py: how long sessions are idle."""

from __future__ import annotations

import pytest

from ksmbd.server import administration
from ksmbd.wire.ipc import Message, SessionsRequest, SessionsResponse
from tests.support.client import Client

WORD = 0xFFFFFFFF


def ask(client: Client, idle: dict[int, float], start: int = 0) -> SessionsResponse:
    answers: list[Message] = []
    request = SessionsRequest(handle=7, start=start)
    administration.answer(client.engine.server, request, answers.append, lambda: idle)
    (answer,) = answers
    assert isinstance(answer, SessionsResponse)
    return answer


def test_a_session_is_as_idle_as_its_connection(client: Client) -> None:
    number = client.frames.session_id & WORD
    (session,) = client.engine.server.sessions.values()
    (channel,) = session.channels
    assert ask(client, {channel: 75.9}) == SessionsResponse(
        handle=7, total=1, sessions=(number,), idle=(75,)
    )
    assert ask(client, {}).idle == (0,)


def test_sessions_are_told_page_by_page(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(administration, "PAGE_SESSIONS", 1)
    assert len(ask(client, {}).sessions) == 1
    assert ask(client, {}, start=1) == SessionsResponse(handle=7, total=1)
