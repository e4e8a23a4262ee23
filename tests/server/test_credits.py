"""Credits and the sequence window through the engine, [MS-SMB2] 3.3.1.1, 3.3.1.2, 3.3.5.2.3."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire.access import FILE_DIRECTORY_FILE
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, ready, statuses
from tests.support.engine import Engine

OK = NtStatus.SUCCESS


def test_negotiate_and_session_setup_grant_what_is_asked_for(engine: Engine) -> None:
    client = Client(engine)
    client.frames.credits = 0
    client.negotiate()
    assert client.credits == 1
    client.frames.credits = 40
    client.log_on()
    assert client.credits == 79


def test_one_grant_can_bring_all_there_are(engine: Engine) -> None:
    """smb2.credits.session_setup_credits_granted expects 8191 at least."""
    client = Client(engine)
    client.frames.credits = 0
    client.negotiate()
    client.frames.credits = 0xFFFF
    client.log_on()
    assert client.credits == 8192


def test_the_client_never_holds_more_than_the_maximum(folder: Path) -> None:
    client = ready(Engine(folder, max_credits=100))
    for _ in range(50):
        client.call(client.frames.echo(credits=1000))
        assert client.credits <= 100
        assert client.connection.window.available == client.credits


def test_the_count_of_both_sides_agrees(client: Client) -> None:
    for credits in (0, 1, 2, 0, 0, 30, 0):
        client.call(client.frames.echo(credits=credits))
        assert client.connection.window.available == client.credits


def test_a_client_that_asks_for_nothing_never_starves(client: Client) -> None:
    for _ in range(200):
        response = client.call(client.frames.echo(credits=0))
        assert client.credits >= 1
        assert response.header.credits <= 1


def test_an_error_returns_credits_too(client: Client) -> None:
    before = client.credits
    response = client.call(client.frames.read(tree_id=99, credits=7))
    assert response.status is NtStatus.NETWORK_NAME_DELETED
    assert response.header.credits == 7
    assert client.credits == before + 6


def test_a_charge_uses_up_as_many_ids(client: Client) -> None:
    file = client.open("file")
    first = client.next_id
    assert client.status(file.frames.write(bytes(65536 * 3))) is OK
    assert client.next_id == first + 3
    client.call(client.frames.echo())
    client.send(client.frames.echo(message_id=first + 1))
    assert client.closed


@pytest.mark.parametrize("again", [0, 1, 2])
def test_an_id_used_before_ends_the_connection(client: Client, again: int) -> None:
    client.send(client.frames.echo(message_id=again))
    assert client.closed
    client.engine.assert_idle()


@pytest.mark.parametrize("ahead", [0, 1, 8192, 1 << 32, (1 << 64) - 1])
def test_an_id_not_granted_yet_ends_the_connection(client: Client, ahead: int) -> None:
    message_id = min(client.connection.window.high + ahead, (1 << 64) - 1)
    client.send(client.frames.echo(message_id=message_id))
    assert client.closed


def test_the_last_id_granted_may_be_used(client: Client) -> None:
    last = client.connection.window.high - 1
    assert client.status(client.frames.echo(message_id=last)) is OK


def test_a_charge_beyond_the_window_ends_the_connection(client: Client) -> None:
    client.send(client.frames.echo(credit_charge=client.credits + 1))
    assert client.closed


def test_a_charge_that_reaches_an_id_used_already_ends_the_connection(client: Client) -> None:
    client.call(client.frames.echo(message_id=client.next_id + 1))
    client.send(client.frames.echo(credit_charge=2))
    assert client.closed


def test_ids_may_be_used_in_any_order(client: Client) -> None:
    first, available = client.next_id, client.credits
    for message_id in reversed(range(first, first + available)):
        assert client.status(client.frames.echo(message_id=message_id, credits=1)) is OK
    window = client.connection.window
    assert window.low == first + available
    assert window.available == available


def test_a_skipped_id_holds_the_window_down_until_it_is_used(folder: Path) -> None:
    """smb2.credits.skipped_mid."""
    client = ready(Engine(folder, max_credits=50))
    skipped = client.next_id
    client.next_id += 1
    while client.connection.window.available > 1:
        client.call(client.frames.echo(credits=10))
    assert client.connection.window.high <= skipped + 50
    assert client.status(client.frames.echo(message_id=skipped, credits=10)) is OK
    assert client.connection.window.available >= 10


def test_2_0_2_uses_one_id_whatever_the_charge(engine: Engine) -> None:
    client = ready(engine, 0x0202)
    for _ in range(3):
        assert client.status(client.frames.echo(credit_charge=100)) is OK


def test_cancel_uses_no_id_and_grants_nothing(client: Client) -> None:
    window = client.connection.window
    before = window.low, window.high
    assert client.send(client.frames.cancel(message_id=client.next_id)) == []
    assert (window.low, window.high) == before
    assert client.status(client.frames.echo()) is OK


def test_credits_of_a_compound_come_with_each_element(client: Client) -> None:
    before = client.credits
    responses = client.send(client.frames.echo(credits=3), client.frames.echo(credits=4))
    assert [r.header.credits for r in responses] == [3, 4]
    assert client.credits == before + 5


def test_credits_of_a_request_that_waits_come_with_the_interim_response(client: Client) -> None:
    folder = client.open("", create_options=FILE_DIRECTORY_FILE)
    frame = folder.frames.change_notify(credits=9)
    interim = client.call(frame)
    assert (interim.status, interim.header.credits) == (NtStatus.PENDING, 9)
    responses = client.send(folder.frames.close(credits=2))
    assert sorted(r.header.credits for r in responses) == [0, 2]
    assert NtStatus.NOTIFY_CLEANUP in statuses(responses)


def test_a_request_that_waits_keeps_no_id_back(client: Client) -> None:
    """8192 requests can follow one that waits."""
    folder = client.open("", create_options=FILE_DIRECTORY_FILE)
    client.pend(folder.frames.change_notify())
    for _ in range(300):
        client.call(client.frames.echo(credits=1))
    assert client.connection.window.available == client.credits
