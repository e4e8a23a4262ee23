from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from mountd import krb5
from mountd.params import GlobalParams


class GSSError(Exception):
    def __init__(self, words: str, code: int) -> None:
        super().__init__("Major, Minor")
        self.min_code = code
        self.words = words

    def get_all_statuses(self, code: int, is_major: bool) -> list[str]:
        assert (code, is_major) == (self.min_code, False)
        return [self.words]


class Library:
    """As much of python-gssapi as is used."""

    def __init__(self, *, complete: bool = True, error: str = "", code: int = 0) -> None:
        self.calls: list[tuple[str, Any]] = []
        self.exceptions = SimpleNamespace(GSSError=GSSError)
        self.NameType = SimpleNamespace(hostbased_service="service")
        self.OID = SimpleNamespace(from_int_seq=lambda text: f"oid {text}")
        self.raw = SimpleNamespace(inquire_sec_context_by_oid=self.inquire)
        self.complete, self.error, self.code = complete, error, code
        self.kind = 18

    def Name(self, name: str, kind: str) -> str:  # noqa: N802
        return f"{kind} {name}"

    def Credentials(self, **arguments: Any) -> str:  # noqa: N802
        self.calls.append(("credentials", arguments))
        return "credentials"

    def SecurityContext(self, **arguments: Any) -> Any:  # noqa: N802
        assert arguments == {"creds": "credentials", "usage": "accept"}
        return SimpleNamespace(
            step=self.step,
            complete=self.complete,
            initiator_name="a@X",
            target_name="cifs/here@Y",
            lifetime=60,
        )

    def step(self, token: bytes) -> bytes:
        if self.error:
            raise GSSError(self.error, self.code)
        return b"reply to " + token

    def inquire(self, _context: Any, oid: str) -> list[bytes]:
        assert oid == f"oid {krb5.SESSION_KEY_OID}"
        return [b"key", bytes((42, 134, 72, self.kind))]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Library:
    made = Library()
    monkeypatch.setattr(krb5, "gssapi", made)
    monkeypatch.setattr(krb5, "AVAILABLE", True)
    return made


def test_a_token_gives_principal_key_and_reply(library: Library) -> None:
    found = krb5.accept(b"x", GlobalParams())
    assert found == krb5.Ticket("a@X", "Y", b"key", b"reply to x", 60)
    assert library.calls == [("credentials", {"name": None, "usage": "accept", "store": None})]


def test_the_keytab_and_the_service_are_the_administrator_s(library: Library) -> None:
    params = GlobalParams(kerberos_keytab_file="/k", kerberos_service_name="cifs/a.b")
    krb5.accept(b"x", params)
    assert library.calls == [
        (
            "credentials",
            {"name": "service cifs@a.b", "usage": "accept", "store": {b"keytab": b"/k"}},
        )
    ]


@pytest.mark.parametrize(
    ("change", "why"), [({"error": "no key"}, "no key"), ({"complete": False}, "another step")]
)
def test_what_the_library_refuses_is_refused(
    library: Library, change: dict[str, Any], why: str
) -> None:
    vars(library).update(change)
    with pytest.raises(krb5.KerberosError, match=why):
        krb5.accept(b"x", GlobalParams())


@pytest.mark.parametrize(
    ("offset", "hint", "clocks"),
    [
        (31, "", False),
        (32, ": the client must get a new one", False),
        (33, ": the clocks of the KDC", True),
        (35, ": put the key", False),
        (37, ": the clocks of the client", True),
        (44, ": the key was changed", False),
        (181, ": see `kerberos keytab file`", False),
    ],
)
@pytest.mark.parametrize("signed", [0, 1 << 32])  # the library's codes are negative, or not
def test_a_refusal_says_what_to_do(
    library: Library, offset: int, hint: str, clocks: bool, signed: int
) -> None:
    vars(library).update(error="words", code=0x96C73A00 + offset - signed)
    with pytest.raises(krb5.KerberosError) as refused:
        krb5.accept(b"x", GlobalParams())
    assert str(refused.value).startswith(f"words{hint}")
    assert bool(hint) is (str(refused.value) != "words")
    assert refused.value.clocks is clocks


@pytest.mark.parametrize(("kind", "good"), [(17, True), (20, True), (23, False), (3, False)])
def test_only_aes_will_do(library: Library, kind: int, good: bool) -> None:
    library.kind = kind
    if good:
        assert krb5.accept(b"x", GlobalParams()).session_key == b"key"
        return
    with pytest.raises(krb5.KerberosError, match=f"no AES session key, but .* {kind}"):
        krb5.accept(b"x", GlobalParams())


def test_without_the_library_every_token_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(krb5, "AVAILABLE", False)
    with pytest.raises(krb5.KerberosError, match="not installed"):
        krb5.accept(b"x", GlobalParams())
