"""Samba's rpcclient against the named pipes: what management tools ask first."""

from __future__ import annotations

import re

import pytest

from tests.interop.clients import Answer, account, program, run
from tests.support.peers import Peer

pytestmark = pytest.mark.interop


def rpc(peer: Peer, command: str, *options: str) -> Answer:
    """Run one rpcclient command over SMB."""
    return run(
        [program("rpcclient"), peer.host, "-p", str(peer.port), *account(), *options, "-c", command]
    )


def ok(peer: Peer, command: str, *options: str) -> str:
    answer = rpc(peer, command, *options)
    assert answer.status == 0, answer.text
    assert "NT_STATUS_" not in answer, answer.text
    assert "WERR_" not in answer, answer.text
    return answer.text


def names(text: str) -> set[str]:
    return set(re.findall(r"^netname: (\S+)", text, re.M))


@pytest.mark.parametrize(
    "options",
    [
        pytest.param([], id="3.1.1"),
        pytest.param(["-m", "SMB2_02"], id="2.0.2"),
        pytest.param(["--option=client signing=required"], id="signed"),
        pytest.param(["--client-protection=encrypt"], id="sealed"),
    ],
)
def test_the_server_tells_what_it_is(live: Peer, options: list[str]) -> None:
    told = ok(live, "srvinfo", *options)
    assert re.search(r"platform_id\s*:\s*500", told)
    assert re.search(r"server type\s*:\s*0x", told)


def test_the_workstation_service_answers(live: Peer) -> None:
    ok(live, "wkssvc_wkstagetinfo 100")  # it prints nothing of what it gets


@pytest.mark.parametrize("level", [1, 2])
def test_shares_are_enumerated(live: Peer, level: int) -> None:
    told = ok(live, f"netshareenum {level}")
    assert {"share", "share2", "readonly"} <= names(told)


def test_every_share_is_enumerated_on_request(live: Peer) -> None:
    assert {"share", "share2", "readonly", "IPC$"} <= names(ok(live, "netshareenumall 1"))


@pytest.mark.parametrize("level", [1, 2])
def test_a_share_tells_its_comment(live: Peer, level: int) -> None:
    told = ok(live, f"netsharegetinfo share2 {level}")
    assert names(told) == {"share2"}
    assert re.search(r"remark:\s*the second", told)


def test_a_share_that_does_not_exist_has_no_information(live: Peer) -> None:
    answer = rpc(live, "netsharegetinfo nonesuch 1")
    # the reference Samba finds the name invalid
    assert "WERR_NERR_NETNAMENOTFOUND" in answer or "WERR_INVALID_NAME" in answer


def test_names_become_sids_and_sids_names(live: Peer) -> None:
    told = ok(live, "lookupnames root")
    found = re.search(r"root (S-1-[\d-]+) \(User: 1\)", told)
    assert found, told
    assert re.search(rf"{found[1]} .*\\root \(1\)", ok(live, f"lookupsids {found[1]}"))


def test_the_policy_handle_tells_the_domain(live: Peer) -> None:
    assert "domain" in ok(live, "lsaquery").lower()


def test_the_account_database_holds_the_machine_and_the_builtin_domain(live: Peer) -> None:
    assert re.findall(r"^name:\[(\w+)\]", ok(live, "enumdomains"), re.M)[1:] == ["Builtin"]


def test_a_wrong_password_is_refused_before_any_pipe(live: Peer) -> None:
    command = [program("rpcclient"), live.host, "-p", str(live.port), *account("tester", "wrong")]
    answer = run([*command, "-c", "srvinfo"])
    assert answer.status != 0
    assert "NT_STATUS_LOGON_FAILURE" in answer
