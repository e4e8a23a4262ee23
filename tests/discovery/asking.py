"""A client of both ways to be found, with sockets and nothing else: for network namespaces.

    python -m tests.discovery.asking WAY@ADDRESS... [--beside WAY@ADDRESS...]

asks by each way (``wsd``, ``mdns``) from each address of this machine, again and again, until
everything before ``--beside`` has been answered; an interface's name in the place of an address is
for IPv6.  It prints who answered what, as JSON: whether the
others were answered meanwhile is the question then.  The messages of ``wsd`` are in the form that
Windows' own client has: Probe by multicast, Resolve, and Get over HTTP; and Probe over HTTP, as by
who knows the address already.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import re
import select
import socket
import struct
import sys
import time
import uuid
from dataclasses import dataclass, field
from typing import Final

WSD: Final = ("239.255.255.250", 3702)
WSD_6: Final = ("ff02::c", 3702)
MDNS: Final = ("224.0.0.251", 5353)
GIVE_UP_S: Final = 90.0
AGAIN_S: Final = 1.0
SERVICES: Final = ("_smb._tcp.local", "_adisk._tcp.local")
ENVELOPE: Final = (
    '<?xml version="1.0" encoding="utf-8"?>'
    '<soap:Envelope xmlns:soap="http://www.w3.org/2003/05/soap-envelope"'
    ' xmlns:wsa="http://schemas.xmlsoap.org/ws/2004/08/addressing"'
    ' xmlns:wsd="http://schemas.xmlsoap.org/ws/2005/04/discovery"{namespaces}><soap:Header>'
    "<wsa:To>{to}</wsa:To><wsa:Action>{action}</wsa:Action>"
    "<wsa:MessageID>urn:uuid:{id}</wsa:MessageID>{more}</soap:Header>"
    "<soap:Body>{body}</soap:Body></soap:Envelope>"
)
DISCOVERY: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
GET: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer/Get"
ALL: Final = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
DEVICES: Final = ' xmlns:wsdp="http://schemas.xmlsoap.org/ws/2006/02/devprof"'
ANONYMOUS: Final = (
    "<wsa:ReplyTo><wsa:Address>http://schemas.xmlsoap.org/ws/2004/08/addressing/role/anonymous"
    "</wsa:Address></wsa:ReplyTo>"
)


@dataclass
class Asker:
    """One way from one address."""

    way: str
    address: str
    answers: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.to: tuple[str | int, ...] = WSD if self.way == "wsd" else MDNS
        if "." not in self.address:
            number = socket.if_nametoindex(self.address)
            self.socket = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
            self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_MULTICAST_IF, number)
            self.socket.bind(("::", 0, 0, number))
            self.to = (*WSD_6, 0, number)
            return
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        own = socket.inet_aton(self.address)
        self.socket.setsockopt(socket.IPPROTO_IP, socket.IP_MULTICAST_IF, own)
        self.socket.bind((self.address, 0))

    def ask(self) -> None:
        with contextlib.suppress(OSError):  # no address yet, of IPv6
            self.socket.sendto(probe() if self.way == "wsd" else question(), self.to)

    def hear(self) -> None:
        data, (sender, *_) = self.socket.recvfrom(65536)
        self.answers.append(f"{sender} {data.decode('latin-1')}")
        if self.way == "wsd" and "ProbeMatches" in self.answers[-1]:
            self.socket.sendto(resolve(endpoint(self.answers[-1])), self.to)

    @property
    def done(self) -> bool:
        wanted = "ResolveMatches" if self.way == "wsd" else "adVN="
        return any(wanted in answer for answer in self.answers)


def message(to: str, action: str, body: str, namespaces: str = "", more: str = "") -> bytes:
    return ENVELOPE.format(
        to=to, action=action, id=uuid.uuid4(), body=body, namespaces=namespaces, more=more
    ).encode()


def probe() -> bytes:
    body = "<wsd:Probe><wsd:Types>wsdp:Device</wsd:Types></wsd:Probe>"
    return message(ALL, f"{DISCOVERY}/Probe", body, DEVICES)


def resolve(urn: str) -> bytes:
    reference = f"<wsa:EndpointReference><wsa:Address>{urn}</wsa:Address></wsa:EndpointReference>"
    return message(ALL, f"{DISCOVERY}/Resolve", f"<wsd:Resolve>{reference}</wsd:Resolve>")


def endpoint(matches: str) -> str:
    """The endpoint in ProbeMatches or ResolveMatches."""
    found = re.search(r"<wsa:Address>(urn:uuid:[0-9a-f-]+)</wsa:Address>", matches)
    assert found is not None, matches
    return found[1]


def over_http(matches: str, interface: str) -> list[str]:
    """What the place that ResolveMatches name has to say: to a Probe, and of the endpoint."""
    found = re.search(r"<wsd:XAddrs>http://\[?([\da-f.:]+?)\]?:(\d+)(/[^<]*)</wsd:XAddrs>", matches)
    assert found is not None, matches
    host = found[1] if "." in found[1] else f"{found[1]}%{interface}"
    asked = (("/", probe()), (found[3], message(endpoint(matches), GET, "", more=ANONYMOUS)))
    said = []
    for path, body in asked:
        connection = http.client.HTTPConnection(host, int(found[2]), timeout=30)
        headers = {"Content-Type": "application/soap+xml", "User-Agent": "WSDAPI"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        said.append(f"{found[0]} {answer.status} {answer.read().decode()}")
    return said


def question() -> bytes:
    """PTR of our services, the answer to come to us alone: from another port than 5353."""
    packed = b"".join(
        b"".join(bytes([len(label)]) + label.encode() for label in name.split("."))
        + struct.pack(">BHH", 0, 12, 1)
        for name in SERVICES
    )
    return struct.pack(">6H", 7, 0, len(SERVICES), 0, 0, 0) + packed


def main(arguments: list[str]) -> int:
    """0 when all that must be was answered, 1 when the patience is at its end."""
    until = arguments[: arguments.index("--beside")] if "--beside" in arguments else arguments
    askers = {word: Asker(*word.split("@")) for word in arguments if word != "--beside"}
    needed = [askers[word] for word in until]
    end = time.monotonic() + GIVE_UP_S
    while not all(asker.done for asker in needed) and time.monotonic() < end:
        for asker in reversed(askers.values()):  # those that need no answer first
            asker.ask()
        again = time.monotonic() + AGAIN_S
        while (left := again - time.monotonic()) > 0:
            for ready in select.select([a.socket for a in askers.values()], [], [], left)[0]:
                next(a for a in askers.values() if a.socket is ready).hear()
    said: dict[str, list[str]] = {word: asker.answers for word, asker in askers.items()}
    for word, answers in said.items():
        resolved = next((each for each in answers if "ResolveMatches" in each), "")
        if word.startswith("wsd@") and resolved:
            answers += over_http(resolved, askers[word].address)
    print(json.dumps(said))
    return 0 if all(asker.done for asker in needed) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
