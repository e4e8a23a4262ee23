"""WS-Discovery without a network: what is answered, and what is not."""

from __future__ import annotations

from itertools import count
from uuid import UUID
from xml.etree import ElementTree

import pytest

from discovery.device import Device
from discovery.soap import ANONYMOUS, MAX_ID, PUB, WSA, WSD, WSDP, WST, Malformed, envelope, parse
from discovery.wsd import GET, Announcer

OURS = UUID("11111111-2222-3333-4444-555555555555")
DEVICE = Device(OURS, "Home", "Lab", "files & <more>", "MacSamba", 445)

# What would be answered, were it not for its document type.
ENTITIES = '<?xml version="1.0" encoding="utf-16"?><!DOCTYPE a [<!ENTITY b "c">]>' + envelope(
    f"{WSD}/Probe", "<wsd:Probe>&b;</wsd:Probe>", message_id=UUID(int=1000)
).decode().partition("?>")[2]  # fmt: skip


@pytest.fixture
def announcer() -> Announcer:
    numbers = count(1)
    return Announcer(DEVICE, 77, lambda: UUID(int=next(numbers)))


WHERE = "[fe80::1]:5357"


def probe(inner: str, number: int = 1000) -> bytes:
    body = f"<wsd:Probe>{inner}</wsd:Probe>"
    return envelope(f"{WSD}/Probe", body, message_id=UUID(int=number))


def resolve(address: str) -> bytes:
    reference = (
        f"<wsa:EndpointReference><wsa:Address>{address}</wsa:Address></wsa:EndpointReference>"
    )
    body = f"<wsd:Resolve>{reference}</wsd:Resolve>"
    return envelope(f"{WSD}/Resolve", body, message_id=UUID(int=1000))


def get(to: str, action: str = GET) -> bytes:
    return envelope(action, "", message_id=UUID(int=1000), to=to)


@pytest.mark.parametrize(
    "types", ["", "wsdp:Device", "pub:Computer", "x:Device y:Computer", "Device"]
)
def test_who_looks_for_computers_finds_us(announcer: Announcer, types: str) -> None:
    answer = announcer.answer(probe(f"<wsd:Types>{types}</wsd:Types>"), "192.0.2.1:5357")
    assert answer is not None
    told = parse(answer)
    assert (told.action, told.to) == (f"{WSD}/ProbeMatches", ANONYMOUS)
    assert b"<wsa:RelatesTo>urn:uuid:00000000-0000-0000-0000-0000000003e8</wsa:RelatesTo>" in answer
    match = told.body.find(f".//{{{WSD}}}ProbeMatch")
    assert match is not None
    assert match.findtext(f"{{{WSA}}}EndpointReference/{{{WSA}}}Address") == OURS.urn
    assert b'InstanceId="77"' in answer
    assert b"192.0.2.1" not in answer  # that is for who resolves the endpoint


@pytest.mark.parametrize(
    "inner",
    [
        "<wsd:Types>wsdp:Device wsdp:Printer</wsd:Types>",
        "<wsd:Types>printer:Scanner</wsd:Types>",
        "<wsd:Scopes>ldap:///ou=building</wsd:Scopes>",
    ],
)
def test_who_looks_for_something_else_does_not(announcer: Announcer, inner: str) -> None:
    assert announcer.answer(probe(inner), "192.0.2.1:5357") is None


def test_a_question_that_is_repeated_is_answered_once(announcer: Announcer) -> None:
    assert announcer.answer(probe(""), "a") is not None
    assert announcer.answer(probe(""), "a") is None
    for number in range(2000, 2300):  # more than are remembered
        assert announcer.answer(probe("", number), "a") is not None
    assert announcer.answer(probe(""), "a") is not None


@pytest.mark.parametrize("address", [OURS.urn, OURS.urn.upper()])
def test_our_endpoint_is_resolved(announcer: Announcer, address: str) -> None:
    answer = announcer.answer(resolve(address), "[fe80::1]:5357")
    assert answer is not None
    where = parse(answer).body.findtext(f".//{{{WSD}}}XAddrs")
    assert where == f"http://[fe80::1]:5357/{OURS}"


def test_others_are_not(announcer: Announcer) -> None:
    assert announcer.answer(resolve(UUID(int=9).urn), "a") is None
    assert announcer.answer(envelope(f"{WSD}/Resolve", "", message_id=UUID(int=9)), "a") is None


