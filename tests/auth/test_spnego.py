from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.auth import spnego as acceptor_module
from ksmbd.auth.mechanism import Mechanism, Result, Step
from ksmbd.auth.spnego import Acceptor, Offer, hint
from ksmbd.crypto.ntlm import MessageSigner
from ksmbd.wire import ntlm, spnego
from ksmbd.wire.base import Buffer
from ksmbd.wire.spnego import NegState, NegTokenInit, NegTokenResp
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.auth.client import FLAGS, GUEST, JOE, Client, Person, acceptor, anonymous

NTLM = spnego.NTLMSSP
WINDOWS = (spnego.NEGOEX, spnego.MS_KERBEROS, spnego.KERBEROS, NTLM)


class Script(NamedTuple):
    """What a mechanism of the tests does with one token."""

    reply: bytes = b""
    done: bool = False
    status: NtStatus | None = None


class Scripted:
    """A mechanism that follows a script; its MIC of X is b"mic of " + X."""

    def __init__(self, *script: Script, integrity: bool = True) -> None:
        self.script = list(script)
        self.integrity = integrity
        self.seen: list[bytes] = []

    def step(self, token: Buffer) -> Step[Person]:
        self.seen.append(bytes(token))
        now = self.script.pop(0)
        if now.status is not None:
            raise NtStatusError(now.status)
        result = Result[Person]("joe", "", "", JOE, b"key") if now.done else None
        return Step(now.reply, now.done, result)

    def mic(self, data: bytes) -> bytes | None:
        return b"mic of " + data

    def verify(self, data: bytes, mic: bytes) -> bool:
        return mic == b"mic of " + data


def ntlm_offer(mechanism: Mechanism[Person] | None = None) -> Offer[Person]:
    return Offer((NTLM,), lambda: mechanism or acceptor())


def kerberos_offer(mechanism: Mechanism[Person]) -> Offer[Person]:
    return Offer((spnego.KERBEROS, spnego.MS_KERBEROS), lambda: mechanism)


def server(*offers: Offer[Person]) -> Acceptor[Person]:
    return Acceptor(offers or (ntlm_offer(),))


def parsed(token: bytes) -> NegTokenResp:
    found = spnego.parse(token)
    assert isinstance(found, NegTokenResp)
    return found


def response(token: bytes | None = None, mic: bytes | None = None) -> bytes:
    return spnego.build_resp(NegTokenResp(None, None, token, mic))


def refused(side: Acceptor[Person], token: bytes) -> NtStatus:
    with pytest.raises(NtStatusError) as error:
        side.step(token)
    return error.value.status


def first_leg(side: Acceptor[Person], client: Client, mechs: Sequence[bytes]) -> bytes:
    """Negotiate *mechs*, with the NTLM token sent at once if NTLM is the first; the challenge."""
    early = client.negotiate() if mechs[0] == NTLM else b"a token of another mechanism"
    step = side.step(spnego.build_init(mechs, mech_token=early))
    assert not step.done
    reply = parsed(step.reply)
    assert reply.supported_mech == NTLM
    assert reply.mech_list_mic is None
    if mechs[0] == NTLM:
        assert reply.state == NegState.ACCEPT_INCOMPLETE
    else:
        assert (reply.state, reply.response_token) == (NegState.REQUEST_MIC, None)
        reply = parsed(side.step(response(client.negotiate())).reply)
        assert (reply.state, reply.supported_mech) == (NegState.ACCEPT_INCOMPLETE, None)
    assert reply.response_token is not None
    return reply.response_token


def last_leg(
    side: Acceptor[Person], client: Client, challenge: bytes, mechs: Sequence[bytes]
) -> Step[Person]:
    token = client.authenticate(challenge)
    assert client.signer is not None
    return side.step(response(token, client.signer.sign(spnego.mech_type_list(mechs))))


def test_the_hint_lists_what_is_offered_and_nothing_else() -> None:
    token = spnego.parse(hint([NTLM]))
    assert isinstance(token, NegTokenInit)
    assert token.mech_types == (NTLM,)
    assert token.mech_token is None


