"""state/lock_sequence.py through the engine: LOCKs that come twice, [MS-SMB2] 3.3.5.14."""

from __future__ import annotations

import pytest

from ksmbd.wire.lock import EXCLUSIVE_LOCK, FAIL_IMMEDIATELY, UNLOCK
from ksmbd.wire.negotiate import SMB_2_0_2
from ksmbd.wire.status import NtStatus
from tests.support.client import DIALECTS, Client, File
from tests.support.durable import V1, ask, back_v1, connected, durable
from tests.support.engine import Engine

OK = NtStatus.SUCCESS
TAKEN = NtStatus.LOCK_NOT_GRANTED
NOW = EXCLUSIVE_LOCK | FAIL_IMMEDIATELY


def lock(client: Client, file: File, index: int, number: int, flags: int = NOW) -> NtStatus:
    frame = file.frames.lock((0, 10, flags), lock_sequence=index << 4 | number)
    return client.status(frame)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_the_same_number_is_done_once(engine: Engine, dialect: int) -> None:
    client = connected(engine, dialect)
    file = durable(client, V1)
    assert lock(client, file, 1, 1) is OK
    assert lock(client, file, 1, 1) is (TAKEN if dialect == SMB_2_0_2 else OK)
    assert lock(client, file, 1, 2, UNLOCK) is OK
    assert lock(client, file, 1, 3, UNLOCK) is NtStatus.RANGE_NOT_LOCKED


def test_an_unlock_that_comes_twice_is_answered_twice(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    assert lock(client, file, 64, 0) is OK
    assert lock(client, file, 64, 1, UNLOCK) is OK
    assert lock(client, file, 64, 1, UNLOCK) is OK


@pytest.mark.parametrize("index", [0, 65, 0xFFFFFFF])
def test_a_bucket_that_there_is_not_knows_nothing(engine: Engine, index: int) -> None:
    client = connected(engine)
    file = durable(client)
    assert lock(client, file, index, 1) is OK
    assert lock(client, file, index, 1) is TAKEN


def test_what_failed_is_tried_again(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    assert lock(client, file, 1, 1) is OK
    assert lock(client, file, 2, 1) is TAKEN
    assert lock(client, file, 1, 2, UNLOCK) is OK
    assert lock(client, file, 2, 1) is OK


def test_another_number_empties_the_bucket_even_if_it_fails(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    assert lock(client, file, 1, 1) is OK
    assert lock(client, file, 1, 2) is TAKEN
    assert lock(client, file, 1, 1) is TAKEN


def test_an_open_that_is_not_durable_has_no_buckets(engine: Engine) -> None:
    client = connected(engine)
    file = client.open()
    assert lock(client, file, 1, 1) is OK
    assert lock(client, file, 1, 1) is TAKEN


def test_the_numbers_are_known_after_a_reconnect(engine: Engine) -> None:
    client = connected(engine)
    file = durable(client)
    assert lock(client, file, 1, 1) is OK
    client.lose()
    client = connected(engine)
    again = client.file(ask(client, back_v1(file)))
    assert lock(client, again, 1, 1) is OK
