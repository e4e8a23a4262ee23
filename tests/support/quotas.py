"""A kernel that keeps quotas of users, in place of quotactl_fd(2)."""

from __future__ import annotations

import ctypes
import errno
import os
from typing import Final

import pytest

from ksmbd.vfs import quota
from ksmbd.vfs.quota import BLOCK, FLAGS, GET, GET_NEXT, GET_STATE, OFF, ON, SET, STATE

MIB: Final = 1 << 20


class Kernel:
    """What every file system of it knows; a test changes it."""

    def __init__(self) -> None:
        self.flags = 3  # counted and enforced
        self.users: dict[int, tuple[int, int, int]] = {}  # uid -> hard, soft (units), used (bytes)
        self.asked: list[int] = []  # commands
        self.refused = 0  # a command that the server may not give

    def quotactl(self, _fd: int, command: int, uid: int, room: ctypes.Array[ctypes.c_char]) -> None:
        self.asked.append(command)
        if not self.flags:
            raise OSError(errno.ESRCH, os.strerror(errno.ESRCH))
        if command == self.refused:
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        if command == GET_STATE:
            STATE.pack_into(room, 0, 1, self.flags)
        elif command == SET:
            hard, soft, *_, valid, _id = BLOCK.unpack_from(room)
            assert valid == 1
            self.users[uid] = hard, soft, self.users.get(uid, (0, 0, 0))[2]
        elif command in (ON, OFF):
            (wanted,) = FLAGS.unpack_from(room)
            self.flags = self.flags | wanted if command == ON else self.flags & ~wanted
        else:
            self._get(command, uid, room)

    def _get(self, command: int, uid: int, room: ctypes.Array[ctypes.c_char]) -> None:
        assert command in (GET, GET_NEXT)
        if command == GET_NEXT:
            later = [each for each in sorted(self.users) if each >= uid]
            if not later:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            uid = later[0]
        hard, soft, used = self.users.get(uid, (0, 0, 0))
        BLOCK.pack_into(room, 0, hard, soft, used, 0, 0, 0, 0, 0, 0, uid)


@pytest.fixture
def kernel(monkeypatch: pytest.MonkeyPatch) -> Kernel:
    made = Kernel()
    monkeypatch.setattr(quota, "quotactl", made.quotactl)
    return made
