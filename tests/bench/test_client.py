"""bench/client.py: the tests' client against a server behind a socket."""

from __future__ import annotations

import contextlib
import gc

import pytest

from bench.client import connect, earn, framed
from ksmbd.wire.access import GENERIC_READ
from ksmbd.wire.negotiate import AES_256_GCM, AES_GMAC
from ksmbd.wire.read import ReadResponse
from tests.support.peers import Peer


def test_a_frame_has_its_length_before_it() -> None:
    assert framed(b"abc") == b"\0\0\0\3abc"


def test_a_server_that_refuses_leaves_no_socket_behind(live: Peer) -> None:
    """ResourceWarning, an error here, would tell."""
    with pytest.raises(AssertionError):
        connect(live, share="none")
    gc.collect()


@pytest.mark.parametrize("ciphers", [(), (AES_256_GCM,)])
def test_it_reads_a_file_signed_or_sealed(live: Peer, ciphers: tuple[int, ...]) -> None:
    (live.path() / "file").write_bytes(b"data")
    (live.path() / "file").chmod(0o777)
    client, link = connect(live, signing=AES_GMAC, ciphers=ciphers, signed=not ciphers)
    with contextlib.closing(link):
        earn(client, 100)
        assert client.credits >= 100
        file = client.open("file", desired_access=GENERIC_READ)
        response = client.call(file.frames.read(4))
        assert client.sealed == [bool(ciphers)]
        at = response.body(ReadResponse).data_offset
        assert response.raw[at : at + 4] == b"data"
