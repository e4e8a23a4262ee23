"""Kerberos: accept a client's GSSAPI token with the keytab, [MS-SMB2] 3.3.5.5.3, RFC 4121.

The only module that imports ``gssapi`` (python-gssapi over MIT Kerberos), which is optional.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any, Final, NamedTuple

from ksmbd.wire import ipc
from ksmbd.wire.ipc import SpnegoAuthenRequest, SpnegoAuthenResponse
from mountd import users
from mountd.params import GlobalParams
from mountd.state import State

try:
    import gssapi
    import gssapi.raw
except ImportError:
    gssapi = None

log = logging.getLogger("mountd")

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


def authenticate(
    state: State, request: SpnegoAuthenRequest, accept_token: Accept = accept
) -> SpnegoAuthenResponse:
    """Whom does a client's token name?

    USER_OK        the account: principal without its realm, in the database or the system
    USER_BAD_UID   it has no system user
    USER_BAD_USER  the token is refused, or Kerberos is off
    """
    params = state.files.globals
    refusal = SpnegoAuthenResponse(handle=request.handle, status=ipc.USER_BAD_USER)
    if not params.kerberos_support:
        log.debug("a Kerberos token came, but kerberos support is off")
        return refusal
    try:
        ticket = accept_token(request.token, params)
    except KerberosError as error:
        log.warning("Kerberos: %s", error)
        return refusal
    principal = ticket.principal.rpartition("@")[0] or ticket.principal
    account = users.lookup(state.files.accounts, principal) or principal
    identity = state.identity(account)
    if identity is None or (
        account not in state.files.accounts and state.system.user(account) is None
    ):
        log.info("Kerberos: %s has no account here", ticket.principal)
        refusal.status = ipc.USER_BAD_UID
        return refusal
    return SpnegoAuthenResponse(
        handle=request.handle,
        status=ipc.USER_OK,
        uid=identity.uid,
        gid=identity.gid,
        expiry=int(state.clock()) + ticket.lifetime_s if ticket.lifetime_s else 0,
        account=account,
        session_key=ticket.session_key,
        spnego_blob=ticket.token,
        groups=identity.groups,
    )


def _credentials(params: GlobalParams) -> Any:
    store = None
    if params.kerberos_keytab_file:
        store = {b"keytab": params.kerberos_keytab_file.encode()}
    name = None
    if params.kerberos_service_name:
        service = params.kerberos_service_name.replace("/", "@", 1)
        name = gssapi.Name(service, gssapi.NameType.hostbased_service)
    return gssapi.Credentials(name=name, usage="accept", store=store)
