"""What is said and answered in WS-Discovery, so that Explorer shows the server.  Pure: no I/O.

we come    Hello            to all
Probe      ProbeMatches     who asks learns our address of the endpoint, a UUID
Resolve    ResolveMatches   ... and with it where our metadata are
Get        GetResponse      over HTTP: name, workgroup, kind
Probe      ProbeMatches     over HTTP: who knows our address need not ask all for it
we go      Bye              to all
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import UUID
from xml.sax.saxutils import escape

from discovery.device import Device
from discovery.soap import (
    ANONYMOUS,
    WSA,
    WSD,
    WST,
    Envelope,
    Malformed,
    Sequence,
    envelope,
    parse,
)

GET: Final = f"{WST}/Get"
_OUR_TYPES: Final = frozenset({"Device", "Computer"})  # wsdp:Device, pub:Computer
_TYPES: Final = "<wsd:Types>wsdp:Device pub:Computer</wsd:Types>"
_VERSION: Final = "<wsd:MetadataVersion>2</wsd:MetadataVersion>"
_NONE: Final = "<wsd:ProbeMatches/>"
_REMEMBERED: Final = 256  # messages; who repeats one is not answered again
_DIALECT: Final = "http://schemas.xmlsoap.org/ws/2006/02/devprof"


class Announcer:
    """The device's side of the conversation."""

    def __init__(self, device: Device, instance: int, new_id: Callable[[], UUID]) -> None:
        """*instance* grows with every start: seconds since 1970."""
        self.device = device
        self._instance = instance
        self._new_id = new_id
        self._number = 0
        self._heard: OrderedDict[str, None] = OrderedDict()

    def hello(self) -> bytes:
        return self._tell("Hello", f"<wsd:Hello>{self._endpoint()}{_TYPES}{_VERSION}</wsd:Hello>")

    def bye(self) -> bytes:
        return self._tell("Bye", f"<wsd:Bye>{self._endpoint()}</wsd:Bye>")

    def answer(self, datagram: bytes, address: str) -> bytes | None:
        """The answer to a datagram; None: it is not for us, or was heard before.

        *address* is where we have our metadata, ``192.0.2.1:5357`` or ``[fe80::1]:5357``.
        """
        try:
            asked = parse(datagram)
        except Malformed:
            return None
        answers = {f"{WSD}/Probe": self._probed, f"{WSD}/Resolve": self._resolve}
        handler = answers.get(asked.action)
        if handler is None or asked.message_id in self._heard:
            return None
        self._heard[asked.message_id] = None
        if len(self._heard) > _REMEMBERED:
            self._heard.popitem(last=False)
        return handler(asked, address)

    def posted(self, request: bytes, address: str, *, to_endpoint: bool) -> bytes:
        """The answer to what came over HTTP to *address*, and there *to_endpoint* or to nobody.

        A Probe finds out who is there; it is answered even if nobody is, with no match.  A Get is
        for our endpoint.  Raises Malformed for anything else.
        """
        asked = parse(request)
        if asked.action == f"{WSD}/Probe":
            return self._probe(asked, address) or self._reply("ProbeMatches", _NONE, asked)
        if not to_endpoint:
            raise Malformed(f"{asked.action} to nobody")
        return self._metadata(asked)

    def _metadata(self, asked: Envelope) -> bytes:
        if asked.action != GET or asked.to.casefold() != self.device.uuid.urn:
            raise Malformed(f"{asked.action} to {asked.to}")
        return envelope(
            f"{WST}/GetResponse",
            self._describe(),
            message_id=self._new_id(),
            to=ANONYMOUS,
            relates_to=asked.message_id,
        )

    # -- parts ---------------------------------------------------------------------------

    def _probe(self, asked: Envelope, address: str = "") -> bytes | None:
        """Types narrow the question, all of them must be ours; we have no scopes.

        With *address* we say where we are, too: who has it asks for nothing else before the Get.
        """
        types = (asked.text(f"{{{WSD}}}Probe", f"{{{WSD}}}Types") or "").split()
        scopes = asked.text(f"{{{WSD}}}Probe", f"{{{WSD}}}Scopes")
        if scopes or not _OUR_TYPES.issuperset(name.rpartition(":")[2] for name in types):
            return None
        where = self._where(address) if address else ""
        match = f"{self._endpoint()}{_TYPES}{where}{_VERSION}"
        body = f"<wsd:ProbeMatches><wsd:ProbeMatch>{match}</wsd:ProbeMatch></wsd:ProbeMatches>"
        return self._reply("ProbeMatches", body, asked)

    def _probed(self, asked: Envelope, _address: str) -> bytes | None:
        return self._probe(asked)

    def _resolve(self, asked: Envelope, address: str) -> bytes | None:
        wanted = asked.text(f"{{{WSD}}}Resolve", f"{{{WSA}}}EndpointReference", f"{{{WSA}}}Address")
        if wanted is None or wanted.casefold() != self.device.uuid.urn:
            return None
        match = f"{self._endpoint()}{_TYPES}{self._where(address)}{_VERSION}"
        body = (
            f"<wsd:ResolveMatches><wsd:ResolveMatch>{match}</wsd:ResolveMatch></wsd:ResolveMatches>"
        )
        return self._reply("ResolveMatches", body, asked)

    def _where(self, address: str) -> str:
        return f"<wsd:XAddrs>http://{address}/{self.device.uuid}</wsd:XAddrs>"

    def _endpoint(self) -> str:
        address = f"<wsa:Address>{self.device.uuid.urn}</wsa:Address>"
        return f"<wsa:EndpointReference>{address}</wsa:EndpointReference>"

    def _next(self) -> Sequence:
        self._number += 1
        return Sequence(self._instance, self._number)

    def _tell(self, what: str, body: str) -> bytes:
        return envelope(f"{WSD}/{what}", body, message_id=self._new_id(), sequence=self._next())

    def _reply(self, what: str, body: str, asked: Envelope) -> bytes:
        return envelope(
            f"{WSD}/{what}",
            body,
            message_id=self._new_id(),
            to=ANONYMOUS,
            relates_to=asked.message_id,
            sequence=self._next(),
        )

    def _describe(self) -> str:
        device = self.device
        sections = {
            f"{_DIALECT}/ThisDevice": (
                "<wsdp:ThisDevice>"
                f"<wsdp:FriendlyName>{escape(device.description)}</wsdp:FriendlyName>"
                f"<wsdp:FirmwareVersion>{escape(device.version)}</wsdp:FirmwareVersion>"
                "<wsdp:SerialNumber>1</wsdp:SerialNumber></wsdp:ThisDevice>"
            ),
            f"{_DIALECT}/ThisModel": (
                "<wsdp:ThisModel><wsdp:Manufacturer>ksmbd</wsdp:Manufacturer>"
                "<wsdp:ModelName>ksmbd</wsdp:ModelName>"
                "<pnpx:DeviceCategory>Computers</pnpx:DeviceCategory></wsdp:ThisModel>"
            ),
            f"{_DIALECT}/Relationship": (
                f'<wsdp:Relationship Type="{_DIALECT}/host"><wsdp:Host>{self._endpoint()}'
                f"<wsdp:Types>pub:Computer</wsdp:Types>"
                f"<wsdp:ServiceId>{device.uuid.urn}</wsdp:ServiceId>"
                f"<pub:Computer>{escape(device.computer)}</pub:Computer>"
                "</wsdp:Host></wsdp:Relationship>"
            ),
        }
        parts = (
            f'<wsx:MetadataSection Dialect="{dialect}">{text}</wsx:MetadataSection>'
            for dialect, text in sections.items()
        )
        return f"<wsx:Metadata>{''.join(parts)}</wsx:Metadata>"
