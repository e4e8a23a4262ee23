from __future__ import annotations

from pathlib import Path

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.ipc import NO_ID
from mountd import shares
from mountd.conf import load
from mountd.params import ShareParams
from mountd.shares import Share, Shares, config_response, forced, on_list
from mountd.system import Identity
from tests.mountd.fakes import FakeSystem

DEFAULT_FLAGS = (
    ipc.SHARE_AVAILABLE
    | ipc.SHARE_BROWSEABLE
    | ipc.SHARE_READONLY
    | ipc.SHARE_STORE_DOS_ATTRS
    | ipc.SHARE_OPLOCKS
    | ipc.SHARE_HIDE_DOT_FILES
    | ipc.SHARE_CROSSMNT
    | ipc.SHARE_STREAMS
    | ipc.SHARE_POSIX_LOCKING
    | ipc.SHARE_DURABLE_HANDLES
    | ipc.SHARE_CHANGE_NOTIFY
)


def built(folder: Path, text: str) -> Shares:
    path = folder / "x.conf"
    path.write_text(text)
    return shares.build(load(str(path)))


def flags_of(folder: Path, line: str) -> int:
    share = built(folder, f"[a]\npath=/a\n{line}\n").get("a")
    assert share is not None
    return share.flags


def test_the_flags_of_a_plain_share(tmp_path: Path) -> None:
    assert flags_of(tmp_path, "") == DEFAULT_FLAGS


@pytest.mark.parametrize(
    ("line", "added", "removed"),
    [
        ("available = no", 0, ipc.SHARE_AVAILABLE),
        ("browseable = no", 0, ipc.SHARE_BROWSEABLE),
        ("read only = no", ipc.SHARE_WRITEABLE, ipc.SHARE_READONLY),
        ("guest ok = yes", ipc.SHARE_GUEST_OK, 0),
        ("guest only = yes", ipc.SHARE_GUEST_ONLY, 0),
        ("store dos attributes = no", 0, ipc.SHARE_STORE_DOS_ATTRS),
        ("oplocks = no", 0, ipc.SHARE_OPLOCKS),
        ("kernel oplocks = yes", ipc.SHARE_KERNEL_OPLOCKS, 0),
        ("posix locking = no", 0, ipc.SHARE_POSIX_LOCKING),
        ("strict locking = yes", ipc.SHARE_STRICT_LOCKING, 0),
        ("strict locking = auto", 0, 0),
        ("change notify = no", 0, ipc.SHARE_CHANGE_NOTIFY),
        ("hide dot files = no", 0, ipc.SHARE_HIDE_DOT_FILES),
        ("inherit owner = yes", ipc.SHARE_INHERIT_OWNER, 0),
        ("vfs objects = streams_xattr", ipc.SHARE_STREAMS, 0),
        ("vfs objects = acl_xattr", ipc.SHARE_ACL_XATTR, ipc.SHARE_STREAMS),
        ("vfs objects =", 0, ipc.SHARE_STREAMS),
        ("streams_xattr:samba format = yes", ipc.SHARE_STREAMS_SAMBA, 0),
        ("follow symlinks = yes", ipc.SHARE_FOLLOW_SYMLINKS, 0),
        ("durable handles = no", 0, ipc.SHARE_DURABLE_HANDLES),
        ("crossmnt = no", 0, ipc.SHARE_CROSSMNT),
        ("continuous availability = yes", ipc.SHARE_CONTINUOUS_AVAILABILITY, 0),
        ("acl_xattr:ignore system acls = yes", ipc.SHARE_ACL_ALONE, 0),
        ("hide unreadable = yes", ipc.SHARE_HIDE_UNREADABLE, 0),
        ("mangled names = yes", ipc.SHARE_SHORT_NAMES, 0),
        ("time machine = yes", ipc.SHARE_TIME_MACHINE | ipc.SHARE_AAPL, 0),
        ("vfs objects = fruit streams_xattr", ipc.SHARE_AAPL, 0),
        ("wide links = yes", ipc.SHARE_WIDE_LINKS, 0),
        ("smb encrypt = required", ipc.SHARE_ENCRYPT_DATA, 0),
        ("smb encrypt = desired", ipc.SHARE_ENCRYPT_DESIRED, 0),
        ("server smb encrypt = off", 0, 0),
        ("smb3 encryption = auto", 0, 0),
        ("case sensitive = yes", ipc.SHARE_CASE_SENSITIVE, 0),
    ],
)
def test_a_parameter_has_its_flag(tmp_path: Path, line: str, added: int, removed: int) -> None:
    assert flags_of(tmp_path, line) == (DEFAULT_FLAGS | added) & ~removed


