"""state/offload.py: when a file's time stamps are a promise.

What tokens do: tests/commands/test_fsctl_odx.py.
"""

from __future__ import annotations

import os
import time
from pathlib import Path

from ksmbd.state.offload import version_of
from ksmbd.vfs.root import ShareRoot


def test_a_version_is_told_once_the_file_has_rested(tmp_path: Path) -> None:
    now = [time.time_ns()]
    root = ShareRoot(str(tmp_path), clock=lambda: now[0])
    (tmp_path / "file").write_bytes(b"data")
    with root.resolve("file") as entry:
        handle = root.open(entry, read=True, write=False)
    stamp = os.stat(tmp_path / "file").st_ctime_ns
    now[0] = stamp + 10_000_000_000
    version = version_of(handle)
    assert version == version_of(handle)
    assert version is not None
    assert version[2] == 4
    with (tmp_path / "file").open("ab") as file:
        file.write(b"more")
    now[0] += 10_000_000_000
    assert version_of(handle) != version
    handle.close()
    root.close()
