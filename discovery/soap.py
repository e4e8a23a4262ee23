"""SOAP envelopes of WS-Discovery (2005/04) and WS-Transfer, written and read.  Pure: no I/O.

What is read comes from anybody: it is bounded, and has no document type, so that nothing in it
expands.
"""

from __future__ import annotations

from typing import Final, NamedTuple
from uuid import UUID
from xml.etree import ElementTree
from xml.sax.saxutils import escape

MAX_MESSAGE: Final = 32 << 10  # bytes
MAX_ID: Final = 256  # characters of a MessageID, which is remembered and comes back in the answer

SOAP: Final = "http://www.w3.org/2003/05/soap-envelope"
WSA: Final = "http://schemas.xmlsoap.org/ws/2004/08/addressing"
WSD: Final = "http://schemas.xmlsoap.org/ws/2005/04/discovery"
WSX: Final = "http://schemas.xmlsoap.org/ws/2004/09/mex"
WST: Final = "http://schemas.xmlsoap.org/ws/2004/09/transfer"
WSDP: Final = "http://schemas.xmlsoap.org/ws/2006/02/devprof"
PNPX: Final = "http://schemas.microsoft.com/windows/pnpx/2005/10"
PUB: Final = "http://schemas.microsoft.com/windows/pub/2005/07"
EVERYBODY: Final = "urn:schemas-xmlsoap-org:ws:2005:04:discovery"
ANONYMOUS: Final = f"{WSA}/role/anonymous"

_PREFIXES: Final = {
    "soap": SOAP, "wsa": WSA, "wsd": WSD, "wsx": WSX, "wsdp": WSDP, "pnpx": PNPX, "pub": PUB,
}  # fmt: skip
_NAMESPACES: Final = "".join(f' xmlns:{prefix}="{uri}"' for prefix, uri in _PREFIXES.items())


class Malformed(ValueError):
    """No envelope, or one that we do not read."""


class Sequence(NamedTuple):
    """AppSequence: which start of the program, and which message since."""

    instance: int
    number: int


class Envelope(NamedTuple):
    """A message that was received."""

    action: str
    message_id: str
    to: str
    body: ElementTree.Element

    def text(self, *path: str) -> str | None:
        """The text of an element of the body; None if it is not there."""
        found: ElementTree.Element | None = self.body
        for name in path:
            found = found.find(name) if found is not None else None
        return None if found is None else (found.text or "").strip()


def envelope(
    action: str,
    body: str,
    *,
    message_id: UUID,
    to: str = EVERYBODY,
    relates_to: str = "",
    sequence: Sequence | None = None,
) -> bytes:
    """A message; *body* is XML already."""
    relates = f"<wsa:RelatesTo>{escape(relates_to)}</wsa:RelatesTo>" if relates_to else ""
    order = ""
    if sequence is not None:
        order = (
            f'<wsd:AppSequence InstanceId="{sequence.instance}" '
            f'SequenceId="urn:uuid:{UUID(int=sequence.instance)}" '
            f'MessageNumber="{sequence.number}"/>'
        )
    return (
        f'<?xml version="1.0" encoding="utf-8"?><soap:Envelope{_NAMESPACES}><soap:Header>'
        f"<wsa:To>{escape(to)}</wsa:To><wsa:Action>{escape(action)}</wsa:Action>"
        f"<wsa:MessageID>urn:uuid:{message_id}</wsa:MessageID>{relates}{order}"
        f"</soap:Header><soap:Body>{body}</soap:Body></soap:Envelope>"
    ).encode()


def parse(message: bytes) -> Envelope:
    """Raises Malformed."""
    if len(message) > MAX_MESSAGE:
        raise Malformed(f"{len(message)} bytes")
    if b"\0" in message:  # UTF-16, in which what is forbidden would not be found
        raise Malformed("no UTF-8")
    if b"<!" in message.replace(b"<!--", b""):
        raise Malformed("a document type")
    try:
        root = ElementTree.fromstring(message)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise Malformed(str(error)) from None
    header, body = root.find(f"{{{SOAP}}}Header"), root.find(f"{{{SOAP}}}Body")
    if root.tag != f"{{{SOAP}}}Envelope" or header is None or body is None:
        raise Malformed("no SOAP envelope")
    action, message_id, to = (
        (header.findtext(f"{{{WSA}}}{name}") or "").strip()
        for name in ("Action", "MessageID", "To")
    )
    if not action or not message_id:
        raise Malformed("no Action or no MessageID")
    if len(message_id) > MAX_ID:
        raise Malformed(f"a MessageID of {len(message_id)} characters")
    return Envelope(action, message_id, to, body)
