from __future__ import annotations

import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.auth.mechanism import LogonRefused, Refused, Result
from ksmbd.auth.ntlmssp import NtlmAcceptor
from ksmbd.crypto import ntlm as crypto
from ksmbd.wire import ntlm
from ksmbd.wire.status import NtStatus, NtStatusError
from ksmbd.wire.text import filetime_from_ns
from tests.auth.client import (
    FLAGS,
    GUEST,
    JOE,
    NOW_NS,
    SESSION_KEY,
    Challenge,
    Client,
    Person,
    acceptor,
    anonymous,
)

DUMMY = b"\1" + bytes(15)


def log_on(client: Client, server: NtlmAcceptor[Person] | None = None) -> Result[Person]:
    server = server or acceptor()
    last = server.step(client.authenticate(server.step(client.negotiate()).reply))
    assert last.done
    assert last.reply == b""
    assert last.result is not None
    return last.result


def refusal(client: Client, server: NtlmAcceptor[Person] | None = None) -> NtStatusError:
    with pytest.raises(NtStatusError) as refused:
        log_on(client, server)
    return refused.value


def test_the_right_password_yields_the_account_and_the_exchanged_key() -> None:
    result = log_on(Client())
    assert result.account is JOE
    assert (result.user, result.domain, result.workstation) == ("joe", "WORKGROUP", "CLIENT")
    assert result.session_key == SESSION_KEY
    assert result.proven
    assert not result.guest
    assert not result.anonymous


def test_without_a_key_exchange_the_base_key_is_the_session_key() -> None:
    client = Client(flags=FLAGS & ~ntlm.NEGOTIATE_KEY_EXCH)
    assert log_on(client).session_key == client.key != SESSION_KEY


def test_a_key_exchange_without_signatures_still_counts_when_a_key_came() -> None:
    flags = FLAGS & ~(ntlm.NEGOTIATE_SIGN | ntlm.NEGOTIATE_SEAL)
    assert log_on(Client(flags=flags)).session_key == SESSION_KEY


def test_a_filler_instead_of_an_unneeded_key_leaves_the_base_key() -> None:
    flags = FLAGS & ~(ntlm.NEGOTIATE_SIGN | ntlm.NEGOTIATE_SEAL)
    result = log_on(Client(flags=flags, mic=False, encrypted_key=b"\0"))
    assert result.session_key not in (SESSION_KEY, bytes(16))


@pytest.mark.parametrize("user", ["JOE", "Joe"])
def test_the_case_of_the_user_does_not_matter(user: str) -> None:
    assert log_on(Client(user=user)).account is JOE


@pytest.mark.parametrize("domain", ["", "CLIENT", "somewhere.else"])
def test_any_domain_is_taken_as_the_client_spells_it(domain: str) -> None:
    assert log_on(Client(domain=domain)).domain == domain


def test_the_challenge_names_the_server_and_the_time() -> None:
    challenge = Challenge.parse(acceptor().step(Client().negotiate()).reply)
    assert challenge.name == "SERVER".encode("utf-16-le")
    assert challenge.info == {
        ntlm.AV_NB_DOMAIN_NAME: "WORKGROUP".encode("utf-16-le"),
        ntlm.AV_NB_COMPUTER_NAME: "SERVER".encode("utf-16-le"),
        ntlm.AV_DNS_DOMAIN_NAME: "example.org".encode("utf-16-le"),
        ntlm.AV_DNS_COMPUTER_NAME: "server.example.org".encode("utf-16-le"),
        ntlm.AV_TIMESTAMP: struct.pack("<Q", filetime_from_ns(NOW_NS)),
    }


@pytest.mark.parametrize(
    "flag",
    [
        ntlm.NEGOTIATE_SIGN,
        ntlm.NEGOTIATE_SEAL,
        ntlm.ALWAYS_SIGN,
        ntlm.EXTENDED_SESSIONSECURITY,
        ntlm.NEGOTIATE_128,
        ntlm.NEGOTIATE_56,
        ntlm.NEGOTIATE_KEY_EXCH,
        ntlm.NEGOTIATE_VERSION,
        ntlm.REQUEST_TARGET,
    ],
)
def test_an_option_is_granted_only_when_asked_for(flag: int) -> None:
    for asked in (ntlm.NEGOTIATE_UNICODE, ntlm.NEGOTIATE_UNICODE | flag):
        reply = acceptor().step(Client(flags=asked).negotiate()).reply
        assert Challenge.parse(reply).flags & flag == asked & flag


