"""Acting as the session's user, thread by thread."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ksmbd.vfs import credentials as module
from ksmbd.vfs.credentials import Credentials, become, current, holding, privileged
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.root import ShareRoot
from ksmbd.vfs.syscalls import thread_capabilities
from ksmbd.wire.access import ATTR_HIDDEN
from tests.vfs.conftest import MakeShare

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root can act as others")

ALICE = Credentials(12345, 12346, (12347, 12348))
BOB = Credentials(22345, 22346)


@pytest.fixture(autouse=True)
def _back_to_ourselves() -> Iterator[None]:
    yield
    become(None)


def kernel_view() -> Credentials:
    """What /proc says of this very thread."""
    status = Path("/proc/thread-self/status").read_text()
    fields = dict(line.split(":", 1) for line in status.splitlines())
    return Credentials(
        int(fields["Uid"].split()[3]),
        int(fields["Gid"].split()[3]),
        tuple(int(gid) for gid in fields["Groups"].split()),
    )


def in_thread(function: Callable[[], object]) -> object:
    results: list[object] = []
    thread = threading.Thread(target=lambda: results.append(function()))
    thread.start()
    thread.join()
    return results[0]


@as_root
def test_the_kernel_sees_the_user_until_told_else() -> None:
    own = kernel_view()
    become(ALICE)
    assert (kernel_view(), current()) == (ALICE, ALICE)
    become(BOB)
    assert kernel_view() == BOB
    become(None)
    assert (kernel_view(), current()) == (own, None)


@as_root
def test_a_second_call_for_the_same_user_makes_no_system_call(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    become(ALICE)
    monkeypatch.setattr(module, "_switch", lambda _to: pytest.fail("switched"))
    become(Credentials(*ALICE))


@as_root
def test_other_threads_keep_their_identity() -> None:
    own = kernel_view()
    ready, done = threading.Event(), threading.Event()
    seen: list[Credentials] = []

    def other() -> None:
        become(BOB)
        ready.set()
        done.wait(30)
        seen.append(kernel_view())

    thread = threading.Thread(target=other)
    thread.start()
    assert ready.wait(30)
    assert kernel_view() == own
    become(ALICE)
    done.set()
    thread.join()
    assert seen == [BOB]


@as_root
def test_a_thread_started_by_a_user_does_not_stay_that_user() -> None:
    own = kernel_view()
    become(ALICE)

    def back() -> Credentials:
        assert kernel_view() == ALICE  # inherited from the thread that started it
        become(None)
        return kernel_view()

    assert in_thread(back) == own


@as_root
@pytest.mark.parametrize(
    "wrong",
    [
        Credentials(0xFFFFFFFF, 1),
        Credentials(1, 0xFFFFFFFF),
        Credentials(-1, 1),
        Credentials(1 << 32, 1),
        Credentials(1, 1, (1 << 32,)),
        Credentials(1, 1, (-1,)),
        Credentials(1, 1, tuple(range(70_000))),
    ],
)
def test_a_refused_switch_raises_and_leaves_no_mixture(wrong: Credentials) -> None:
    own = kernel_view()
    become(ALICE)
    with pytest.raises(OSError, match=r"no ids|no group ids|Invalid argument"):
        become(wrong)
    assert (kernel_view(), current()) == (own, None)


@as_root
@pytest.mark.parametrize("call", ["set_thread_fsuid", "set_thread_fsgid"])
def test_a_silent_refusal_of_the_kernel_raises(monkeypatch: pytest.MonkeyPatch, call: str) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(module, call, lambda _id: False)
        with pytest.raises(PermissionError):
            become(ALICE)
    # Even going back was refused: who the thread is now is not known, and the next call switches
    become(None)
    assert kernel_view().uid == 0
    become(ALICE)
    assert kernel_view() == ALICE


@as_root
def test_privileged_is_for_the_block() -> None:
    become(ALICE)
    with privileged():
        assert kernel_view().uid == 0
    assert kernel_view() == ALICE
    with pytest.raises(KeyError), privileged():
        raise KeyError
    assert kernel_view() == ALICE


def test_without_root_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    before = kernel_view()
    become(ALICE)
    assert (kernel_view(), current()) == (before, None)


@as_root
class TestTheKernelEnforces:
    """With fsuid off 0 the capabilities that override permissions are gone."""

    def test_files_of_others_stay_closed(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        for name, mode in (("private", 0o600), ("readable", 0o644), ("open", 0o666)):
            (disk / name).write_text(name)
            (disk / name).chmod(mode)
        disk.chmod(0o755)
        become(ALICE)
        with pytest.raises(PermissionError):
            opened(share, "private", write=False)
        with pytest.raises(PermissionError):
            opened(share, "readable")
        opened(share, "readable", write=False)
        assert opened(share, "open").write(b"x", 0) == 1
        with pytest.raises(PermissionError):
            opened(share, "new")
        with pytest.raises(PermissionError):
            share.unlink(opened(share, "open", read=False, write=False))

    def test_new_files_belong_to_the_user(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        disk.chmod(0o777)
        become(ALICE)
        found = opened(share, "mine").stat()
        assert (found.uid, found.gid) == (ALICE.uid, ALICE.gid)

    def test_groups_count(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        disk.chmod(0o755)
        (disk / "f").touch()
        os.chown(disk / "f", 0, ALICE.groups[1])
        (disk / "f").chmod(0o060)
        become(ALICE)
        opened(share, "f")
        become(BOB)
        with pytest.raises(PermissionError):
            opened(share, "f")

    def test_times_and_attributes_are_everybodys_who_may_write(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        make_file(disk, 0o666)
        become(ALICE)
        handle = opened(share, "f", write=False)
        handle.set_times(write=1_000_000_000)
        handle.set_attributes(ATTR_HIDDEN)
        assert handle.stat().write == 1_000_000_000
        assert handle.stat().attributes == ATTR_HIDDEN
        assert current() == ALICE

    def test_times_and_attributes_are_nobody_elses(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        make_file(disk, 0o644)
        become(ALICE)
        handle = opened(share, "f", write=False)
        before = handle.stat()
        with pytest.raises(PermissionError):
            handle.set_times(write=1_000_000_000)
        with pytest.raises(PermissionError):
            handle.set_attributes(ATTR_HIDDEN)
        assert (handle.stat().write, handle.stat().attributes) == (before.write, before.attributes)

    def test_a_stored_descriptor_may_say_more_about_times_than_the_mode(
        self, make_share: MakeShare, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        make_file(disk, 0o644)
        share = make_share(stored_descriptors=True)
        become(ALICE)
        handle = opened(share, "f", write=False)
        handle.set_times(write=1_000_000_000)
        assert handle.stat().write == 1_000_000_000

    def test_no_capability_is_left_but_to_become_somebody_else(self) -> None:
        own = thread_capabilities()
        become(ALICE)
        assert thread_capabilities() == own._replace(effective=own.effective & (1 << 6 | 1 << 7))
        become(BOB)
        assert thread_capabilities().effective == own.effective & (1 << 6 | 1 << 7)
        become(None)
        assert thread_capabilities() == own

    def test_a_capability_is_held_for_the_block_and_nothing_else_changes(self) -> None:
        become(ALICE)
        few = thread_capabilities()
        with holding(21):
            assert thread_capabilities().effective == few.effective | 1 << 21
            assert kernel_view() == ALICE
        assert thread_capabilities() == few
        with pytest.raises(KeyError), holding(21):
            raise KeyError
        assert thread_capabilities() == few
        become(None)
        everything = thread_capabilities()
        with holding(21):
            assert thread_capabilities() == everything

    def test_security_attributes_are_out_of_a_users_reach(
        self, share: ShareRoot, disk: Path, opened: Callable[..., Handle]
    ) -> None:
        make_file(disk, 0o666)
        become(ALICE)
        handle = opened(share, "f")
        with pytest.raises(PermissionError):
            os.setxattr(handle.fd, "security.NTACL", b"x")


def make_file(disk: Path, mode: int) -> None:
    """A file "f" of root's in a directory anybody may enter."""
    disk.chmod(0o755)
    (disk / "f").touch()
    (disk / "f").chmod(mode)
