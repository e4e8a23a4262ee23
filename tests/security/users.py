"""Two system users and what is whose on the share; and the server's own checks, switched off."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Final

import pytest

from ksmbd.state import rights
from ksmbd.state.open import Open
from ksmbd.vfs.credentials import Credentials
from ksmbd.wire.access import FILE_ALL_ACCESS, MAXIMUM_ALLOWED
from tests.support.engine import Engine
from tests.support.mountd import DISK, User, share

ALICE: Final = Credentials(12345, 12346, (12346, 12350))  # the kernel sorts the groups
BOB: Final = Credentials(22345, 22346, (12350, 22346))
CLUB: Final = 12350  # a supplementary group of both
NAMES: Final = {"alice": ALICE, "bob": BOB}

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")


class Users:
    """The folder: ``alice`` and ``bob`` belong to them, ``both`` to the club, ``root`` to root."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.chmod(0o755)
        for name, who in NAMES.items():
            self.directory(name, who, 0o755)
        self.directory("both", Credentials(0, CLUB), 0o2770)

    @property
    def accounts(self) -> list[User]:
        return [
            User(name, uid=who.uid, gid=who.gid, groups=who.groups) for name, who in NAMES.items()
        ]

    def engine(self, flags: int = DISK) -> Engine:
        shares = [share("data", str(self.folder), flags)]
        return Engine(self.folder, users=self.accounts, shares=shares, leases=True)

    def directory(self, name: str, who: Credentials, mode: int) -> Path:
        path = self.folder / name
        path.mkdir()
        return self._give(path, who, mode)

    def file(self, name: str, who: Credentials, mode: int, data: bytes = b"secret") -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return self._give(path, who, mode)

    @staticmethod
    def _give(path: Path, who: Credentials, mode: int) -> Path:
        if os.geteuid() == 0:
            os.chown(path, who.uid, who.gid)
        path.chmod(mode)
        return path


def switch_checks_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the server grant everything that is asked for: what is refused now, the kernel refuses.

    In the test alone; there is no such switch in the server.
    """

    def all_of(_tree: object, _entry: object, desired: int, *_: object) -> int:
        return FILE_ALL_ACCESS if desired & MAXIMUM_ALLOWED else desired

    monkeypatch.setattr(rights, "granted", all_of)
    monkeypatch.setattr(rights, "maximal", lambda *_: FILE_ALL_ACCESS)
    monkeypatch.setattr(rights, "require_in_parent", lambda *_: None)
    monkeypatch.setattr(Open, "require", lambda *_: None)
