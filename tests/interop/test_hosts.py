"""A server that is not for every host, and real clients from both sides of the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.interop.clients import SmbClient
from tests.support.live import LiveServer, LiveShare

pytestmark = pytest.mark.interop

IPV6 = ("-I", "::1")


def test_hosts_the_server_is_not_for_cannot_log_on(real_folder: Path) -> None:
    """A share that is for everybody changes nothing; one that is for fewer does."""
    folder = real_folder / "hosts"
    folder.mkdir()
    shares = [
        LiveShare("share", folder / "share", {"hosts allow": "ALL"}),
        LiveShare("closed", folder / "closed", {"hosts deny": "LOCAL"}),
    ]
    globals_ = {"hosts deny": "127.0.0.0/8", "map to guest": "bad user"}
    options = ["--bind", "::1"]
    with LiveServer(folder, shares=shares, globals_=globals_, options=options) as server:
        for user in ("tester", "stranger", ""):
            refused = SmbClient(server, user=user).run("ls")
            assert "session setup failed: NT_STATUS_ACCESS_DENIED" in refused, refused.text
        SmbClient(server, IPV6).ok("ls")
        closed = SmbClient(server, IPV6, share="closed").run("ls")
        assert "tree connect failed: NT_STATUS_ACCESS_DENIED" in closed, closed.text
        assert "127.0.0.1: log-on refused: hosts allow, hosts deny" in server.log_text()
