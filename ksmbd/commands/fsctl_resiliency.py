"""FSCTL_LMR_REQUEST_RESILIENCY, [MS-SMB2] 3.3.5.15.9: an open that needs no oplock to be kept."""

from __future__ import annotations

from typing import Final

from ksmbd.state.durable import Durable
from ksmbd.state.open import Open
from ksmbd.state.work import Work
from ksmbd.wire.fsctl import NetworkResiliencyRequest
from ksmbd.wire.negotiate import SMB_2_1
from ksmbd.wire.status import NtStatus, NtStatusError

LONGEST_MS: Final = 300_000  # MaxResiliencyTimeout, as Windows has it
DEFAULT_MS: Final = 120_000  # if the client leaves it to us; as Windows has it


def request_resiliency(
    work: Work, open: Open | None, data: memoryview, limit: int
) -> tuple[bytes, NtStatus]:
    """Keep the open for so many milliseconds after its connection is lost, whoever wants the file.

    INVALID_DEVICE_REQUEST   SMB 2.0.2; no file; ``durable handles = no``
    INVALID_PARAMETER        a longer time than Windows allows
    """
    if work.connection.dialect < SMB_2_1 or not work.the_tree().share.durable_handles:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no resiliency")
    if open is None or open.handle is None or open.is_directory:
        raise NtStatusError(NtStatus.INVALID_DEVICE_REQUEST, "no file")
    asked = NetworkResiliencyRequest.unpack(data)
    if asked.timeout > LONGEST_MS:
        raise NtStatusError(NtStatus.INVALID_PARAMETER, f"{asked.timeout} ms")
    durable = open.durable
    if durable is None:
        durable = open.durable = Durable(work.the_session().identity, work.connection.client_guid)
        work.server.durables.register(open)
    durable.granted = False  # it is resilient instead
    durable.resilient = True
    durable.timeout_s = (asked.timeout or DEFAULT_MS) / 1000
    return b"", NtStatus.SUCCESS
