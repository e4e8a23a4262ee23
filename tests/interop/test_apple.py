"""Apple's streams on a running server, as Samba's torture of its module fruit expects them.

The cases that are not here begin by agreeing on copies of whole files and Unix modes in access
lists, which we do not offer, or convert AppleDouble files.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import torture
from tests.interop.clients import program
from tests.support.live import PASSWORD, LiveServer, open_share

pytestmark = pytest.mark.interop

CASES = (
    "read metadata",
    "write metadata",
    "resource fork IO",
    "stream names",
    "File without AFP_AfpInfo",
    "create delete-on-close AFP_AfpInfo",
    "setinfo delete-on-close AFP_AfpInfo",
    "setinfo eof AFP_AfpInfo",
    "delete AFP_AfpInfo by writing all 0",
    "null afpinfo",
    "delete",
    "creating rsrc with read-only access",
    "copy-chunk streams",
    "writing_afpinfo",
    "delete_trigger_convert_sharing_violation",
)


@pytest.fixture(scope="module")
def target(real_folder: Path) -> Iterator[torture.Target]:
    program("smbtorture")
    folder = real_folder / "apple"
    options = {"read only": "no", "vfs objects": "fruit streams_xattr"}
    with LiveServer(folder, shares=[open_share(folder, options)]) as running:
        yield torture.Target(running.host, running.port, "share", "tester", PASSWORD)


@pytest.mark.parametrize("case", CASES)
def test_smbtorture(target: torture.Target, case: str) -> None:
    result = torture.run_case(target, f"vfs.fruit.{case}")
    assert result.passed, result