@pytest.mark.parametrize("mechs", [(NTLM,), (NTLM, spnego.KERBEROS), WINDOWS])
def test_a_client_with_a_mic_gets_one_back(mechs: tuple[bytes, ...]) -> None:
    side, client = server(), Client()
    step = last_leg(side, client, first_leg(side, client, mechs), mechs)
    assert step.done
    assert step.result is not None
    assert step.result.account is JOE
    reply = parsed(step.reply)
    assert (reply.state, reply.supported_mech) == (NegState.ACCEPT_COMPLETED, None)
    assert reply.response_token is None
    assert client.verifier is not None
    assert reply.mech_list_mic == client.verifier.sign(spnego.mech_type_list(mechs))


def test_without_a_mic_the_first_mechanism_is_accepted_without_one() -> None:
    side, client = server(), Client()
    step = side.step(response(client.authenticate(first_leg(side, client, (NTLM,)))))
    assert step.done
    assert parsed(step.reply) == NegTokenResp(NegState.ACCEPT_COMPLETED)


def test_a_reselected_mechanism_demands_the_mic() -> None:
    side, client = server(), Client()
    challenge = first_leg(side, client, WINDOWS)
    assert refused(side, response(client.authenticate(challenge))) is NtStatus.INVALID_PARAMETER


def test_a_reselected_mechanism_without_signatures_cannot_demand_a_mic() -> None:
    side, client = server(), Client(flags=FLAGS & ~ntlm.NEGOTIATE_SIGN)
    step = side.step(response(client.authenticate(first_leg(side, client, WINDOWS))))
    assert step.done


@pytest.mark.parametrize("listed", [(NTLM,), (spnego.KERBEROS, NTLM), WINDOWS[::-1]])
def test_a_mic_of_another_list_is_refused(listed: tuple[bytes, ...]) -> None:
    """Somebody in the middle took Kerberos away."""
    side, client = server(), Client()
    challenge = first_leg(side, client, WINDOWS)
    with pytest.raises(NtStatusError, match="wrong mechListMIC"):
        last_leg(side, client, challenge, listed)


def test_a_client_without_an_early_token_is_told_to_go_on() -> None:
    side, client = server(), Client()
    reply = parsed(side.step(spnego.build_init([NTLM])).reply)
    assert reply == NegTokenResp(NegState.ACCEPT_INCOMPLETE, NTLM)
    reply = parsed(side.step(response(client.negotiate())).reply)
    assert reply.supported_mech is None
    assert reply.response_token is not None
    assert side.step(response(client.authenticate(reply.response_token))).done


def test_raw_ntlm_stays_raw() -> None:
    side, client = server(), Client()
    step = side.step(client.negotiate())
    assert step.reply.startswith(ntlm.SIGNATURE)
    last = side.step(client.authenticate(step.reply))
    assert (last.done, last.reply) == (True, b"")


def test_raw_ntlm_needs_ntlm_on_offer() -> None:
    side = server(kerberos_offer(Scripted()))
    assert refused(side, Client().negotiate()) is NtStatus.LOGON_FAILURE


@pytest.mark.parametrize("mechs", [(), (spnego.KERBEROS,), (spnego.NEGOEX, spnego.MS_KERBEROS)])
def test_without_a_common_mechanism_the_log_on_fails(mechs: tuple[bytes, ...]) -> None:
    token = spnego.build_init(mechs, mech_token=b"token")
    assert refused(server(), token) is NtStatus.LOGON_FAILURE


@pytest.mark.parametrize(
    "client", [Client(password="wrong"), Client(user="jim"), Client(wrong_mic=True)]
)
def test_a_wrong_password_fails_inside_spnego_too(client: Client) -> None:
    side = server()
    challenge = first_leg(side, client, (NTLM,))
    token = response(client.authenticate(challenge), bytes(16))
    assert refused(side, token) is NtStatus.LOGON_FAILURE


def test_a_guest_is_let_in_without_any_mic() -> None:
    side = server(ntlm_offer(acceptor(map_to_guest=lambda _refused: GUEST)))
    client = Client(user="jim")
    step = last_leg(side, client, first_leg(side, client, WINDOWS), WINDOWS)
    assert step.result is not None
    assert step.result.guest
    assert parsed(step.reply) == NegTokenResp(NegState.ACCEPT_COMPLETED)


