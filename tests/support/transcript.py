"""Scripts of what clients do with files, and of who is told what: tests/state/transcripts/*.txt.

One event a line, what it brings behind the arrow, ``-`` for nothing::

    open 1 client=A oplock=batch   -> open 1 granted batch
    open 2 client=B oplock=level2  -> break 1 batch->level2 ack=yes; open 2 waits
    ack 1 level2                   -> open 2 granted level2

Events, with the names of opens, lease keys and clients::

    open N client=A [file=NAME] [oplock=LEVEL | lease=KEY:RWH [v1] [parent=KEY]] [dir] [doc]
           [access=all|read|write|delete|stat] [share=rwd|none|...] [do=open|create|overwrite]
           [durable]
    back N client=A [lease=KEY:RWH]   a reconnect to a durable open
    ack N LEVEL            an oplock's answer            ack KEY RH client=A   a lease's
    close write lock size rename link delete attributes  N [ARGUMENT]
    time SECONDS           lose A                        cancel N

``client=A2`` is a second connection of client A (the same ClientGuid).  A lease of version 2 shows
its epoch.  What succeeds at once says nothing; what must wait says so, and again when it is done.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from ksmbd.wire import create, file_info
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_CREATE,
    FILE_DELETE_ON_CLOSE,
    FILE_DIRECTORY_FILE,
    FILE_OPEN,
    FILE_OPEN_IF,
    FILE_OVERWRITE,
    FILE_READ_ATTRIBUTES,
    FILE_READ_DATA,
    FILE_SHARE_DELETE,
    FILE_SHARE_READ,
    FILE_SHARE_WRITE,
    FILE_WRITE_DATA,
)
from ksmbd.wire.create_context import (
    DURABLE_HANDLE_RECONNECT_V2,
    DURABLE_HANDLE_REQUEST_V2,
    LEASE_BREAK_IN_PROGRESS,
    LEASE_PARENT_KEY_SET,
    REQUEST_LEASE,
    DurableHandleReconnectV2,
    DurableHandleRequestV2,
    RequestLease,
    RequestLeaseV2,
    contexts,
    unpack_lease,
)
from ksmbd.wire.file_info import FileInfo
from ksmbd.wire.negotiate import CAP_DIRECTORY_LEASING
from ksmbd.wire.oplock_break import (
    ACK_REQUIRED,
    LeaseBreakNotification,
    OplockBreakNotification,
)
from ksmbd.wire.status import NtStatus
from ksmbd.wire.text import utf16
from tests.support.client import Client
from tests.support.engine import Engine
from tests.support.frames import Frame, FrameFactory
from tests.support.mountd import PASSWORD
from tests.support.replies import Response

OPLOCKS: Final = {
    "none": create.OPLOCK_NONE,
    "level2": create.OPLOCK_II,
    "exclusive": create.OPLOCK_EXCLUSIVE,
    "batch": create.OPLOCK_BATCH,
}
OPLOCK_NAMES: Final = {level: name for name, level in OPLOCKS.items()}
RIGHTS: Final = {"R": 1, "H": 2, "W": 4}
ACCESS: Final = {
    "all": FILE_ALL_ACCESS,
    "read": FILE_READ_DATA,
    "write": FILE_WRITE_DATA,
    "delete": DELETE,
    "stat": FILE_READ_ATTRIBUTES,
}
SHARES: Final = {"r": FILE_SHARE_READ, "w": FILE_SHARE_WRITE, "d": FILE_SHARE_DELETE}
DISPOSITIONS: Final = {
    "open": FILE_OPEN,
    "create": FILE_CREATE,
    "overwrite": FILE_OVERWRITE,
    "open-if": FILE_OPEN_IF,
}


def rights(text: str) -> int:
    return 0 if text == "none" else sum(RIGHTS[letter] for letter in text)


def letters(level: int) -> str:
    """RWH in that order; "none"."""
    return "".join(name for name in "RWH" if level & RIGHTS[name]) or "none"


def key(name: str) -> bytes:
    return name.encode().ljust(16, b"\0")


@dataclass
class Opened:
    """An open, or one that is asked for."""

    client: Client
    oplock: int = create.OPLOCK_NONE  # as the client knows it
    frames: FrameFactory | None = None


@dataclass
class Player:
    """Plays the events of one script on an engine."""

    engine: Engine
    clients: dict[str, Client] = field(default_factory=dict)
    opens: dict[str, Opened] = field(default_factory=dict)
    asked: dict[tuple[str, int], tuple[str, str]] = field(default_factory=dict)
    waiting: set[tuple[str, int]] = field(default_factory=set)  # and the script has said so
    said: list[str] = field(default_factory=list)

    def play(self, event: str) -> str:
        """What the event brings, as behind the arrow."""
        self.said = []
        verb, *words = event.split()
        options = dict(word.split("=", 1) for word in words if "=" in word)
        plain = [word for word in words if "=" not in word]
        getattr(self, f"_{verb}")(verb, plain, options)
        self._gather()
        return "; ".join(self.said) or "-"

    # -- events --------------------------------------------------------------------------

    def _open(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        name, *flags = words
        client = self._client(options["client"])
        self.opens[name] = Opened(client)
        choices = sum(
            {"dir": FILE_DIRECTORY_FILE, "doc": FILE_DELETE_ON_CLOSE}.get(flag, 0) for flag in flags
        )
        share = options.get("share", "rwd")
        frame = client.frames.create(
            options.get("file", "file").replace("/", "\\"),
            contexts=[*lease_context(options, flags), *durable_context(name, flags)],
            desired_access=ACCESS[options.get("access", "all")],
            share_access=0 if share == "none" else sum(SHARES[letter] for letter in share),
            create_disposition=DISPOSITIONS[options.get("do", "open-if")],
            create_options=choices,
            requested_oplock_level=create.OPLOCK_LEASE
            if "lease" in options
            else OPLOCKS[options.get("oplock", "none")],
        )
        self._send(client, frame, verb, name)

    def _back(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        name = words[0]
        frames = self._frames(name)
        client = self.opens[name].client = self._client(options["client"])
        asked = DurableHandleReconnectV2(
            persistent_id=frames.persistent_id,
            volatile_id=frames.volatile_id,
            create_guid=key(name),
            flags=0,
        )
        reconnect = (DURABLE_HANDLE_RECONNECT_V2, asked.pack())
        contexts = [*lease_context(options, []), reconnect]
        self._send(client, client.frames.create(contexts=contexts), verb, name)

    def _ack(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        name, level = words
        if name in self.opens:
            frame = self._frames(name).oplock_break(OPLOCKS[level])
            self._send(self.opens[name].client, frame, verb, name)
        else:
            client = self._client(options["client"])
            self._send(client, client.frames.lease_break(key(name), rights(level)), verb, name)

    def _on_file(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        name = words[0]
        frame = _FILE_FRAMES[verb](self._frames(name), *words[1:])
        self._send(self.opens[name].client, frame, verb, name)

    _close = _write = _lock = _size = _rename = _link = _delete = _attributes = _on_file

    def _cancel(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        for client_name, message_id in list(self.waiting):
            if self.asked[client_name, message_id][1] == words[0]:
                client = self.clients[client_name]
                frame = client.frames.cancel(message_id=message_id)
                self.engine.receive(client.connection, client.pack(frame))

    def _time(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        self.engine.advance(float(words[0]))

    def _lose(self, verb: str, words: list[str], options: dict[str, str]) -> None:
        self.clients.pop(words[0]).lose()

    # -- requests and what comes back ----------------------------------------------------

    def _client(self, name: str) -> Client:
        if name not in self.clients:
            client = self.clients[name] = Client(self.engine)
            guid = name[0].encode() * 16
            client.negotiate(client_guid=guid, capabilities=CAP_DIRECTORY_LEASING)
            client.log_on("joe", PASSWORD)
            client.connect()
        return self.clients[name]

    def _frames(self, name: str) -> FrameFactory:
        frames = self.opens[name].frames
        assert frames is not None, f"{name} is not open"
        return frames

    def _send(self, client: Client, frame: Frame, verb: str, name: str) -> None:
        pdu = client.pack(frame)
        who = next(known for known, each in self.clients.items() if each is client)
        asked = who, frame.header.message_id
        self.asked[asked] = verb, name
        self.engine.receive(client.connection, pdu)
        self._gather()
        if asked in self.asked:
            self.waiting.add(asked)
            self.said.append(f"{verb} {name} waits")

    def _gather(self) -> None:
        replies: list[str] = []
        for who, client in self.clients.items():
            for response in client.receive():
                if response.status is not NtStatus.PENDING:
                    replies += self._reply(who, response)
            told, client.unsolicited = client.unsolicited, []
            self.said += [self._break(response) for response in told]
        self.said += replies

    def _reply(self, who: str, response: Response) -> Iterator[str]:
        asked = who, response.header.message_id
        verb, name = self.asked.pop(asked)
        if response.status is not NtStatus.SUCCESS:
            yield f"{verb} {name} {response.status.name}"
        elif verb in ("open", "back"):
            yield f"{verb} {name} granted {self._granted(name, response)}"
        elif asked in self.waiting:
            yield f"{verb} {name} done"

    def _granted(self, name: str, response: Response) -> str:
        opened = self.opens[name]
        body = response.body(create.CreateResponse)
        opened.frames = opened.client.frames.on(body.persistent_id, body.volatile_id)
        if body.oplock_level != create.OPLOCK_LEASE:
            opened.oplock = body.oplock_level
            return OPLOCK_NAMES[body.oplock_level]
        start = body.create_contexts_offset
        chain = response.raw[start : start + body.create_contexts_length]
        (data,) = (context.data for context in contexts(chain) if context.name == REQUEST_LEASE)
        lease = unpack_lease(data)
        said = letters(lease.lease_state)
        if lease.lease_flags & LEASE_BREAK_IN_PROGRESS:
            said += " breaking"
        return f"{said} epoch={lease.epoch}" if isinstance(lease, RequestLeaseV2) else said

    def _break(self, response: Response) -> str:
        if response.structure_size == LeaseBreakNotification.STRUCTURE_SIZE:
            body = response.body(LeaseBreakNotification)
            name = body.lease_key.rstrip(b"\0").decode()
            ack = bool(body.flags & ACK_REQUIRED)
            change = f"{letters(body.current_lease_state)}->{letters(body.new_lease_state)}"
            epoch = f" epoch={body.new_epoch}" if body.new_epoch else ""
            return f"break {name} {change} ack={'yes' if ack else 'no'}{epoch}"
        told = response.body(OplockBreakNotification)
        ids = told.persistent_id, told.volatile_id
        for name, opened in self.opens.items():
            frames = opened.frames
            if frames is not None and (frames.persistent_id, frames.volatile_id) == ids:
                before, opened.oplock = opened.oplock, told.oplock_level
                ack = before > create.OPLOCK_II  # so the client decides, [MS-SMB2] 3.2.5.19.1
                change = f"{OPLOCK_NAMES[before]}->{OPLOCK_NAMES[told.oplock_level]}"
                return f"break {name} {change} ack={'yes' if ack else 'no'}"
        raise AssertionError("a break of an open that the client does not know")


def lease_context(options: dict[str, str], flags: list[str]) -> list[tuple[bytes, bytes]]:
    if "lease" not in options:
        return []
    name, _, level = options["lease"].partition(":")
    if "v1" in flags:
        return [
            (REQUEST_LEASE, RequestLease(lease_key=key(name), lease_state=rights(level)).pack())
        ]
    lease = RequestLeaseV2(
        lease_key=key(name), lease_state=rights(level), epoch=int(options.get("epoch", "0"))
    )
    if "parent" in options:
        lease.lease_flags = LEASE_PARENT_KEY_SET
        lease.parent_lease_key = key(options["parent"])
    return [(REQUEST_LEASE, lease.pack())]


def durable_context(name: str, flags: list[str]) -> list[tuple[bytes, bytes]]:
    if "durable" not in flags:
        return []
    asked = DurableHandleRequestV2(timeout=300_000, flags=0, create_guid=key(name))
    return [(DURABLE_HANDLE_REQUEST_V2, asked.pack())]


def _size(frames: FrameFactory, size: str) -> Frame:
    data = file_info.FileEndOfFileInformation(end_of_file=int(size)).pack()
    return frames.set_info(FileInfo.END_OF_FILE, data)


def rename_frame(frames: FrameFactory, name: str) -> Frame:
    return frames.set_info(FileInfo.RENAME, named(file_info.FileRenameInformation, name))


def _link(frames: FrameFactory, name: str) -> Frame:
    return frames.set_info(FileInfo.LINK, named(file_info.FileLinkInformation, name))


def named(structure: Any, name: str) -> bytes:
    raw = utf16(name.replace("/", "\\"))
    head = structure(replace_if_exists=1, root_directory=0, file_name_length=len(raw))
    return bytes(head.pack()) + raw


def _delete(frames: FrameFactory) -> Frame:
    data = file_info.FileDispositionInformation(delete_pending=1).pack()
    return frames.set_info(FileInfo.DISPOSITION, data)


def _attributes(frames: FrameFactory) -> Frame:
    return frames.set_info(FileInfo.BASIC, bytes(32) + b"\x02\0\0\0" + bytes(4))


_FILE_FRAMES: Final[dict[str, Any]] = {
    "close": FrameFactory.close,
    "write": FrameFactory.write,
    "lock": FrameFactory.lock,
    "size": _size,
    "rename": rename_frame,
    "link": _link,
    "delete": _delete,
    "attributes": _attributes,
}