def test_metadata_name_the_computer_and_its_workgroup(announcer: Announcer) -> None:
    told = parse(announcer.posted(get(OURS.urn), WHERE, to_endpoint=True))
    assert told.action == f"{WST}/GetResponse"
    assert told.body.findtext(f".//{{{PUB}}}Computer") == "HOME/Workgroup:LAB"
    assert told.body.findtext(f".//{{{WSDP}}}FriendlyName") == "files & <more>"
    assert told.body.findtext(f".//{{{WSDP}}}Types") == "pub:Computer"


@pytest.mark.parametrize(
    "request_", [get(UUID(int=9).urn), get(OURS.urn, f"{WST}/Put"), b"", b"<a/>"]
)
def test_metadata_are_for_who_asks_us_for_them(announcer: Announcer, request_: bytes) -> None:
    with pytest.raises(Malformed):
        announcer.posted(request_, WHERE, to_endpoint=True)


def test_metadata_are_not_for_who_asks_nobody_for_them(announcer: Announcer) -> None:
    with pytest.raises(Malformed):
        announcer.posted(get(OURS.urn), WHERE, to_endpoint=False)


@pytest.mark.parametrize("to_endpoint", [False, True])
def test_who_asks_our_address_is_told_where_the_metadata_are(
    announcer: Announcer, to_endpoint: bool
) -> None:
    request = probe("<wsd:Types>wsdp:Device</wsd:Types>")
    for _ in range(2):  # over HTTP nothing is a repetition
        answer = announcer.posted(request, WHERE, to_endpoint=to_endpoint)
        told = parse(answer)
        assert told.action == f"{WSD}/ProbeMatches"
        (match,) = told.body.findall(f".//{{{WSD}}}ProbeMatch")
        assert match.findtext(f"{{{WSD}}}XAddrs") == f"http://{WHERE}/{OURS}"
        assert b"0000000003e8</wsa:RelatesTo>" in answer


def test_who_asks_our_address_for_a_printer_finds_none(announcer: Announcer) -> None:
    request = probe("<wsd:Types>wsdp:Printer</wsd:Types>")
    told = parse(announcer.posted(request, WHERE, to_endpoint=False))
    assert told.action == f"{WSD}/ProbeMatches"
    assert told.body.find(f".//{{{WSD}}}ProbeMatch") is None


def test_hello_and_bye_name_the_endpoint_and_count(announcer: Announcer) -> None:
    for number, (message, name) in enumerate(
        [(announcer.hello(), "Hello"), (announcer.bye(), "Bye")], 1
    ):
        told = parse(message)
        assert told.action == f"{WSD}/{name}"
        assert told.body.findtext(f".//{{{WSA}}}Address") == OURS.urn
        assert f'MessageNumber="{number}"'.encode() in message


@pytest.mark.parametrize(
    "datagram",
    [
        b"",
        b"\xff\xfe\x00",
        b"GET / HTTP/1.1\r\n\r\n",
        b"<unclosed>",
        b"<a/>",
        probe("")[:-1],
        probe("").replace(b"<soap:Body>", b"<soap:B>").replace(b"</soap:Body>", b"</soap:B>"),
        b'<?xml version="1.0" encoding="no-such"?><a/>',
        b'<!DOCTYPE a [<!ENTITY b "cccc">]><a>&b;</a>',
        b'<?xml version="1.0"?><!DOCTYPE a SYSTEM "http://192.0.2.1/x"><a/>',
        ENTITIES.encode("utf-16"),
        ENTITIES.encode("utf-16-be"),
        probe("").replace(b"urn:uuid:0", b"urn:uuid:" + b"0" * MAX_ID),
        probe("<x/>" * 20_000),
    ],
)
def test_junk_is_not_answered(announcer: Announcer, datagram: bytes) -> None:
    assert announcer.answer(datagram, "192.0.2.1:5357") is None


def test_every_message_cut_short_is_junk(announcer: Announcer) -> None:
    whole = probe("<wsd:Types>wsdp:Device</wsd:Types>")
    for length in range(len(whole)):
        assert announcer.answer(whole[:length], "a") is None


def test_what_we_write_is_well_formed() -> None:
    text = envelope("a&b", "<c/>", message_id=UUID(int=1), to="<to>", relates_to="&")
    assert ElementTree.fromstring(text) is not None
