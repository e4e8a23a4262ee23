from __future__ import annotations

from ksmbd.auth.mechanism import LogonRefused, Mechanism, Refused, Result
from ksmbd.wire.status import NtStatus
from tests.auth.client import JOE, Person, acceptor


def test_a_refused_log_on_is_a_logon_failure_that_says_why_only_to_us() -> None:
    unknown = LogonRefused(Refused("jim", "WG", "PC", known=False))
    wrong = LogonRefused(Refused("joe", "WG", "PC", known=True))
    assert (unknown.status, wrong.status) == (NtStatus.LOGON_FAILURE, NtStatus.LOGON_FAILURE)
    assert str(unknown) == "LOGON_FAILURE: WG\\jim: unknown user"
    assert str(wrong) == "LOGON_FAILURE: WG\\joe: wrong password"
    assert unknown.data is None
    assert wrong.data is None


def test_guests_and_null_sessions_have_proven_nothing() -> None:
    result = Result[Person]("joe", "WG", "PC", JOE, b"k")
    assert result.proven
    assert not result._replace(guest=True).proven
    assert not result._replace(anonymous=True).proven


def test_ntlm_has_the_face_of_a_mechanism() -> None:
    mechanism: Mechanism[Person] = acceptor()
    assert not mechanism.integrity
