"""CREATEs and CLOSEs in bursts, made of one packed request each: a client that costs little."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from bench.client import Link, earn, framed
from ksmbd.wire.access import FILE_OPEN, GENERIC_READ
from ksmbd.wire.text import utf16
from tests.support.client import Client

DEPTH: Final = 16  # requests in flight
_STATUS: Final = 8  # offsets in a PDU
_MESSAGE_ID: Final = 24
_FILE_ID: Final = slice(72, 88)  # of a CLOSE
_OPENED: Final = slice(128, 144)  # the FileId in the reply to a CREATE
_Q: Final = struct.Struct("<Q")


class Opener:
    """Opens files whose names all have the length of *sample*, to read them, and closes them."""

    def __init__(self, client: Client, link: Link, sample: str) -> None:
        self._client, self._link = client, link
        earn(client, 2 * DEPTH)  # type: ignore[arg-type]
        wanted = {"desired_access": GENERIC_READ, "create_disposition": FILE_OPEN}
        self._create = client.pack(client.frames.create(sample, share_access=7, **wanted))
        self._name = slice(len(self._create) - len(utf16(sample)), len(self._create))
        client.next_id -= 1  # that one is not sent
        file = client.frames.on(0, 0)
        self._close = client.pack(file.close())
        client.next_id -= 1

    def open(self, names: Iterable[str]) -> list[bytes]:
        """Their FileIds.  ConnectionError if one does not open."""
        requests = []
        for name in names:
            self._create[self._name] = utf16(name)
            requests.append(self._numbered(self._create))
        return [reply[_OPENED] for reply in self._answers(requests)]

    def close(self, files: Iterable[bytes]) -> None:
        requests = []
        for file in files:
            self._close[_FILE_ID] = file
            requests.append(self._numbered(self._close))
        self._answers(requests)

    def _numbered(self, pdu: bytearray) -> bytes:
        _Q.pack_into(pdu, _MESSAGE_ID, self._client.next_id)
        self._client.next_id += 1
        return framed(pdu)

    def _answers(self, requests: Sequence[bytes]) -> list[bytes]:
        """In the order of the requests."""
        self._link.socket.sendall(b"".join(requests))
        replies = [self._link.read() for _ in requests]
        for reply in replies:
            if any(reply[_STATUS : _STATUS + 4]):
                raise ConnectionError(f"status {reply[_STATUS : _STATUS + 4][::-1].hex()}")
        return sorted(replies, key=lambda reply: _Q.unpack_from(reply, _MESSAGE_ID))
