from __future__ import annotations

import errno
import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from mountd import users
from mountd.conf import ConfError
from tests.support.held import held

# as ksmbd-tools writes it: "testuser" with password "1234", "bo" with the empty one
KSMBD_TOOLS = "bo:MdbP4NFq6TG3PFnX4MCJwA==\ntestuser:fOIfF8Cu5/uc66Uy0FRq1g==\n"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "ksmbdpwd.db"


def test_a_file_of_ksmbd_tools_is_read_and_written_back_alike(db: Path) -> None:
    db.write_text(KSMBD_TOOLS)
    accounts = users.load(str(db))
    assert accounts["testuser"] == users.hash_password("1234")
    assert accounts["bo"].hex() == "31d6cfe0d16ae931b73c59d7e0c089c0"
    users.save(str(db), accounts)
    assert db.read_text() == KSMBD_TOOLS


def test_no_file_means_no_accounts(db: Path) -> None:
    assert users.load(str(db)) == {}


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ("alice", "expected name:hash"),
        ("alice:!!", "not base64"),
        ("alice:AAAA", "has 3 bytes, not 16"),
        (":MdbP4NFq6TG3PFnX4MCJwA==", "1 to 47 bytes"),
        ("x" * 48 + ":MdbP4NFq6TG3PFnX4MCJwA==", "1 to 47 bytes"),
        ("bo:MdbP4NFq6TG3PFnX4MCJwA==", "'bo' is there twice"),
    ],
)
def test_an_error_has_its_line(db: Path, line: str, why: str) -> None:
    db.write_text(f"{KSMBD_TOOLS}\n{line}\n")
    with pytest.raises(ConfError) as refused:
        users.load(str(db))
    assert refused.value.line == 4
    assert why in str(refused.value)


def test_a_name_that_is_no_utf8_has_its_line(db: Path) -> None:
    db.write_bytes(b"\xff:MdbP4NFq6TG3PFnX4MCJwA==\n")
    with pytest.raises(ConfError, match=":1: expected UTF-8"):
        users.load(str(db))


def test_the_file_is_sorted_and_not_for_everybody(db: Path) -> None:
    with users.editing(str(db)) as accounts:
        accounts["zoe"] = accounts["ärger"] = accounts["adam"] = bytes(16)
    assert [line.partition(":")[0] for line in db.read_text().splitlines()] == [
        "adam",
        "zoe",
        "ärger",
    ]
    assert stat.S_IMODE(db.stat().st_mode) == 0o640


def test_a_rewrite_keeps_mode_and_owner(db: Path) -> None:
    db.write_text(KSMBD_TOOLS)
    db.chmod(0o600)
    if os.geteuid() == 0:
        os.chown(db, 4711, 4712)
    with users.editing(str(db)) as accounts:
        del accounts["bo"]
    after = db.stat()
    assert stat.S_IMODE(after.st_mode) == 0o600
    if os.geteuid() == 0:
        assert (after.st_uid, after.st_gid) == (4711, 4712)


def test_an_edit_that_fails_changes_nothing_and_leaves_nothing(db: Path) -> None:
    db.write_text(KSMBD_TOOLS)

    def spoil() -> None:
        with users.editing(str(db)) as accounts:
            accounts.clear()
            raise RuntimeError

    with pytest.raises(RuntimeError):
        spoil()
    assert db.read_text() == KSMBD_TOOLS
    assert {path.name for path in db.parent.iterdir()} == {"ksmbdpwd.db", "ksmbdpwd.db.lock"}


def test_edits_at_the_same_time_all_count(db: Path) -> None:
    def add(number: int) -> None:
        with users.editing(str(db)) as accounts:
            accounts[f"user{number}"] = bytes(16)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(add, range(24)))
    assert len(users.load(str(db))) == 24


def test_a_lock_that_cannot_be_had_costs_no_descriptor(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "fchmod", fails)
    with pytest.raises(OSError, match="Input/output"), users.editing(str(db)):
        raise AssertionError("nobody holds the lock")
    assert held(db.parent) == 0


def test_a_link_to_the_file_stays_a_link(db: Path, tmp_path: Path) -> None:
    db.write_text(KSMBD_TOOLS)
    link = tmp_path / "link"
    link.symlink_to(db)
    users.save(str(link), {})
    assert link.is_symlink()
    assert db.read_text() == ""


def test_a_name_may_differ_in_case_if_only_one_does() -> None:
    accounts = {"Alice": b"", "bob": b"", "BOB": b""}
    assert users.lookup(accounts, "alice") == "Alice"
    assert users.lookup(accounts, "bob") == "bob"
    assert users.lookup(accounts, "Bob") is None
    assert users.lookup(accounts, "eve") is None


@pytest.mark.parametrize("name", ["a", "Ä" * 23, "tom smith", "dom\\user", "a@b"])
def test_a_good_name_has_no_problem(name: str) -> None:
    assert users.name_problem(name) == ""


@pytest.mark.parametrize("name", ["", "Ä" * 24, "a:b", "a\nb", " a", "a ", "\ud800"])
def test_a_bad_name_has_one(name: str) -> None:
    assert users.name_problem(name)


def test_a_password_is_short_enough_text() -> None:
    users.hash_password("ä" * 64)
    for password in ("ä" * 65, "\ud800"):
        with pytest.raises(ValueError, match="password"):
            users.hash_password(password)
