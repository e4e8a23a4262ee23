"""`kernel oplocks` with the Linux kernel's own client: what it keeps is there when we look."""

from __future__ import annotations

import io
import time
import zipfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, NamedTuple

import pytest

from tests.support.live import LiveServer, LiveShare
from tests.vm.machine import Ended, run_client

pytestmark = [pytest.mark.vm, pytest.mark.timeout(900)]

SCRIPT: Final = Path(__file__).with_name("local-opens.sh")
QUOTA: Final = Path(__file__).with_name("quota.py")
ROOT: Final = Path(__file__).parents[2]
GUEST_S: Final = 300.0
OPTIONS: Final = {"read only": "no", "kernel oplocks": "yes"}
WRITTEN: Final = b"written in the guest"


class Seen(NamedTuple):
    """What this machine saw of a file that the guest had written and kept open."""

    size: int  # before anybody opened it
    content: bytes


class Run(NamedTuple):
    """The guest's one run, and what was done here meanwhile."""

    ended: Ended
    seen: dict[str, Seen]


def sources() -> dict[str, bytes]:
    """What the guest runs besides: the server's own calls for quotas."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as packed:
        for folder in ("ksmbd", "ksmbd/vfs", "ksmbd/wire"):
            for path in sorted((ROOT / folder).glob("*.py")):
                packed.write(path, path.relative_to(ROOT))
    return {"source.zip": archive.getvalue(), "quota.py": QUOTA.read_bytes()}


@pytest.fixture(scope="module")
def run(real_folder: Path) -> Iterator[Run]:
    folder = real_folder / "local-opens"
    folder.mkdir()
    share = LiveShare("share", folder / "share", OPTIONS)
    with LiveServer(folder, shares=[share]) as server, ThreadPoolExecutor(1) as pool:
        running = pool.submit(run_client, SCRIPT, GUEST_S, server.port, sources())
        seen = {}
        for how, mode in (("read", "rb"), ("write", "r+b")):
            path = share.path / how
            while not path.with_suffix(".kept").exists() and not running.done():
                time.sleep(0.1)
            if running.done():
                break
            size = path.stat().st_size
            with path.open(mode) as file:  # it waits here until the guest has written back
                content = file.read()
                if how == "write":
                    file.write(b", and here")
            seen[how] = Seen(size, content)
            path.with_suffix(".seen").touch()
        yield Run(running.result(), seen)


def test_the_guest_ran_to_the_end(run: Run) -> None:
    assert run.ended.status == 0, f"{run.ended.output}\n{run.ended.console[-3000:]}"
    assert run.ended.output.endswith("done\n")


@pytest.mark.parametrize("how", ["read", "write"])
def test_what_the_client_kept_is_there_once_somebody_opens_the_file(run: Run, how: str) -> None:
    assert run.seen[how] == Seen(0, WRITTEN), run.ended.output


def test_the_client_sees_what_was_written_here(run: Run) -> None:
    assert "write: written in the guest, and here" in run.ended.output, run.ended.output
    assert "read: written in the guest\n" in run.ended.output


def test_quotas_are_the_kernel_s(run: Run) -> None:
    """A user of ext4 with quotas: seen, limited, refused, and told how much is free."""
    assert "quotas: all as they should be" in run.ended.output, run.ended.output
    assert "refused: Disk quota exceeded" in run.ended.output
