"""state/opens.py and state/open.py: FileIds, limits, and ends while somebody is at work."""

from __future__ import annotations

import gc
import os
import threading

import pytest

from ksmbd.state import opens as module
from ksmbd.state.open import Open
from ksmbd.state.opens import NO_ID, Opens
from ksmbd.vfs import credentials
from ksmbd.vfs.syscalls import descriptors_in_use
from ksmbd.wire.access import FILE_READ_DATA, FILE_WRITE_DATA
from ksmbd.wire.status import NtStatus, NtStatusError
from tests.support.client import Client, ready


def made(client: Client, name: str = "file") -> Open:
    """The server's side of a new open."""
    file = client.open(name)
    found = client.engine.server.opens.find(file.ids[1])
    assert found is not None
    return found


def descriptor_is_open(fd: int) -> bool:
    try:
        os.fstat(fd)
    except OSError:
        return False
    return True


# -- ids and limits ----------------------------------------------------------------------


def test_an_open_is_found_by_its_id(client: Client) -> None:
    opens = client.engine.server.opens
    open = made(client)
    assert opens.find(open.volatile_id) is open
    assert opens.find(open.volatile_id + 1) is None
    assert opens.all() == [open]
    assert len(opens) == 1


def test_an_id_that_is_taken_is_not_given_again(client: Client) -> None:
    """Chance gives the same bytes again, then those that mean something else."""
    opens = client.engine.server.opens
    first = made(client)
    same = first.volatile_id.to_bytes(8, "little") * 2
    rolls = iter([same, bytes(16) + b"\xff" * 16, b"\x07" * 16])
    opens._random = lambda length: next(rolls)
    opens._drawn = []
    second = made(client)
    assert second.volatile_id == int.from_bytes(b"\x07" * 8, "little")
    assert second.persistent_id not in (0, NO_ID)


def test_chance_is_asked_for_many_ids_at_a_time(client: Client) -> None:
    opens = client.engine.server.opens
    asked: list[int] = []

    def random(length: int) -> bytes:
        asked.append(length)
        return os.urandom(length)

    opens._random = random
    opens._drawn = []
    found = {made(client).volatile_id for _ in range(65)}
    assert asked == [1024, 1024]
    assert len(found) == 65


def test_the_limit_counts_every_clients_opens(client: Client) -> None:
    opens = client.engine.server.opens
    opens.limit = 3
    other = ready(client.engine)
    made(client)
    made(other)
    third = made(client)
    for each in (client, other):
        assert each.status(each.frames.create("x")) is NtStatus.TOO_MANY_OPENED_FILES
    opens.close(third)
    made(other)


