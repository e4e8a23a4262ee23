"""vfs/tunnel.py: what is given back to a name, for how long, and to whom not."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

import pytest

from ksmbd.vfs import tunnel
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.recycle import RecycleBin, Rules
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.shortnames import short_name
from ksmbd.vfs.tunnel import KEPT_NS, Tunnel
from tests.vfs.conftest import MakeShare

LONG = "a long name.text"
BIRTH = 1_000_000_000_000_000_000


class Clock:
    now = 1_700_000_000_000_000_000

    def __call__(self) -> int:
        return self.now


class Tunnelling:
    """A share with 8.3 names, and the clock of its tunnel."""

    def __init__(self, root: ShareRoot, disk: Path) -> None:
        self.root = root
        self.disk = disk
        self.clock = Clock()
        self.tunnel = root.tunnel = Tunnel(self.clock)

    def opened(self, path: str) -> Handle:
        with self.root.resolve(path) as entry:
            handle = self.root.open(entry, read=False, write=False)
            self.tunnel.opened(handle, entry)
        return handle

    def made(self, path: str) -> None:
        (self.disk / path).touch()
        with closing(self.opened(path)) as handle:
            handle.set_times(birth=BIRTH)

    def removed(self, path: str) -> None:
        with closing(self.opened(path)) as handle:
            self.root.unlink(handle)

    def moved(self, path: str, to: str) -> None:
        with closing(self.opened(path)) as handle, self.root.resolve(to) as target:
            self.root.rename(handle, target, replace=False)

    def again(self, path: str) -> tuple[str, int | None]:
        with self.root.resolve(path) as entry:
            assert not entry.exists
            birth = self.tunnel.give_back(entry)
            assert entry.asked == entry.path
            return entry.path, birth


@pytest.fixture
def share(make_share: MakeShare, disk: Path) -> Tunnelling:
    (disk / "sub").mkdir()
    share = Tunnelling(make_share(short_names=True), disk)
    share.made(f"sub/{LONG}")
    return share


SHORT = short_name(LONG)


def test_a_share_without_short_names_has_no_tunnel(make_share: MakeShare) -> None:
    assert make_share().tunnel is None


def test_what_is_removed_by_its_short_name_gets_its_long_one_back(share: Tunnelling) -> None:
    share.removed(f"sub/{SHORT.lower()}")
    assert share.again(f"sub/{SHORT}") == (f"sub/{LONG}", BIRTH)


def test_it_is_given_back_once(share: Tunnelling) -> None:
    share.removed(f"sub/{SHORT}")
    share.again(f"sub/{SHORT}")
    assert share.again(f"sub/{SHORT}") == (f"sub/{SHORT}", None)


def test_it_is_found_by_the_name_that_was_removed_alone(share: Tunnelling) -> None:
    share.removed(f"sub/{SHORT}")
    assert share.again(f"sub/{LONG}") == (f"sub/{LONG}", None)
    share.made(f"sub/{LONG}")
    share.removed(f"sub/{LONG}")
    assert share.again(SHORT) == (SHORT, None)
    assert share.again(f"sub/{LONG.upper()}") == (f"sub/{LONG.upper()}", BIRTH)


def test_it_is_found_in_its_directory_alone(share: Tunnelling) -> None:
    share.removed(f"sub/{SHORT}")
    assert share.again(SHORT) == (SHORT, None)


@pytest.mark.parametrize(("age", "birth"), [(KEPT_NS, BIRTH), (KEPT_NS + 1, None)])
def test_it_is_kept_for_fifteen_seconds(share: Tunnelling, age: int, birth: int | None) -> None:
    share.removed(f"sub/{LONG}")
    share.clock.now += age
    assert share.again(f"sub/{LONG}") == (f"sub/{LONG}", birth)


def test_the_oldest_make_room(share: Tunnelling, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tunnel, "MOST", 2)
    for name in "abc":
        share.made(name)
        share.removed(name)
    assert [share.again(name)[1] for name in "abc"] == [None, BIRTH, BIRTH]


def test_who_moves_away_leaves_the_name_too(share: Tunnelling) -> None:
    share.moved(f"sub/{SHORT}", "sub/other")
    assert share.again(f"sub/{SHORT}") == (f"sub/{LONG}", BIRTH)
    share.removed("sub/other")
    assert share.again("sub/other") == ("sub/other", BIRTH)


def test_a_name_that_is_not_the_short_one_any_more_is_not_kept(share: Tunnelling) -> None:
    with closing(share.opened(f"sub/{SHORT}")) as handle:
        with share.root.resolve("sub/another long name") as target:
            share.root.rename(handle, target, replace=False)
        share.root.unlink(handle)
    assert share.again("sub/another long name")[1] == BIRTH


def test_what_the_recycle_bin_takes_has_lost_its_name(share: Tunnelling) -> None:
    with closing(share.opened(f"sub/{SHORT}")) as handle:
        assert RecycleBin(Rules(".bin")).keep(handle) == f".bin/{LONG}"
    assert share.again(f"sub/{SHORT}") == (f"sub/{LONG}", BIRTH)


def test_directories_are_not_tunnelled(share: Tunnelling) -> None:
    (share.disk / "directory").mkdir()
    share.moved("directory", "elsewhere")
    share.removed("elsewhere")
    assert share.again("directory")[1] is None
    assert share.again("elsewhere")[1] is None


def test_with_a_directory_goes_what_was_in_it(share: Tunnelling) -> None:
    share.removed(f"sub/{SHORT}")
    share.made("beside")
    share.removed("beside")
    share.removed("sub")
    assert len(share.tunnel._gone) == 1


def test_a_creation_time_that_cannot_be_given_is_no_failure(share: Tunnelling) -> None:
    with closing(share.opened(f"sub/{LONG}")) as handle:
        Tunnel.bear(handle, 7 * 10**9)
        assert handle.stat().birth == 7 * 10**9
    Tunnel.bear(handle, 8 * 10**9)  # it is closed
