"""mountd/administration.py: shares added, changed and deleted over RPC, in the files."""

from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire.ipc import Message, StartingUp, StateChanged
from ksmbd.wire.security import DACL_PRESENT, SELF_RELATIVE, SecurityDescriptor
from mountd import share_security, users
from mountd.administration import Administration
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import ShareChange
from mountd.state import State
from tests.mountd.fakes import make_state

NULL = SecurityDescriptor(SELF_RELATIVE | DACL_PRESENT).pack()
CONF = """; by hand
[global]
include = more.conf
[data]
path = /srv/data ; here
comment = Data
[homes]
read only = no
"""


class Bench:
    """A state over files in a folder, and what ksmbd was told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "more.conf").write_text("[included]\npath = /srv/more\n")
        (folder / "new").mkdir()
        self.state: State = make_state(folder, CONF)
        self.told: list[Message] = []
        self.administration = Administration(
            self.state, lambda *messages: self.told.extend(messages)
        )

    @property
    def conf(self) -> str:
        return (self.folder / "ksmbd.conf").read_text()

    @property
    def security(self) -> dict[str, bytes]:
        return share_security.load(self.state.paths.share_security)

    def add(self, name: str = "new", path: str = "", **change: object) -> None:
        path = path or "C:" + str(self.folder / "new").replace("/", "\\")
        self.administration.add(name, path, ShareChange(**change))  # type: ignore[arg-type]

    def change(self, name: str, **change: object) -> None:
        self.administration.change(name, ShareChange(**change))  # type: ignore[arg-type]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def test_a_new_share_is_served_at_once(bench: Bench) -> None:
    bench.add("Neu", comment="New; here", max_users=7, lists_by_access=True, security=NULL)
    share = bench.state.files.shares.get("neu")
    assert share is not None
    assert (share.name, share.path, share.params.comment) == (
        "Neu", str(bench.folder / "new"), "New; here",
    )  # fmt: skip
    assert (share.params.read_only, share.params.max_connections) == (False, 7)
    assert share.params.hide_unreadable
    assert share.security == NULL
    assert bench.conf.startswith("; by hand\n")
    settings, notice = bench.told
    assert isinstance(settings, StartingUp)
    assert notice == StateChanged(generation=2, changed=("Neu",), removed=())


def test_a_share_that_is_changed_is_another_for_the_next_tree_connect(bench: Bench) -> None:
    bench.change("DATA", comment="other", security=NULL)
    share = bench.state.files.shares.get("data")
    assert share is not None
    assert (share.params.comment, share.security, share.updated) == ("other", NULL, True)
    assert bench.told[1] == StateChanged(generation=2, changed=("data",), removed=())
    assert "path = /srv/data ; here\n" in bench.conf


def test_the_descriptor_alone_leaves_the_configuration_as_it_is(bench: Bench) -> None:
    bench.change("data", security=NULL)
    assert bench.conf == CONF
    assert bench.security == {"data": NULL}


def test_a_comment_may_become_empty(bench: Bench) -> None:
    bench.change("data", comment="")
    share = bench.state.files.shares.get("data")
    assert share is not None
    assert share.params.comment == ""


def test_a_share_goes_with_its_descriptor(bench: Bench) -> None:
    bench.change("data", security=NULL)
    bench.administration.delete("Data")
    assert bench.state.files.shares.get("data") is None
    assert bench.security == {}
    assert bench.told[-1] == StateChanged(generation=3, changed=(), removed=("data",))


def test_nobody_hears_of_the_end_of_a_share_whose_descriptor_is_still_there(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    bench.change("data", security=NULL)
    seen: list[dict[str, bytes]] = []
    administration = Administration(bench.state, lambda *_: seen.append(bench.security))
    administration.delete("data")
    assert seen == [{}]  # who makes another of its name from here on keeps what is set then


def test_a_share_that_is_not_deleted_after_all_keeps_its_descriptor(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    bench.change("data", security=NULL)

    def fails(*_: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr("mountd.share_edit._write", fails)
    with pytest.raises(RpcError, match="Permission denied"):
        bench.administration.delete("data")
    assert bench.security == {"data": NULL}


def test_a_share_of_an_old_name_does_not_inherit_a_descriptor(bench: Bench) -> None:
    with share_security.editing(bench.state.paths.share_security) as descriptors:
        descriptors["new"] = NULL
    bench.add("new")
    assert bench.security == {}


@pytest.mark.parametrize(
    ("name", "path", "code"),
    [
        ("data", "", Win32.DUPLICATE_SHARE),
        ("INCLUDED", "", Win32.DUPLICATE_SHARE),
        ("IPC$", "", Win32.INVALID_NAME),
        ("global", "", Win32.INVALID_NAME),
        ("homes", "", Win32.INVALID_NAME),
        ("a]b", "", Win32.INVALID_NAME),
        ("a\nb", "", Win32.INVALID_NAME),
        ("x" * 81, "", Win32.INVALID_NAME),
        ("new", "C:\\no such directory", Win32.UNKNOWN_DEV_DIR),
        ("new", "C:\\dev\\null", Win32.UNKNOWN_DEV_DIR),
        ("new", "relative", Win32.INVALID_NAME),
        ("new", "D:\\srv", Win32.INVALID_NAME),
        ("new", "C:\\srv\\..\\etc", Win32.INVALID_NAME),
        ("new", "/srv/%U", Win32.INVALID_NAME),
    ],
)
def test_what_cannot_be_shared(bench: Bench, name: str, path: str, code: Win32) -> None:
    with pytest.raises(RpcError) as refused:
        bench.add(name, path)
    assert refused.value.code == code
    assert bench.conf == CONF
    assert bench.told == []


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("none", Win32.NET_NAME_NOT_FOUND),
        ("included", Win32.ACCESS_DENIED),
        ("homes", Win32.ACCESS_DENIED),
        ("IPC$", Win32.ACCESS_DENIED),
    ],
)
def test_what_cannot_be_changed(bench: Bench, name: str, code: Win32) -> None:
    with pytest.raises(RpcError) as refused:
        bench.change(name, comment="x")
    assert refused.value.code == code
    with pytest.raises(RpcError) as refused:
        bench.administration.delete(name)
    assert refused.value.code == code
    assert bench.conf == CONF


def test_a_comment_is_one_line(bench: Bench) -> None:
    with pytest.raises(RpcError) as refused:
        bench.change("data", comment="a\n[b]")
    assert refused.value.code == Win32.INVALID_PARAMETER
    assert bench.conf == CONF


def test_nobody_waits_for_who_edits_by_hand(bench: Bench) -> None:
    with users.locked(bench.state.paths.conf), pytest.raises(RpcError) as refused:
        bench.change("data", comment="x")
    assert refused.value.code == Win32.BUSY


def test_a_configuration_that_cannot_be_read_is_not_made_worse(bench: Bench) -> None:
    broken = CONF + "no parameter\n"
    (bench.folder / "ksmbd.conf").write_text(broken)
    with pytest.raises(RpcError) as refused:
        bench.change("data", comment="x")
    assert refused.value.code == Win32.BAD_CONFIGURATION
    assert bench.conf == broken


def test_files_that_may_not_be_written_are_a_refusal(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_args: object) -> None:
        raise PermissionError(13, "Permission denied", "ksmbd.conf")

    monkeypatch.setattr(users, "replace_file", refuse)
    with pytest.raises(RpcError) as refused:
        bench.change("data", comment="x")
    assert refused.value.code == Win32.ACCESS_DENIED
    assert bench.told == []


def test_a_path_below_the_root_directory_is_written_without_it(tmp_path: Path) -> None:
    bench = Bench(tmp_path)
    (tmp_path / "ksmbd.conf").write_text(f"[global]\nroot directory = {tmp_path}\n")
    bench.state.reload()
    bench.add("new")
    assert "path = /new\n" in bench.conf
    share = bench.state.files.shares.get("new")
    assert share is not None
    assert share.path == str(tmp_path / "new")
    with pytest.raises(RpcError) as refused:
        bench.add("etc", "C:\\etc")
    assert refused.value.code == Win32.UNKNOWN_DEV_DIR