def test_names_have_no_case_and_ipc_is_always_there(tmp_path: Path) -> None:
    found = built(tmp_path, "[global]\nserver string = S\n[Größe]\npath=/a\n")
    assert found.get("gRÖßE") is not None
    assert found.get("GRÖSSE") is found.get("größe")  # case folding, not lower case
    pipe = found.get("Ipc$")
    assert pipe is not None
    assert pipe.is_pipe
    assert pipe.flags & (ipc.SHARE_PIPE | ipc.SHARE_GUEST_OK) == ipc.SHARE_PIPE | ipc.SHARE_GUEST_OK
    assert (pipe.path, pipe.params.comment) == ("", "IPC Service (S)")


@pytest.mark.parametrize(("level", "guest_ok"), [(0, True), (1, False), (2, False)])
def test_restrict_anonymous_closes_ipc_to_guests(
    tmp_path: Path, level: int, guest_ok: bool
) -> None:
    pipe = built(tmp_path, f"[global]\nrestrict anonymous = {level}\nguest ok = yes\n").get("ipc$")
    assert pipe is not None
    assert pipe.params.guest_ok is guest_ok


def test_ipc_can_have_parameters(tmp_path: Path) -> None:
    pipe = built(tmp_path, "[IPC$]\nhosts allow = 10.\npath = /tmp\n").get("ipc$")
    assert pipe is not None
    assert pipe.params.hosts_allow
    assert (pipe.path, pipe.name) == ("", "IPC$")


@pytest.mark.parametrize(
    ("root", "path"), [("", "/a"), ("/", "/a"), ("/srv", "/srv/a"), ("/srv/", "/srv/a")]
)
def test_the_root_directory_stands_before_each_path(tmp_path: Path, root: str, path: str) -> None:
    share = built(tmp_path, f"[global]\nroot directory = {root}\n[a]\npath=/a\n").get("a")
    assert share is not None
    assert share.path == path


def test_a_change_is_marked_until_ksmbd_asks(tmp_path: Path) -> None:
    old = built(tmp_path, "[a]\npath=/a\n[b]\npath=/b\n[c]\npath=/c\n")
    new = built(tmp_path, "[a]\npath=/a\n[b]\npath=/b2\n[d]\npath=/d\n")
    changed, removed = new.changes(old)
    assert (set(changed), removed) == ({"b", "d"}, ("c",))
    assert {share.name for share in new if share.updated} == {"b"}
    again = built(tmp_path, "[a]\npath=/a\n[b]\npath=/b2\n[d]\npath=/d\n")
    assert again.changes(new) == ((), ())
    assert {share.name for share in again if share.updated} == {"b"}


@pytest.mark.parametrize(
    ("name", "items", "answer"),
    [
        ("alice", ("alice",), True),
        ("alice", ("ALICE",), True),
        ("alice", ("bob",), False),
        ("alice", ("@staff",), True),
        ("alice", ("+staff",), True),
        ("alice", ("@cooks",), False),
        ("bob", ("@cooks",), True),
        ("eve", ("@cooks",), True),
        ("eve", ("@staff",), False),
        ("alice", ("@none",), False),
        ("alice", ("staff",), False),
        ("alice", (), False),
    ],
)
def test_who_is_on_a_list(name: str, items: tuple[str, ...], answer: bool) -> None:
    system = FakeSystem()
    assert on_list(name, items, system.user(name), system) is answer


def test_the_first_group_of_a_user_counts() -> None:
    system = FakeSystem()
    system.groups["alices"] = (1000, frozenset())
    assert on_list("alice", ("@alices",), system.user("alice"), system)


def test_forced_ids() -> None:
    system = FakeSystem()
    identity, problem = forced(ShareParams(force_user="alice"), system)
    assert (identity.uid, identity.gid, identity.groups, problem) == (1000, 1000, (1000, 50), "")
    identity, problem = forced(ShareParams(force_user="alice", force_group="cooks"), system)
    assert (identity.uid, identity.gid) == (1000, 60)
    identity, problem = forced(ShareParams(force_group="cooks"), system)
    assert (identity.uid, identity.gid, identity.groups) == (NO_ID, 60, ())
    assert "no user 'x'" in forced(ShareParams(force_user="x"), system)[1]
    assert "no group 'x'" in forced(ShareParams(force_group="x"), system)[1]


