"""Kerberos: accept a client's GSSAPI token with the keytab, [MS-SMB2] 3.3.5.5.3, RFC 4121.

The only module that imports ``gssapi`` (python-gssapi over MIT Kerberos), which is optional.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

from mountd.params import GlobalParams

try:
    import gssapi
    import gssapi.raw
except ImportError:
    gssapi = None

SESSION_KEY_OID: Final = "1.2.840.113554.1.2.2.5.5"  # GSS_C_INQ_SSPI_SESSION_KEY
AVAILABLE: Final = gssapi is not None


class KerberosError(Exception):
    """The token is refused, or the keytab cannot be used."""


class Ticket(NamedTuple):
    """What an accepted token says."""

    principal: str  # name@REALM
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
        answer = context.step(token) or b""
        if not context.complete:
            raise KerberosError("the exchange needs another step")
        key = gssapi.raw.inquire_sec_context_by_oid(
            context, gssapi.OID.from_int_seq(SESSION_KEY_OID)
        )
        return Ticket(str(context.initiator_name), bytes(key[0]), answer, context.lifetime or 0)
    except gssapi.exceptions.GSSError as error:
        raise KerberosError(str(error)) from None


def _credentials(params: GlobalParams) -> Any:
    store = None
    if params.kerberos_keytab_file:
        store = {b"keytab": params.kerberos_keytab_file.encode()}
    name = None
    if params.kerberos_service_name:
        service = params.kerberos_service_name.replace("/", "@", 1)
        name = gssapi.Name(service, gssapi.NameType.hostbased_service)
    return gssapi.Credentials(name=name, usage="accept", store=store)