def test_weak_options_are_never_granted() -> None:
    flags = Challenge.parse(acceptor().step(Client(flags=0xFFFFFFFF).negotiate()).reply).flags
    assert not flags & (ntlm.NEGOTIATE_OEM | ntlm.NEGOTIATE_LM_KEY | 0x40 | 0x400000)
    assert flags & ntlm.NEGOTIATE_UNICODE


def test_the_target_name_is_left_out_unless_asked_for() -> None:
    asked = FLAGS & ~ntlm.REQUEST_TARGET
    assert Challenge.parse(acceptor().step(Client(flags=asked).negotiate()).reply).name == b""


def test_two_attempts_get_different_challenges() -> None:
    seen: list[bytes] = []

    def random(length: int) -> bytes:
        seen.append(bytes([len(seen)]) * length)
        return seen[-1]

    for _ in range(2):
        server = NtlmAcceptor[Person](
            acceptor()._target, lambda _u, _d: None, clock=lambda: NOW_NS, random=random
        )
        reply = server.step(Client().negotiate()).reply
        assert Challenge.parse(reply).challenge == seen[-1]
    assert seen[0] != seen[1]


@pytest.mark.parametrize(
    "client",
    [
        Client(password="wrong"),
        Client(user="jim"),
        Client(password=""),
        Client(user="jim", mic=False),
    ],
)
def test_a_wrong_password_and_an_unknown_user_look_alike(client: Client) -> None:
    refused = refusal(client)
    assert refused.status is NtStatus.LOGON_FAILURE
    assert isinstance(refused, LogonRefused)
    assert refused.refused == Refused(client.user, "WORKGROUP", "CLIENT", client.user == "joe")
    assert refused.data is None