@pytest.mark.parametrize("sent", ["right", "wrong", None])
def test_a_null_session_gets_a_mic_back_if_it_sent_a_right_one(sent: str | None) -> None:
    side = server()
    client = anonymous(flags=FLAGS & ~ntlm.NEGOTIATE_KEY_EXCH)
    token = client.authenticate(first_leg(side, client, (NTLM,)))
    signer = MessageSigner(client.flags, bytes(16), client=True)
    right = signer.sign(spnego.mech_type_list((NTLM,)))
    mic = {"right": right, "wrong": bytes(16), None: None}[sent]
    step = side.step(response(token, mic))
    assert step.result is not None
    assert step.result.anonymous
    assert (parsed(step.reply).mech_list_mic is not None) is (sent == "right")


def test_the_client_may_reject() -> None:
    side, client = server(), Client()
    first_leg(side, client, (NTLM,))
    token = spnego.build_resp(NegTokenResp(NegState.REJECT))
    assert refused(side, token) is NtStatus.INVALID_PARAMETER


@pytest.mark.parametrize(
    "tokens",
    [
        [response(b"x")],  # NegTokenResp first
        [b""],
        [b"\x60"],
        [spnego.build_init([NTLM]), spnego.build_init([NTLM])],
        [spnego.build_init([NTLM]), response()],  # nothing for the mechanism
        [spnego.build_init([NTLM]), Client().negotiate()],  # raw in the middle
        [spnego.build_init([NTLM], mech_token=b"NTLMSSP\0")],
        [Client().negotiate(), spnego.build_init([NTLM])],
    ],
)
def test_tokens_out_of_turn_are_refused(tokens: list[bytes]) -> None:
    side = server()
    for token in tokens[:-1]:
        side.step(token)
    assert refused(side, tokens[-1]) is NtStatus.INVALID_PARAMETER


def test_nothing_may_follow_the_end() -> None:
    for password in ("Passw0rd", "wrong"):
        side, client = server(), Client(password=password)
        challenge = first_leg(side, client, (NTLM,))
        token = response(client.authenticate(challenge))
        if password == "wrong":
            assert refused(side, token) is NtStatus.LOGON_FAILURE
        else:
            assert side.step(token).done
        assert refused(side, token) is NtStatus.INVALID_PARAMETER


def test_an_attempt_cannot_go_on_for_ever() -> None:
    side = server(ntlm_offer(Scripted(*[Script(b"more")] * 100)))
    side.step(spnego.build_init([NTLM], mech_token=b"t"))
    for _ in range(acceptor_module.MAX_STEPS - 1):
        side.step(response(b"t"))
    with pytest.raises(NtStatusError, match="too many"):
        side.step(response(b"t"))


@pytest.mark.parametrize("oid", [spnego.KERBEROS, spnego.MS_KERBEROS])
def test_another_mechanism_answers_under_the_name_the_client_used(oid: bytes) -> None:
    mechanism = Scripted(Script(b"ap-rep", done=True))
    side = server(kerberos_offer(mechanism), ntlm_offer())
    step = side.step(spnego.build_init([oid, NTLM], mech_token=b"ap-req"))
    assert mechanism.seen == [b"ap-req"]
    assert step.done
    assert parsed(step.reply) == NegTokenResp(NegState.ACCEPT_COMPLETED, oid, b"ap-rep")


def test_the_order_of_the_client_decides() -> None:
    kerberos = Scripted()
    side = server(kerberos_offer(kerberos), ntlm_offer())
    reply = parsed(side.step(spnego.build_init([NTLM, spnego.KERBEROS])).reply)
    assert reply.supported_mech == NTLM
    assert kerberos.seen == []


def test_a_mechanism_that_declines_its_first_token_is_passed_over() -> None:
    kerberos = Scripted(Script(status=NtStatus.NOT_SUPPORTED))
    side, client = server(kerberos_offer(kerberos), ntlm_offer()), Client()
    mechs = (spnego.KERBEROS, NTLM)
    challenge = first_leg(side, client, mechs)
    assert kerberos.seen == [b"a token of another mechanism"]
    assert last_leg(side, client, challenge, mechs).done


