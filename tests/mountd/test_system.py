from __future__ import annotations

import grp
import pwd

import pytest

from mountd import system
from mountd.system import UnixSystem

ROOT = pwd.getpwuid(0)


def test_a_user_has_ids_and_groups() -> None:
    found = UnixSystem().user(ROOT.pw_name)
    assert found is not None
    assert (found.uid, found.gid) == (0, ROOT.pw_gid)
    assert ROOT.pw_gid in found.groups


def test_ids_and_names_agree() -> None:
    unix = UnixSystem()
    assert unix.user_name(0) == ROOT.pw_name
    assert unix.user_id(ROOT.pw_name) == 0
    group = grp.getgrgid(0).gr_name
    assert unix.group_name(0) == group
    assert unix.group_id(group) == 0
    assert unix.group_members(group) == frozenset(grp.getgrgid(0).gr_mem)


@pytest.mark.parametrize("name", ["no such user", "", "a\0b", "\ud800"])
def test_a_name_that_is_nobody_s_is_none(name: str) -> None:
    unix = UnixSystem()
    assert unix.user(name) is None
    assert unix.user_id(name) is None
    assert unix.group_id(name) is None
    assert unix.group_members(name) == frozenset()


def test_an_id_that_is_nobody_s_is_none() -> None:
    for number in (0xFFFFFFFE, 1 << 40):
        assert UnixSystem().user_name(number) is None
        assert UnixSystem().group_name(number) is None


def test_too_many_groups_are_cut_with_a_warning(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(system, "MAX_GROUPS", 3)
    monkeypatch.setattr("os.getgrouplist", lambda _name, gid: [gid, 1, 2, 3])
    found = UnixSystem().user(ROOT.pw_name)
    assert found is not None
    assert len(found.groups) == 3
    assert "is in 4 groups" in caplog.text
