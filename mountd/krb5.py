"""Kerberos: accept a client's GSSAPI token with the keytab, [MS-SMB2] 3.3.5.5.3, RFC 4121.

The only module that imports ``gssapi`` (python-gssapi over MIT Kerberos), which is optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ksmbd.wire.secret import Secret
from mountd.params import GlobalParams

try:
    import gssapi
    import gssapi.raw
except ImportError:
    gssapi = None

SESSION_KEY_OID: Final = "1.2.840.113554.1.2.2.5.5"  # GSS_C_INQ_SSPI_SESSION_KEY
# RFC 3962 and RFC 8009.  The key's type is the last arc of the OID beside it, below 128: one byte.
AES: Final = frozenset((17, 18, 19, 20))
AVAILABLE: Final = gssapi is not None

# Minor codes of the library, as offsets into its table of protocol errors (RFC 4120 7.5.9), and
# what the administrator can do about them.
_ERROR_TABLE: Final = 0x96C7_3A00
_EXPIRED: Final = 32
_NOT_YET_VALID: Final = 33
_NOT_US: Final = 35
_SKEW: Final = 37
_KEY_VERSION: Final = 44
_NO_KEYTAB: Final = 181
_CLOCKS: Final = frozenset((_NOT_YET_VALID, _SKEW))
_HINTS: Final = {
    _EXPIRED: "the client must get a new one, or this machine's clock is ahead",
    _NOT_YET_VALID: "the clocks of the KDC and of this machine are apart; keep both with NTP",
    _NOT_US: "put the key of the name that clients use into `kerberos keytab file`",
    _SKEW: "the clocks of the client and of this machine are apart; keep both with NTP",
    _KEY_VERSION: "the key was changed: export it again, or wait until clients have new tickets",
    _NO_KEYTAB: "see `kerberos keytab file`, and whether mountd may read it",
}


class KerberosError(Exception):
    """The token is refused, or the keytab cannot be used."""

    def __init__(self, why: str, *, clocks: bool = False) -> None:
        super().__init__(why)
        self.clocks = clocks  # because somebody's clock is wrong


class Ticket(NamedTuple):
    """What an accepted token says."""

    principal: str  # name@REALM
    realm: str  # the service's, which is ours
    session_key: bytes
    token: bytes  # for the client
    lifetime_s: int  # 0: unknown


Accept = Callable[[bytes, GlobalParams], Ticket]


def accept(token: bytes, params: GlobalParams) -> Ticket:
    """Accept a token in one step. Raises KerberosError."""
    if not AVAILABLE:
        raise KerberosError("the Python module gssapi is not installed")
    try:
        context = gssapi.SecurityContext(creds=_credentials(params), usage="accept")
        context.__DEFER_STEP_ERRORS__ = False  # otherwise a refusal looks like an answer
        answer = context.step(token) or b""
        if not context.complete:
            raise KerberosError("the exchange needs another step")
        key, kind = gssapi.raw.inquire_sec_context_by_oid(
            context, gssapi.OID.from_int_seq(SESSION_KEY_OID)
        )[:2]
        principal, service = str(context.initiator_name), str(context.target_name)
        lifetime = context.lifetime or 0
    except gssapi.exceptions.GSSError as error:
        raise _refusal(error) from None
    if kind[-1] not in AES:
        raise KerberosError(f"{principal}: no AES session key, but encryption type {kind[-1]}")
    return Ticket(principal, realm_of(service), Secret(key), answer, lifetime)


def realm_of(principal: str) -> str:
    """What follows the last @."""
    return principal.rpartition("@")[2]


def _refusal(error: Any) -> KerberosError:
    """The library's own words, which say more of the keytab than we know, and what to do."""
    code = (error.min_code & 0xFFFF_FFFF) - _ERROR_TABLE
    words = ", ".join(error.get_all_statuses(error.min_code, False)) or str(error)
    hint = _HINTS.get(code)
    return KerberosError(f"{words}: {hint}" if hint else words, clocks=code in _CLOCKS)


def _credentials(params: GlobalParams) -> Any:
    store = None
    if params.kerberos_keytab_file:
        store = {b"keytab": params.kerberos_keytab_file.encode()}
    name = None
    if params.kerberos_service_name:
        service = params.kerberos_service_name.replace("/", "@", 1)
        name = gssapi.Name(service, gssapi.NameType.hostbased_service)
    return gssapi.Credentials(name=name, usage="accept", store=store)