def test_a_mechanism_that_was_announced_cannot_be_passed_over() -> None:
    kerberos = Scripted(Script(status=NtStatus.NOT_SUPPORTED))
    side = server(kerberos_offer(kerberos), ntlm_offer())
    reply = parsed(side.step(spnego.build_init(WINDOWS, mech_token=b"negoex")).reply)
    assert reply == NegTokenResp(NegState.REQUEST_MIC, spnego.MS_KERBEROS)
    assert refused(side, response(b"ap-req")) is NtStatus.LOGON_FAILURE


def test_declining_under_one_name_declines_under_the_other() -> None:
    kerberos = Scripted(Script(status=NtStatus.NOT_SUPPORTED))
    side, client = server(kerberos_offer(kerberos), ntlm_offer()), Client()
    mechs = (spnego.MS_KERBEROS, spnego.KERBEROS, NTLM)
    challenge = first_leg(side, client, mechs)
    assert kerberos.seen == [b"a token of another mechanism"]
    assert last_leg(side, client, challenge, mechs).done


def test_a_mechanism_that_fails_is_not_passed_over() -> None:
    side = server(kerberos_offer(Scripted(Script(status=NtStatus.LOGON_FAILURE))), ntlm_offer())
    token = spnego.build_init([spnego.KERBEROS, NTLM], mech_token=b"t")
    assert refused(side, token) is NtStatus.LOGON_FAILURE


RESELECTED = (spnego.NEGOEX, spnego.KERBEROS)


def reselected(integrity: bool = True) -> tuple[Acceptor[Person], Step[Person]]:
    """A second-choice mechanism whose last token is the server's."""
    side = server(kerberos_offer(Scripted(Script(b"ap-rep", done=True), integrity=integrity)))
    side.step(spnego.build_init(RESELECTED, mech_token=b"negoex"))
    return side, side.step(response(b"ap-req"))


def test_when_our_token_is_the_last_the_mics_follow_it() -> None:
    mic = b"mic of " + spnego.mech_type_list(RESELECTED)
    side, step = reselected()
    assert not step.done
    assert parsed(step.reply) == NegTokenResp(NegState.ACCEPT_INCOMPLETE, None, b"ap-rep", mic)
    last = side.step(response(None, mic))
    assert last.result is not None
    assert last.result.account is JOE
    assert parsed(last.reply) == NegTokenResp(NegState.ACCEPT_COMPLETED)


@pytest.mark.parametrize("mic", [None, b"", b"mic of something else"])
def test_a_mic_that_is_due_must_come_and_hold(mic: bytes | None) -> None:
    side, _ = reselected()
    assert refused(side, response(None, mic)) is NtStatus.INVALID_PARAMETER


def test_without_integrity_no_mic_is_due() -> None:
    _, step = reselected(integrity=False)
    assert step.done


@given(st.data())
def test_a_damaged_exchange_ends_in_a_status(data: st.DataObject) -> None:
    def damaged(message: bytes) -> bytes:
        token = bytearray(message)
        for _ in range(data.draw(st.integers(0, 3))):
            token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
        return bytes(token)

    side, client = server(), Client()
    status = None
    try:
        step = side.step(damaged(spnego.build_init([NTLM], mech_token=client.negotiate())))
        challenge = parsed(step.reply).response_token
        if challenge is not None:
            side.step(damaged(response(client.authenticate(challenge), bytes(16))))
    except NtStatusError as error:
        status = error.status
    assert status in (None, NtStatus.INVALID_PARAMETER, NtStatus.LOGON_FAILURE)


@given(st.lists(st.binary(max_size=100), min_size=1, max_size=3))
def test_any_bytes_end_in_a_status(tokens: list[bytes]) -> None:
    side = server()
    for token in tokens:
        assert refused(side, token) in (NtStatus.INVALID_PARAMETER, NtStatus.LOGON_FAILURE)
