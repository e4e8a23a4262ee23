"""commands/create_app_instance.py through the engine, [MS-SMB2] 3.3.5.9.13."""

from __future__ import annotations

import pytest

from ksmbd.wire import create_context as wire
from ksmbd.wire.access import DELETE, FILE_CREATED, FILE_DELETE_ON_CLOSE
from ksmbd.wire.create import OPLOCK_BATCH, CreateResponse
from ksmbd.wire.negotiate import SMB_2_1, SMB_3_0_2
from ksmbd.wire.status import NtStatus
from tests.support.client import Client, File
from tests.support.durable import Context, ask, back_v2, connected, v2
from tests.support.engine import Engine
from tests.support.replies import Response

OK = NtStatus.SUCCESS
APP = b"an application.."
THERE = b"b" * 16


def app(name: bytes = APP) -> Context:
    return wire.APP_INSTANCE_ID, wire.AppInstanceId(app_instance_id=name).pack()


def version(high: int, low: int) -> Context:
    data = wire.AppInstanceVersion(app_instance_version_high=high, app_instance_version_low=low)
    return wire.APP_INSTANCE_VERSION, data.pack()


def run(client: Client, *contexts: Context, name: str = "file", **changes: int) -> Response:
    """Open the file for the application, sharing nothing."""
    asked = (v2(client.connection.client_guid), *(contexts or (app(),)))
    return ask(client, *asked, name=name, **({"share_access": 0} | changes))


def there(engine: Engine, *dialects: int) -> Client:
    return connected(engine, *dialects, guid=THERE)


def lives(client: Client, file: File) -> bool:
    return client.status(file.frames.write(b"1")) is OK


def test_it_takes_its_file_over_without_a_break(engine: Engine) -> None:
    here = connected(engine)
    file = here.file(run(here))
    response = run(there(engine))
    assert response.body(CreateResponse).oplock_level == OPLOCK_BATCH
    here.receive()
    assert here.unsolicited == []
    assert here.status(file.frames.close()) is NtStatus.FILE_CLOSED


def test_even_from_a_client_that_is_away(engine: Engine) -> None:
    here = connected(engine)
    file = here.file(run(here))
    here.lose()
    assert run(there(engine)).status is OK
    again = ask(connected(engine), back_v2(file, here.connection.client_guid))
    assert again.status is NtStatus.OBJECT_NAME_NOT_FOUND


def test_a_file_that_goes_with_the_open_is_made_anew(engine: Engine) -> None:
    here = connected(engine)
    run(here, app(), create_options=FILE_DELETE_ON_CLOSE)
    assert run(there(engine)).body(CreateResponse).create_action == FILE_CREATED


@pytest.mark.parametrize(
    ("dialect", "guid", "contexts"),
    [(0, THERE, (app(b"another one....."),)), (SMB_2_1, THERE, (app(),)), (0, b"a" * 16, (app(),))],
    ids=["another application", "an old dialect", "the same client"],
)
def test_others_stay_out(
    engine: Engine, dialect: int, guid: bytes, contexts: tuple[Context, ...]
) -> None:
    here = connected(engine, guid=b"a" * 16)
    file = here.file(ask(here, v2(), app(), share_access=0, requested_oplock_level=0))
    other = connected(engine, *([dialect] if dialect else []), guid=guid)
    assert run(other, *contexts).status is NtStatus.SHARING_VIOLATION
    assert lives(here, file)


def test_another_file_of_the_application_is_left_alone(engine: Engine) -> None:
    here = connected(engine)
    file = here.file(run(here))
    assert run(there(engine), name="other").status is OK
    assert lives(here, file)


def test_who_may_not_open_the_file_takes_nothing_over(engine: Engine) -> None:
    here = connected(engine)
    file = here.file(run(here))
    (engine.folder / "file").chmod(0o444)
    response = run(there(engine), desired_access=DELETE | 2)
    assert response.status is NtStatus.ACCESS_DENIED
    (engine.folder / "file").chmod(0o744)
    assert lives(here, file)


@pytest.mark.parametrize(
    ("before", "now", "taken"),
    [
        ((1, 1), (1, 2), True),
        ((1, 1), (2, 0), True),
        ((1, 1), (1, 1), False),
        ((1, 1), (0, 9), False),
    ],
)
def test_only_a_newer_version_takes_over(
    engine: Engine, before: tuple[int, int], now: tuple[int, int], taken: bool
) -> None:
    here = connected(engine)
    file = here.file(run(here, app(), version(*before)))
    response = run(there(engine), app(), version(*now))
    assert response.status is (OK if taken else NtStatus.FILE_FORCED_CLOSED)
    assert lives(here, file) is not taken


def test_versions_mean_nothing_before_3_1_1(engine: Engine) -> None:
    run(connected(engine), app(), version(5, 0))
    assert run(there(engine, SMB_3_0_2), app(), version(4, 0)).status is OK


def test_who_has_no_version_takes_over_whoever_had_one(engine: Engine) -> None:
    run(connected(engine), app(), version(5, 0))
    assert run(there(engine)).status is OK