def test_files_leave_descriptors_for_all_else(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    opens = client.engine.server.opens
    held = [made(client, f"file{number}") for number in range(2)]
    opens.descriptors = descriptors_in_use() + 1
    made(client, "the last one")
    for name in ("another", "file0", "file0"):
        assert client.status(client.frames.create(name)) is NtStatus.TOO_MANY_OPENED_FILES
    assert sorted(os.listdir(client.engine.folder)) == ["file0", "file1", "the last one"]
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "LimitNOFILE" in caplog.text
    for open in held:
        opens.close(open)
    made(client, "another")


def test_once_descriptors_are_free_again_they_are_counted_no_more(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    opens = client.engine.server.opens
    opens.descriptors = descriptors_in_use() + 2
    made(client)  # shows that there are few left
    opens.descriptors = 1 << 20
    made(client)
    monkeypatch.setattr(module, "descriptors_in_use", lambda: pytest.fail("an open is to be quick"))
    made(client)


def test_an_open_into_a_tree_that_is_gone_is_refused(client: Client) -> None:
    opens = client.engine.server.opens
    open = made(client)
    open.tree.connected = False
    late = Open(connection=open.connection, tree=open.tree, granted_access=0)
    with pytest.raises(NtStatusError) as refused:
        opens.add(late)
    assert refused.value.status is NtStatus.NETWORK_NAME_DELETED
    assert opens.find(late.volatile_id) is None


# -- ends --------------------------------------------------------------------------------


def test_a_closed_open_is_gone_everywhere(client: Client) -> None:
    opens = client.engine.server.opens
    open = made(client)
    assert open.handle is not None
    fd = open.handle.fd
    with client.engine.acting():
        opens.close(open)
        opens.close(open)
    assert opens.find(open.volatile_id) is None
    assert open.session.opens == {}
    assert not descriptor_is_open(fd)


def let_go(opens: Opens, open: Open) -> None:
    """As a command that is done with it."""
    if open.let_go(0):
        opens.finish(open)


def test_the_descriptor_stays_while_a_command_is_at_work(client: Client) -> None:
    opens = client.engine.server.opens
    open = made(client)
    assert open.handle is not None
    fd = open.handle.fd
    assert open.hold(0)
    assert open.hold(0)
    with client.engine.acting():
        opens.close(open)
        assert not open.hold(0)
        assert descriptor_is_open(fd)
        let_go(opens, open)
        assert descriptor_is_open(fd)
        let_go(opens, open)
    assert not descriptor_is_open(fd)


def test_whoever_waits_on_it_is_told_once(client: Client) -> None:
    opens = client.engine.server.opens
    open = made(client)
    told: list[NtStatus] = []
    open.waiters += [told.append, told.append]
    with client.engine.acting():
        opens.close(open, NtStatus.NOTIFY_CLEANUP)
        opens.close(open)
    assert told == [NtStatus.NOTIFY_CLEANUP] * 2


def test_a_bug_in_one_does_not_keep_the_others_open(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    opens = client.engine.server.opens
    first, second = made(client), made(client)

    def fail(status: NtStatus) -> None:
        raise ZeroDivisionError

    first.waiters.append(fail)
    with client.engine.acting():
        opens.close_all([first, second])
    assert second.closed
    assert "a bug in the server" in caplog.text
    caplog.clear()


def test_many_threads_and_one_close(client: Client) -> None:
    """However they come: the descriptor goes once, after the last of them."""
    opens = client.engine.server.opens
    for _ in range(30):
        open = made(client)
        assert open.handle is not None
        fd = open.handle.fd
        barrier = threading.Barrier(4)
        seen: list[bool] = []

        def use(
            open: Open = open, barrier: threading.Barrier = barrier, seen: list[bool] = seen
        ) -> None:
            barrier.wait()
            while open.hold(0):
                seen.append(descriptor_is_open(open.file.fd))
                let_go(opens, open)

        def close(open: Open = open, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            opens.close(open)

        threads = [threading.Thread(target=t) for t in (use, use, use, close)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert all(seen)
        assert open.users == 0
        assert not descriptor_is_open(fd)
    credentials.become(None)
    assert len(opens) == 0
    assert not client.engine.server.inodes._inodes


def test_many_threads_close_it_once(client: Client) -> None:
    opens = client.engine.server.opens
    for _ in range(30):
        open = made(client)
        ended: list[NtStatus] = []
        open.waiters.append(ended.append)
        barrier = threading.Barrier(4)

        def close(open: Open = open, barrier: threading.Barrier = barrier) -> None:
            barrier.wait()
            opens.close(open)

        threads = [threading.Thread(target=close) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert len(ended) == 1
    credentials.become(None)


# -- the open itself ---------------------------------------------------------------------


def test_any_of_the_rights_will_do(client: Client) -> None:
    client.engine.make_file("file")
    file = client.open("file", desired_access=FILE_READ_DATA)
    open = client.engine.server.opens.find(file.ids[1])
    assert open is not None
    open.require(0)
    open.require(FILE_READ_DATA)
    open.require(FILE_READ_DATA | FILE_WRITE_DATA)
    with pytest.raises(NtStatusError) as refused:
        open.require(FILE_WRITE_DATA)
    assert refused.value.status is NtStatus.ACCESS_DENIED


def test_a_pipe_is_no_file(client: Client) -> None:
    client.connect("IPC$")
    open = made(client, "srvsvc")
    assert (open.path, open.is_directory) == ("", False)
    with pytest.raises(NtStatusError) as refused:
        _ = open.file
    assert refused.value.status is NtStatus.INVALID_DEVICE_REQUEST


def test_the_descriptor_of_a_listing_goes_with_its_open(client: Client) -> None:
    """At once, and not when the collector of garbage comes by."""
    client.engine.make_directory("dir")
    file = client.open("dir")
    gc.disable()
    try:
        before = len(os.listdir("/proc/self/fd"))
        client.call(file.frames.query_directory())
        open = client.engine.server.opens.find(file.ids[1])
        assert open is not None
        client.call(file.frames.close())
        assert len(os.listdir("/proc/self/fd")) == before - 1
    finally:
        gc.enable()
    assert open.closed
