"""The SPNEGO acceptor: choose a mechanism and drive it, RFC 4178 and [MS-SPNG] 3.2.5.

    first token  raw NTLMSSP, raw Kerberos -> all tokens of the attempt are raw
                 NegTokenInit -> the first of the client's mechanisms that we offer

Its first mechanism is ours: its optimistic token is used at once.  Otherwise the reply names
ours with request-mic, and the client must then prove with mechListMIC that nobody tampered
with its list.  A mechListMIC that is sent is always verified and answered with ours.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final, Generic, NamedTuple

from ksmbd.auth.mechanism import A, Mechanism, Result, Step
from ksmbd.wire import ntlm, spnego
from ksmbd.wire.base import Buffer, WireError
from ksmbd.wire.spnego import NegState, NegTokenInit, NegTokenResp
from ksmbd.wire.status import NtStatus, NtStatusError

log = logging.getLogger("ksmbd.auth")

_GSS_HEADER: Final = 20  # bytes: where a GSSAPI token names its mechanism, RFC 2743 3.1
MAX_STEPS: Final = 16  # tokens of one attempt; NTLM takes two or three


class Offer(NamedTuple, Generic[A]):
    """A mechanism the server offers under one or several names."""

    oids: tuple[bytes, ...]
    create: Callable[[], Mechanism[A]]


def hint(oids: Sequence[bytes]) -> bytes:
    """The SecurityBuffer of a NEGOTIATE response: the mechanisms there are, [MS-SPNG] 3.2.5.2."""
    return spnego.build_init(oids, hint=True)


class Acceptor(Generic[A]):
    """One log-on attempt, whatever the mechanism. Not for several threads at once."""

    def __init__(self, offers: Sequence[Offer[A]]) -> None:
        self._offers = {oid: offer for offer in offers for oid in offer.oids}
        self._steps = 0
        self._raw = False
        self._mechanism: Mechanism[A] | None = None
        self._mech_list = b""
        self._reselected = False  # the chosen mechanism is not the client's first
        self._announced: bytes | None = None  # supportedMech, until it has been sent
        self._result: Result[A] | None = None  # the mechanism's, while the client's MIC is due

    def step(self, token: Buffer) -> Step[A]:
        """Take the client's next token.

        INVALID_PARAMETER  malformed, out of turn, a wrong or missing mechListMIC, rejected by
                           the client, or too many tokens
        LOGON_FAILURE      no mechanism in common, or what the mechanism says
        """
        self._steps += 1
        if self._steps > MAX_STEPS:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "too many tokens")
        over = True
        try:
            step = self._step(bytes(token))
            over = step.done
            return step
        except WireError as malformed:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, f"SPNEGO: {malformed}") from None
        finally:
            if over:
                self._steps = MAX_STEPS

    def _step(self, token: bytes) -> Step[A]:
        if self._steps == 1:
            if token.startswith(ntlm.SIGNATURE):
                return self._start_raw(spnego.NTLMSSP, token)
            if spnego.KERBEROS in token[:_GSS_HEADER]:
                return self._start_raw(spnego.KERBEROS, token)
            first = spnego.parse(token)
            if not isinstance(first, NegTokenInit):
                raise WireError("NegTokenResp before NegTokenInit")
            return self._start(first)
        if self._raw:
            return self._chosen().step(token)
        later = spnego.parse(token)
        if not isinstance(later, NegTokenResp):
            raise WireError("NegTokenInit in the middle")
        return self._go_on(later)

    def _start_raw(self, oid: bytes, token: bytes) -> Step[A]:
        offer = self._offers.get(oid)
        if offer is None:
            raise NtStatusError(NtStatus.LOGON_FAILURE, "a mechanism that is not offered")
        self._raw = True
        self._mechanism = offer.create()
        return self._mechanism.step(token)

    def _start(self, first: NegTokenInit) -> Step[A]:
        """Choose in the client's order; use the optimistic token if it is for the chosen one."""
        self._mech_list = first.mech_list
        declined: list[Offer[A]] = []
        for at, oid in enumerate(first.mech_types):
            offer = self._offers.get(oid)
            if offer is None or offer in declined:
                continue
            self._mechanism = offer.create()
            self._announced = oid
            if at or first.mech_token is None:
                return self._announce(reselected=at > 0)
            try:
                step = self._mechanism.step(first.mech_token)
            except NtStatusError as refused:
                if refused.status is not NtStatus.NOT_SUPPORTED:
                    raise
                log.debug("mechanism %s declines: %s", oid.hex(), refused)
                declined.append(offer)
                continue
            return self._answer(step, first.mech_list_mic)
        raise NtStatusError(NtStatus.LOGON_FAILURE, "no mechanism in common")

    def _announce(self, *, reselected: bool) -> Step[A]:
        self._reselected = reselected
        state = NegState.REQUEST_MIC if reselected else NegState.ACCEPT_INCOMPLETE
        return Step(self._reply(state), False)

    def _go_on(self, token: NegTokenResp) -> Step[A]:
        if token.state == NegState.REJECT:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "the client rejects the negotiation")
        if self._result is not None:
            if not self._mic_holds(token.mech_list_mic):
                raise NtStatusError(NtStatus.INVALID_PARAMETER, "wrong or no mechListMIC")
            return self._complete(self._result, b"", None)
        if token.response_token is None:
            raise WireError("no token for the mechanism")
        try:
            step = self._chosen().step(token.response_token)
        except NtStatusError as refused:
            if refused.status is not NtStatus.NOT_SUPPORTED:
                raise
            raise NtStatusError(NtStatus.LOGON_FAILURE, refused.why) from None  # too late to choose
        return self._answer(step, token.mech_list_mic)

    def _answer(self, step: Step[A], mic: bytes | None) -> Step[A]:
        if step.result is None:
            return Step(self._reply(NegState.ACCEPT_INCOMPLETE, step.reply), False)
        return self._finish(step.result, step.reply, mic)

    def _finish(self, result: Result[A], token: bytes, mic: bytes | None) -> Step[A]:
        """The mechanism is content: exchange mechListMIC where one is due, RFC 4178 5."""
        mechanism = self._chosen()
        if not result.proven:
            # without a shared secret there is nothing to sign with and nothing to protect
            ours = mechanism.mic(self._mech_list) if self._mic_holds(mic) else None
            return self._complete(result, token, ours)
        if mic is not None:
            if not self._mic_holds(mic):
                raise NtStatusError(NtStatus.INVALID_PARAMETER, "wrong mechListMIC")
            return self._complete(result, token, mechanism.mic(self._mech_list))
        if not (self._reselected and mechanism.integrity):
            return self._complete(result, token, None)
        if not token:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "no mechListMIC")
        # the mechanism's last token is ours: the client's MIC can only come after it
        self._result = result
        ours = mechanism.mic(self._mech_list)
        return Step(self._reply(NegState.ACCEPT_INCOMPLETE, token, ours), False)

    def _mic_holds(self, mic: bytes | None) -> bool:
        return mic is not None and self._chosen().verify(self._mech_list, mic)

    def _complete(self, result: Result[A], token: bytes, mic: bytes | None) -> Step[A]:
        return Step(self._reply(NegState.ACCEPT_COMPLETED, token, mic), True, result)

    def _reply(self, state: NegState, token: bytes = b"", mic: bytes | None = None) -> bytes:
        announced, self._announced = self._announced, None
        return spnego.build_resp(NegTokenResp(state, announced, token or None, mic))

    def _chosen(self) -> Mechanism[A]:
        if self._mechanism is None:
            raise NtStatusError(NtStatus.INVALID_PARAMETER, "no mechanism chosen yet")
        return self._mechanism
