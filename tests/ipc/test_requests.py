from __future__ import annotations

import pytest

from ksmbd.ipc import requests
from ksmbd.wire import ipc


@pytest.mark.parametrize(
    ("status", "ok", "guest", "after_proof", "unheard"),
    [
        (ipc.USER_OK, True, False, False, False),
        (ipc.USER_OK | ipc.USER_GUEST, True, True, False, False),
        (ipc.USER_OK | ipc.USER_BAD_UID, True, False, True, False),
        (ipc.USER_OK | ipc.USER_DELAY_SESSION, True, False, False, False),
        (ipc.USER_BAD_USER | ipc.USER_DELAY_SESSION, False, False, False, True),
        (ipc.USER_BAD_UID, False, False, False, False),
        (ipc.USER_BAD_USER, False, False, False, False),
    ],
)
def test_a_login_status_reads_as_facts(
    status: int, ok: bool, guest: bool, after_proof: bool, unheard: bool
) -> None:
    reply = requests.login_reply(ipc.LoginResponse(handle=1, status=status, delay_ms=1500))
    assert (reply.ok, reply.guest, reply.guest_after_proof, reply.unheard) == (
        ok,
        guest,
        after_proof,
        unheard,
    )
    assert reply.delay_s == 1.5


def test_a_share_without_flags_is_none() -> None:
    assert requests.share_config(ipc.ShareConfigResponse(handle=1)) is None


def test_ids_that_are_not_forced_are_none() -> None:
    response = ipc.ShareConfigResponse(handle=1, flags=ipc.SHARE_PIPE, force_gid=0)
    config = requests.share_config(response)
    assert config is not None
    assert (config.force_uid, config.force_gid) == (None, 0)
    assert config.is_pipe
    assert not config.read_only


def test_a_tree_status_that_there_is_not_is_an_error() -> None:
    with pytest.raises(ValueError, match="77"):
        requests.tree_connect_reply(ipc.TreeConnectResponse(handle=1, status=77))


def test_a_kerberos_answer_has_its_login() -> None:
    response = ipc.SpnegoAuthenResponse(
        handle=1,
        status=ipc.USER_OK,
        uid=5,
        gid=6,
        account="a",
        expiry=99,
        session_key=b"k",
        spnego_blob=b"t",
    )
    reply = requests.spnego_reply(response)
    assert reply.login.ok
    assert (reply.login.uid, reply.login.account) == (5, "a")
    assert (reply.session_key, reply.token, reply.expiry) == (b"k", b"t", 99)
