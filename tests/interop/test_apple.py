"""Apple's extensions on a running server, as Samba's torture of its module fruit expects them."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import torture
from tests.interop.clients import program
from tests.support.live import PASSWORD, LiveServer, LiveShare, open_share

pytestmark = pytest.mark.interop

PLAIN = "plain"  # the first share's files, to who is no Mac


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    program("smbtorture")
    folder = real_folder / "apple"
    shares = [
        open_share(folder, {"read only": "no", **options}, suite)
        for suite, options in torture.APPLE.items()
    ]
    shares.append(LiveShare(PLAIN, shares[0].path, {"read only": "no"}))
    with LiveServer(folder, shares=shares) as running:
        yield running


@pytest.mark.parametrize("suite", torture.APPLE)
def test_smbtorture(server: LiveServer, suite: str) -> None:
    beside = f"--option=torture:share2={PLAIN}"
    local = f"--option=torture:localdir={server.path(suite)}"
    target = torture.Target(
        server.host, server.port, suite, "tester", PASSWORD, options=(beside, local)
    )
    found = torture.run_suite(target, suite)
    wrong = torture.judge(found, torture.read_gaps(torture.GAPS.read_text()))
    assert wrong == [], "\n".join(wrong)
