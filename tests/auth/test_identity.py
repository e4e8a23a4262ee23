from __future__ import annotations

from dataclasses import replace

from ksmbd.auth.identity import Identity

JOE = Identity("joe", "WORKGROUP", 1000, 1000, (4, 27), session_key=b"secret of joe...")


def test_only_a_proven_user_can_sign() -> None:
    assert JOE.can_sign
    assert not replace(JOE, guest=True).can_sign
    assert not replace(JOE, anonymous=True).can_sign


def test_the_same_account_is_the_same_user_in_any_case_and_from_any_domain() -> None:
    assert JOE.same_user(replace(JOE, account="JOE", domain="CLIENT", session_key=b""))


def test_another_account_uid_or_null_session_is_another_user() -> None:
    assert not JOE.same_user(replace(JOE, account="jim"))
    assert not JOE.same_user(replace(JOE, uid=0))
    assert not JOE.same_user(replace(JOE, anonymous=True))


def test_the_session_key_is_not_shown() -> None:
    assert "secret" not in repr(JOE)
