"""What Apple's clients send that others do not."""

from __future__ import annotations

import struct

from ksmbd.wire import create_context as wire
from ksmbd.wire.access import FILE_READ_ATTRIBUTES
from ksmbd.wire.status import NtStatus
from tests.support.client import Client


def agree(client: Client, capabilities: int = wire.AAPL_READ_DIR_ATTR) -> Client:
    """Ask for the server's extensions, as a Mac does once a session."""
    query = struct.pack("<IIQQ", 1, 0, wire.AAPL_BIT_SERVER_CAPS, capabilities)
    contexts = [(wire.AAPL, query)]
    root = client.open("", contexts=contexts, desired_access=FILE_READ_ATTRIBUTES)
    assert client.status(root.frames.close()) is NtStatus.SUCCESS
    return client
