"""A system of users that exists in the tests alone, and a State over files in a folder."""

from __future__ import annotations

from pathlib import Path

from mountd import users
from mountd.state import Paths, State
from mountd.system import Identity

HASH = bytes(range(16))


class FakeSystem:
    """System users by name; groups list their members."""

    def __init__(self) -> None:
        self.users = {
            "root": Identity(0, 0, (0,)),
            "alice": Identity(1000, 1000, (1000, 50), "Alice A."),
            "bob": Identity(1001, 1001, (1001,)),
            "nobody": Identity(65534, 65534, (65534,)),
        }
        self.homes = {"root": "/root", "alice": "/home/alice", "nobody": "/"}
        self.groups = {"staff": (50, frozenset[str]()), "cooks": (60, frozenset({"bob", "eve"}))}

    def user(self, name: str) -> Identity | None:
        return self.users.get(name)

    def home(self, name: str) -> str:
        return self.homes.get(name, "")

    def user_id(self, name: str) -> int | None:
        found = self.users.get(name)
        return None if found is None else found.uid

    def user_name(self, uid: int) -> str | None:
        return next((name for name, user in self.users.items() if user.uid == uid), None)

    def group_name(self, gid: int) -> str | None:
        return next((name for name, group in self.groups.items() if group[0] == gid), None)

    def group_id(self, name: str) -> int | None:
        found = self.groups.get(name)
        return None if found is None else found[0]

    def group_members(self, name: str) -> frozenset[str]:
        found = self.groups.get(name)
        return frozenset() if found is None else found[1]


class Clock:
    def __init__(self) -> None:
        self.now = 1_000_000.0

    def __call__(self) -> float:
        return self.now


def make_state(
    folder: Path,
    conf: str = "",
    accounts: tuple[str, ...] = ("alice", "bob", "eve"),
    clock: Clock | None = None,
) -> State:
    """Files with *conf* and *accounts* in *folder*, read."""
    (folder / "ksmbd.conf").write_text(conf)
    users.save(str(folder / "pwd.db"), dict.fromkeys(accounts, HASH))
    ticking = clock or Clock()
    return State(
        Paths(str(folder / "ksmbd.conf"), str(folder / "pwd.db")),
        system=FakeSystem(),
        clock=ticking,
        monotonic=ticking,
        random=bytes,
    )
