"""The acceptor against pyspnego's NTLM and SPNEGO client, in memory."""

from __future__ import annotations

import os
import time

import pytest
import spnego
from spnego.exceptions import SpnegoError

from ksmbd.auth.mechanism import Result
from ksmbd.auth.ntlmssp import NtlmAcceptor
from ksmbd.auth.spnego import Acceptor, Offer, hint
from ksmbd.wire.spnego import NTLMSSP, NegState, NegTokenResp, build_resp, parse
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.auth.client import JOE, TARGET, Person, lookup

RAW = spnego.NegotiateOptions.use_ntlm
PROTOCOLS = [("ntlm", RAW), ("negotiate", RAW | spnego.NegotiateOptions.use_negotiate)]


def mechanism() -> NtlmAcceptor[Person]:
    return NtlmAcceptor(TARGET, lookup, clock=time.time_ns, random=os.urandom)


def server() -> Acceptor[Person]:
    return Acceptor([Offer((NTLMSSP,), mechanism)])


def client(
    protocol: str,
    options: spnego.NegotiateOptions,
    password: str = "Passw0rd",
    context_req: spnego.ContextReq = spnego.ContextReq.default,
) -> spnego.ContextProxy:
    return spnego.client(
        "WORKGROUP\\joe",
        password,
        hostname="server",
        service="cifs",
        protocol=protocol,
        options=options,
        context_req=context_req,
    )


def log_on(context: spnego.ContextProxy, side: Acceptor[Person]) -> Result[Person]:
    token = context.step()
    while True:
        assert token is not None
        step = side.step(token)
        token = context.step(step.reply) if step.reply else None
        if step.done:
            assert step.result is not None
            return step.result


@pytest.mark.parametrize(("protocol", "options"), PROTOCOLS)
def test_both_sides_hold_the_same_key(protocol: str, options: spnego.NegotiateOptions) -> None:
    context = client(protocol, options)
    result = log_on(context, server())
    assert context.complete
    assert result.account is JOE
    assert result.session_key == context.session_key
    assert len(result.session_key) == 16


@pytest.mark.parametrize(("protocol", "options"), PROTOCOLS)
def test_a_session_without_signatures_works(
    protocol: str, options: spnego.NegotiateOptions
) -> None:
    context = client(protocol, options, context_req=spnego.ContextReq.none)
    result = log_on(context, server())
    assert result.session_key == context.session_key


@pytest.mark.parametrize(("protocol", "options"), PROTOCOLS)
def test_a_wrong_password_is_refused(protocol: str, options: spnego.NegotiateOptions) -> None:
    with pytest.raises(NtStatusError) as refused:
        log_on(client(protocol, options, "wrong"), server())
    assert refused.value.status is NtStatus.LOGON_FAILURE


def test_the_client_verifies_our_mic() -> None:
    context, side = client(*PROTOCOLS[1]), server()
    token = context.step(side.step(context.step() or b"").reply)
    step = side.step(token or b"")
    reply = parse(step.reply)
    assert isinstance(reply, NegTokenResp)
    assert reply.mech_list_mic is not None
    forged = NegTokenResp(NegState.ACCEPT_COMPLETED, mech_list_mic=reply.mech_list_mic[::-1])
    with pytest.raises(SpnegoError):
        context.step(build_resp(forged))


def test_the_client_reads_our_hint() -> None:
    context, side = client(*PROTOCOLS[1]), server()
    step = side.step(context.step(hint([NTLMSSP])) or b"")
    step = side.step(context.step(step.reply) or b"")
    assert step.done
    context.step(step.reply)
    assert context.complete


def test_the_contexts_sign_for_each_other() -> None:
    made: list[NtlmAcceptor[Person]] = []

    def create() -> NtlmAcceptor[Person]:
        made.append(mechanism())
        return made[-1]

    context = client(*PROTOCOLS[0])
    log_on(context, Acceptor([Offer((NTLMSSP,), create)]))
    assert made[0].verify(b"from the client", context.sign(b"from the client"))
    signature = made[0].mic(b"from the server")
    assert signature is not None
    context.verify(b"from the server", signature)