def test_an_unknown_user_costs_the_same_work(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[list[str]] = [[]]

    def count(name: str) -> None:
        original = getattr(crypto, name)

        def wrapped(*args: object, **kwargs: object) -> object:
            counted[-1].append(name)
            return original(*args, **kwargs)

        monkeypatch.setattr(crypto, name, wrapped)

    for name in ("ntowf_v2", "nt_proof", "session_base_key", "hmac_md5", "rc4"):
        count(name)
    work = []
    for client in (Client(password="wrong"), Client(user="jim")):
        server = acceptor()
        token = client.authenticate(server.step(client.negotiate()).reply)
        counted.append([])
        with pytest.raises(LogonRefused):
            server.step(token)
        work.append(list(counted[-1]))
    assert work[0] == work[1] != []


def test_an_account_without_a_hash_lets_nobody_in() -> None:
    for stored in (b"", bytes(15), bytes(17)):
        server = acceptor(lambda _user, _domain, stored=stored: Person("joe", stored))  # type: ignore[misc]
        assert refusal(Client(password=""), server).status is NtStatus.LOGON_FAILURE


def test_an_account_with_an_empty_password_is_an_account() -> None:
    empty = Person("joe", bytes.fromhex("31d6cfe0d16ae931b73c59d7e0c089c0"))
    assert log_on(Client(password=""), acceptor(lambda _u, _d: empty)).account is empty


def test_the_proof_of_one_challenge_is_worthless_for_another() -> None:
    client = Client()
    token = client.authenticate(acceptor().step(client.negotiate()).reply)
    server = NtlmAcceptor(
        acceptor()._target, lambda _u, _d: JOE, clock=lambda: NOW_NS, random=lambda n: b"\x77" * n
    )
    server.step(client.negotiate())
    with pytest.raises(LogonRefused):
        server.step(token)


def test_a_wrong_mic_is_a_logon_failure() -> None:
    assert refusal(Client(wrong_mic=True)).status is NtStatus.LOGON_FAILURE


def test_a_changed_negotiate_message_breaks_the_mic() -> None:
    client, server = Client(), acceptor()
    challenge = server.step(client.negotiate()[:12] + struct.pack("<I", FLAGS ^ 0x20) + bytes(24))
    with pytest.raises(NtStatusError, match="wrong MIC"):
        server.step(client.authenticate(challenge.reply))


@pytest.mark.parametrize("at", [60, 64, 71, 72, 87])
def test_a_changed_authenticate_message_breaks_the_mic(at: int) -> None:
    client, server = Client(), acceptor()
    token = bytearray(client.authenticate(server.step(client.negotiate()).reply))
    token[at] ^= 0x08
    with pytest.raises(NtStatusError, match="wrong MIC"):
        server.step(token)


def test_a_client_that_announces_no_mic_needs_none() -> None:
    assert log_on(Client(mic=False)).account is JOE


def test_an_announced_mic_without_room_is_malformed() -> None:
    info = ntlm.build_av_pairs([(ntlm.AV_FLAGS, b"\2\0\0\0")])
    client, server = Client(mic=False, av_pairs=info), acceptor()
    token = bytearray(client.authenticate(server.step(client.negotiate()).reply))
    del token[64:88]
    for at in range(16, 64, 8):
        offset = struct.unpack_from("<I", token, at)[0]
        struct.pack_into("<I", token, at, offset - 24)
    with pytest.raises(NtStatusError, match="no room"):
        server.step(token)


@pytest.mark.parametrize(
    ("client", "status"),
    [
        (Client(nt_response=bytes(24)), NtStatus.LOGON_FAILURE),  # NTLMv1
        (Client(nt_response=b"", lm_response=b"\x11" * 24), NtStatus.LOGON_FAILURE),  # LM or LMv2
        (Client(nt_response=b""), NtStatus.LOGON_FAILURE),
        (Client(nt_response=bytes(1)), NtStatus.INVALID_PARAMETER),
        (Client(nt_response=bytes(16)), NtStatus.INVALID_PARAMETER),
        (Client(nt_response=bytes(23)), NtStatus.INVALID_PARAMETER),
        (Client(nt_response=bytes(43)), NtStatus.INVALID_PARAMETER),
        (Client(nt_response=bytes(16) + b"\1\1" + bytes(26)), NtStatus.INVALID_PARAMETER),
        (Client(av_pairs=b"\2\0\xff\xff"), NtStatus.INVALID_PARAMETER),
        (Client(av_pairs=b""), NtStatus.LOGON_FAILURE),  # the padding reads as MsvAvEOL
        (Client(encrypted_key=b""), NtStatus.INVALID_PARAMETER),
        (Client(encrypted_key=bytes(15)), NtStatus.INVALID_PARAMETER),
        (Client(encrypted_key=bytes(17)), NtStatus.INVALID_PARAMETER),
        (Client(encrypted_key=bytes(400)), NtStatus.INVALID_PARAMETER),
        (Client(flags=FLAGS & ~ntlm.NEGOTIATE_UNICODE), NtStatus.INVALID_PARAMETER),
    ],
)
def test_refusals(client: Client, status: NtStatus) -> None:
    if client.av_pairs == b"":
        client.password = "wrong"
    assert refusal(client).status is status


def test_an_authenticate_message_without_a_challenge_is_refused() -> None:
    client = Client()
    token = client.authenticate(acceptor().step(client.negotiate()).reply)
    with pytest.raises(NtStatusError) as refused:
        acceptor().step(token)
    assert refused.value.status is NtStatus.INVALID_PARAMETER


def test_a_second_negotiate_message_ends_the_attempt() -> None:
    client, server = Client(), acceptor()
    challenge = server.step(client.negotiate()).reply
    for token in (client.negotiate(), client.authenticate(challenge)):
        with pytest.raises(NtStatusError) as refused:
            server.step(token)
        assert refused.value.status is NtStatus.INVALID_PARAMETER


def test_nothing_may_follow_success_or_failure() -> None:
    for client in (Client(), Client(password="wrong")):
        server = acceptor()
        token = client.authenticate(server.step(client.negotiate()).reply)
        if client.password == "wrong":
            with pytest.raises(LogonRefused):
                server.step(token)
        else:
            server.step(token)
        with pytest.raises(NtStatusError, match="after the last"):
            server.step(token)


@pytest.mark.parametrize("lm_response", [b"", b"\0"])
def test_a_null_session_is_anonymous(lm_response: bytes) -> None:
    result = log_on(anonymous(lm_response=lm_response, flags=FLAGS & ~ntlm.NEGOTIATE_KEY_EXCH))
    assert result.anonymous
    assert not result.proven
    assert result.account is None
    assert result.session_key == bytes(16)


def test_a_null_session_may_exchange_a_key() -> None:
    encrypted = crypto.rc4(bytes(16), SESSION_KEY)
    assert log_on(anonymous(encrypted_key=encrypted)).session_key == SESSION_KEY


def test_a_null_session_never_asks_for_an_account() -> None:
    def find(user: str, domain: str) -> Person | None:
        raise AssertionError(user, domain)

    assert log_on(anonymous(encrypted_key=bytes(16)), acceptor(find)).anonymous


def test_an_empty_user_with_a_response_is_no_null_session() -> None:
    assert refusal(Client(user="")).status is NtStatus.LOGON_FAILURE


@pytest.mark.parametrize("client", [Client(user="jim"), Client(password="wrong")])
def test_map_to_guest_decides_who_becomes_a_guest(client: Client) -> None:
    asked: list[Refused] = []

    def bad_user(refused: Refused) -> Person | None:
        asked.append(refused)
        return None if refused.known else GUEST

    server = acceptor(map_to_guest=bad_user)
    if client.user == "joe":
        assert refusal(client, server).status is NtStatus.LOGON_FAILURE
    else:
        result = log_on(client, server)
        assert result.guest
        assert not result.proven
        assert result.account is GUEST
        assert result.session_key == bytes(16)
        assert not server.integrity
    assert asked == [Refused(client.user, "WORKGROUP", "CLIENT", client.user == "joe")]


def test_a_guest_is_not_asked_for_when_the_password_is_right() -> None:
    def never(refused: Refused) -> Person | None:
        raise AssertionError(refused)

    assert log_on(Client(), acceptor(map_to_guest=never)).proven


def test_a_failing_look_up_is_not_swallowed() -> None:
    def find(_user: str, _domain: str) -> Person | None:
        raise NtStatusError(NtStatus.NO_LOGON_SERVERS)

    assert refusal(Client(), acceptor(find)).status is NtStatus.NO_LOGON_SERVERS


def test_both_sides_sign_with_the_same_keys() -> None:
    client, server = Client(), acceptor()
    log_on(client, server)
    assert client.signer is not None
    assert client.verifier is not None
    assert server.integrity
    assert server.verify(b"list", client.signer.sign(b"list"))
    assert server.mic(b"list") == client.verifier.sign(b"list")
    assert not server.verify(b"list", bytes(16))


def test_without_sign_the_signature_is_the_dummy_of_always_sign() -> None:
    server = acceptor()
    log_on(Client(flags=FLAGS & ~ntlm.NEGOTIATE_SIGN), server)
    assert not server.integrity
    assert server.mic(b"list") == DUMMY
    assert server.verify(b"anything", DUMMY)
    assert not server.verify(b"anything", bytes(16))


def test_without_sign_and_always_sign_there_is_no_signature() -> None:
    server = acceptor()
    log_on(Client(flags=FLAGS & ~(ntlm.NEGOTIATE_SIGN | ntlm.ALWAYS_SIGN)), server)
    assert server.mic(b"list") is None
    assert not server.verify(b"list", DUMMY)


def damaged(data: st.DataObject, message: bytes) -> bytes:
    token = bytearray(message)
    for _ in range(data.draw(st.integers(0, 4))):
        token[data.draw(st.integers(0, len(token) - 1))] = data.draw(st.integers(0, 255))
    return bytes(token[: data.draw(st.integers(0, len(token)) | st.just(len(token)))])


@given(st.data())
def test_a_damaged_exchange_ends_in_a_status(data: st.DataObject) -> None:
    client, server = Client(), acceptor()
    status = None
    try:
        challenge = server.step(damaged(data, client.negotiate())).reply
        server.step(damaged(data, client.authenticate(challenge)))
    except NtStatusError as refused:
        status = refused.status
    assert status in (None, NtStatus.INVALID_PARAMETER, NtStatus.LOGON_FAILURE)


@given(st.lists(st.binary(max_size=120), min_size=1, max_size=3))
def test_any_bytes_end_in_a_status(tokens: list[bytes]) -> None:
    server = acceptor()
    for token in tokens:
        with pytest.raises(NtStatusError) as refused:
            server.step(token)
        assert refused.value.status is NtStatus.INVALID_PARAMETER
