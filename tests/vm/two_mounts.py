"""Two clients on one machine, each with a ClientGuid of its own; run in the guest.

    python3 two_mounts.py MOUNT MOUNT

Prints "ok CHECK", or "FAIL CHECK: why".  The mounts are of one share with ``cache=strict``.
"""

from __future__ import annotations

import fcntl
import os
import struct
import sys
import threading
import time
from collections.abc import Callable, Iterator

ROUNDS = 150
INCREMENTS = 60
HEARD_S = 10.0  # a break is heard of within this time, on a machine that does other things too
# fs/smb/client/cifs_ioctl.h: struct smb3_notify_info, packed: filter, watch_tree, data_len
CIFS_IOC_NOTIFY_INFO = 0xC009CF0B
NOTIFY_INFO = struct.Struct("<IBI")
FILE_AND_DIRECTORY_NAMES = 0x3
ROOM = 512  # more, and Python keeps its lock while it waits

A, B = sys.argv[1:]


def put(path: str, data: bytes, flags: int = os.O_WRONLY | os.O_CREAT) -> None:
    fd = os.open(path, flags, 0o644)
    try:
        os.pwrite(fd, data, 0)
    finally:
        os.close(fd)


def get(path: str) -> bytes:
    fd = os.open(path, os.O_RDONLY)
    try:
        return os.read(fd, 1 << 16)
    finally:
        os.close(fd)


def sides(count: int) -> Iterator[tuple[int, str, str]]:
    """Rounds, with the writer's mount and the reader's; either writes several times on end."""
    for number in range(1, count + 1):
        yield (number, A, B) if number // 3 % 2 else (number, B, A)


def seen(look: Callable[[], bytes], number: int, before: int) -> int:
    """Read until the newest value is there; nothing older than *before* may come meanwhile.

    A right to read that is taken away is not waited for (the writer goes on at once), so that a
    client may read from its cache until it has heard of it, but no longer.
    """
    until = time.monotonic() + HEARD_S
    while (value := int(look())) != number:
        assert before <= value < number, f"{value} after {before}, before {number}"
        assert time.monotonic() < until, f"still {value}, not {number}"
    return value


def written_and_closed() -> None:
    """Who opens a file after another has closed it sees what that one has written."""
    last = {A: 0, B: 0}
    put(f"{A}/closed", b"%08d" % 0)
    for number, writer, reader in sides(ROUNDS):
        put(f"{writer}/closed", b"%08d" % number)
        last[reader] = seen(lambda r=reader: get(f"{r}/closed"), number, last[reader])
        last[writer] = number


def written_and_kept_open() -> None:
    """Both have the file open all the time."""
    put(f"{A}/kept", b"%08d" % 0)
    fds = {mount: os.open(f"{mount}/kept", os.O_RDWR) for mount in (A, B)}
    last = {A: 0, B: 0}
    for number, writer, reader in sides(ROUNDS):
        os.pwrite(fds[writer], b"%08d" % number, 0)
        os.fsync(fds[writer])
        fd = fds[reader]
        last[reader] = seen(lambda fd=fd: os.pread(fd, 8, 0), number, last[reader])
        last[writer] = number
    for fd in fds.values():
        os.close(fd)


def counted_under_a_lock() -> None:
    """With a lock nothing is left to chance: no increment is lost."""
    put(f"{A}/counter", b"%08d" % 0)
    wrong: list[BaseException] = []

    def count(mount: str) -> None:
        try:
            for _ in range(INCREMENTS):
                fd = os.open(f"{mount}/counter", os.O_RDWR)
                fcntl.lockf(fd, fcntl.LOCK_EX)
                os.pwrite(fd, b"%08d" % (int(os.pread(fd, 8, 0)) + 1), 0)
                os.fsync(fd)  # an unlock alone leaves data in the kernel's cache
                fcntl.lockf(fd, fcntl.LOCK_UN)
                os.close(fd)
        except BaseException as error:
            wrong.append(error)

    threads = [threading.Thread(target=count, args=(mount,)) for mount in (A, B)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong, wrong
    assert int(get(f"{A}/counter")) == 2 * INCREMENTS, get(f"{A}/counter")


def renamed_over() -> None:
    """A file that is replaced by a rename is another one for both."""
    put(f"{A}/target", b"%08d" % 0)
    last = {A: 0, B: 0}
    for number, writer, reader in sides(ROUNDS // 3):
        put(f"{writer}/new", b"%08d" % number)
        os.rename(f"{writer}/new", f"{writer}/target")
        last[reader] = seen(lambda r=reader: get(f"{r}/target"), number, last[reader])
        last[writer] = number


def cut_and_lengthened() -> None:
    """The size is the newest one, too."""
    put(f"{A}/size", b"x" * 9000)
    for number, writer, reader in sides(ROUNDS // 3):
        length = number * 977 % 9001
        os.truncate(f"{writer}/size", length)
        until = time.monotonic() + HEARD_S
        while len(get(f"{reader}/size")) != length:
            assert time.monotonic() < until, (len(get(f"{reader}/size")), length)


def told_of_changes() -> None:
    """The kernel hands CHANGE_NOTIFY to whoever asks for it on a directory."""
    os.mkdir(f"{A}/watched")
    heard: list[bytes] = []

    def listen() -> None:
        fd = os.open(f"{A}/watched", os.O_RDONLY | os.O_DIRECTORY)
        buffer = bytearray(NOTIFY_INFO.pack(FILE_AND_DIRECTORY_NAMES, 0, ROOM) + bytes(ROOM))
        fcntl.ioctl(fd, CIFS_IOC_NOTIFY_INFO, buffer, True)
        os.close(fd)
        length = NOTIFY_INFO.unpack_from(buffer)[2]
        heard.append(bytes(buffer[NOTIFY_INFO.size :][:length]))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    made = []
    until = time.monotonic() + HEARD_S
    while thread.is_alive() and time.monotonic() < until:  # the first may be made before it listens
        made.append(f"file {len(made)}")
        put(f"{B}/watched/{made[-1]}", b"x")
        thread.join(0.1)
    assert heard, "nothing heard"
    _, action, length = struct.unpack_from("<III", heard[0])
    name = heard[0][12 : 12 + length].decode("utf-16-le")
    assert action == 1, f"action {action}"
    assert name in made, name


CHECKS = [
    written_and_closed,
    written_and_kept_open,
    counted_under_a_lock,
    renamed_over,
    cut_and_lengthened,
    told_of_changes,
]

if __name__ == "__main__":
    for check in CHECKS:
        begun = time.monotonic()
        try:
            check()
        except Exception as error:
            print(f"FAIL {check.__name__}: {type(error).__name__}: {error}")
        else:
            print(f"ok {check.__name__}")
        print(f"# {check.__name__}: {time.monotonic() - begun:.1f} s", flush=True)
