"""A pipe of IPC$ that tests speak RPC over, with our own NDR at this end and SMB in between."""

from __future__ import annotations

import uuid
from types import TracebackType
from typing import Self

from smbprotocol.connection import Connection
from smbprotocol.open import CreateDisposition, FileAttributes, ImpersonationLevel, Open
from smbprotocol.session import Session
from smbprotocol.tree import TreeConnect

from mountd.rpc import pdu
from mountd.rpc.ndr import NdrReader, NdrWriter
from mountd.rpc.pdu import Syntax
from tests.mountd.rpc_support import bind, reply_stub, request
from tests.support.live import PASSWORD
from tests.support.peers import Peer

_ACCESS = 0x0012019F  # to read and write
_SHARED = 3
_FRAGMENT = 4280


class RpcPipe:
    """``with RpcPipe(server, "srvsvc", SRVSVC, "tester") as pipe: pipe.call(...)``."""

    def __init__(self, peer: Peer, name: str, syntax: Syntax, user: str) -> None:
        self._connection = Connection(uuid.uuid4(), peer.host, peer.port)
        self._connection.connect()
        session = Session(self._connection, user, PASSWORD, require_encryption=False)
        session.connect()
        tree = TreeConnect(session, rf"\\{peer.host}\IPC$")
        tree.connect()
        self._pipe = Open(tree, name)
        self._pipe.create(
            ImpersonationLevel.Impersonation,
            _ACCESS,
            FileAttributes.FILE_ATTRIBUTE_NORMAL,
            _SHARED,
            CreateDisposition.FILE_OPEN,
            0,
        )
        self._pipe.write(bind((0, syntax, (pdu.NDR32,))))
        self._pipe.read(0, _FRAGMENT)

    def call(self, opnum: int, w: NdrWriter) -> NdrReader:
        """One request; the stub of its reply, of as many fragments as it takes."""
        w.flush()
        self._pipe.write(request(opnum, bytes(w.out)))
        stub = b""
        while True:
            fragment = self._pipe.read(0, _FRAGMENT)
            stub += reply_stub(fragment)
            if fragment[3] & pdu.LAST_FRAG:
                return NdrReader(stub)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._connection.transport.close()