def test_ksmbd_is_told_every_parameter() -> None:
    params = ShareParams(
        comment="c",
        create_mask=0o640,
        directory_mask=0o750,
        force_create_mode=0o4,
        force_directory_mode=0o5,
        guest_account="g",
        max_connections=3,
        time_machine_max_size=9,
        veto_files=("*.tmp",),
        hide_files=("*.bak",),
        vfs_objects=("acl_xattr", "shadow_copy2"),
        volume="V",
        shadow_snapdir="/s",
        shadow_basedir="/b",
        shadow_format="%s",
        shadow_sort="asc",
        shadow_localtime=True,
    )
    share = Share("A", params, "/a")
    identity, _ = forced(ShareParams(force_user="alice"), FakeSystem())
    assert config_response(5, share, identity) == ipc.ShareConfigResponse(
        handle=5,
        flags=share.flags,
        create_mask=0o640,
        directory_mask=0o750,
        force_create_mode=0o4,
        force_directory_mode=0o5,
        force_uid=1000,
        force_gid=1000,
        max_connections=3,
        time_machine_max_size=9,
        name="A",
        comment="c",
        path="/a",
        volume="V",
        guest_account="g",
        veto=("*.tmp",),
        hide=("*.bak",),
        vfs_objects=("acl_xattr", "shadow_copy2"),
        force_groups=(1000, 50),
        snapshot_dir="/s",
        snapshot_base="/b",
        snapshot_format="%s",
        snapshot_flags=ipc.SNAPSHOT_LOCAL_TIME | ipc.SNAPSHOT_ASCENDING,
    )


def test_no_previous_versions_are_told_of_without_shadow_copy2() -> None:
    told = config_response(5, Share("A", ShareParams(), "/a"), Identity(NO_ID, NO_ID))
    assert told.snapshot_dir == ""


def test_ksmbd_is_told_all_of_the_recycle_bin() -> None:
    params = ShareParams(
        vfs_objects=("recycle",),
        recycle_repository="r",
        recycle_keeptree=True,
        recycle_versions=True,
        recycle_touch=True,
        recycle_touch_mtime=True,
        recycle_minsize=10,
        recycle_maxsize=11,
        recycle_exclude=("e",),
        recycle_exclude_dir=("d",),
        recycle_noversions=("n",),
        recycle_directory_mode=12,
        recycle_subdir_mode=13,
    )
    told = config_response(5, Share("A", params, "/a"), Identity(NO_ID, NO_ID))
    assert told.recycle_repository == "r"
    assert told.recycle_flags == 0xF
    assert (told.recycle_minsize, told.recycle_maxsize) == (10, 11)
    assert (told.recycle_directory_mode, told.recycle_subdir_mode) == (12, 13)
    patterns = told.recycle_exclude, told.recycle_exclude_dir, told.recycle_noversions
    assert patterns == (("e",), ("d",), ("n",))


@pytest.mark.parametrize(
    ("name", "flag"),
    [
        ("recycle_keeptree", ipc.RECYCLE_KEEP_TREE),
        ("recycle_versions", ipc.RECYCLE_VERSIONS),
        ("recycle_touch", ipc.RECYCLE_TOUCH),
        ("recycle_touch_mtime", ipc.RECYCLE_TOUCH_MTIME),
    ],
)
def test_each_word_about_the_recycle_bin_has_its_flag(name: str, flag: int) -> None:
    params = ShareParams(**{name: True})  # type: ignore[arg-type]
    told = config_response(5, Share("A", params, "/a"), Identity(NO_ID, NO_ID))
    assert told.recycle_flags == flag


def test_files_are_deleted_for_good_without_recycle() -> None:
    told = config_response(5, Share("A", ShareParams(), "/a"), Identity(NO_ID, NO_ID))
    assert told.recycle_repository == ""


def test_directories_in_the_recycle_bin_have_its_mode() -> None:
    params = ShareParams(recycle_directory_mode=0o770)
    told = config_response(5, Share("A", params, "/a"), Identity(NO_ID, NO_ID))
    assert told.recycle_subdir_mode == 0o770
