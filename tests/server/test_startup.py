"""mountd's start-up message in the server's own terms."""

from __future__ import annotations

from typing import Any

from ksmbd.server.startup import server_guid, settings_from
from ksmbd.state.settings import Settings, SigningPolicy
from ksmbd.wire import ipc
from ksmbd.wire.ipc import StartingUp
from ksmbd.wire.policy import MapToGuest, Signing


def message(**changes: Any) -> StartingUp:
    values: dict[str, Any] = dict.fromkeys(StartingUp._integers, 0)
    for name, kind in StartingUp._variable:
        values[name] = () if kind == "texts" else ""
    return StartingUp(**values | changes)


def test_what_mountd_leaves_out_keeps_its_default() -> None:
    settings, default = settings_from(message()), Settings()
    assert settings.netbios_name == default.netbios_name
    assert (settings.min_dialect, settings.max_dialect) == (0x0202, 0x0311)
    assert settings.max_read == default.max_read
    assert settings.max_credits == default.max_credits
    assert settings.signing_algorithms == default.signing_algorithms


def test_what_mountd_says_is_taken_over() -> None:
    settings = settings_from(
        message(
            netbios_name="BOX",
            workgroup="HOME",
            server_string="a box",
            aapl_model="Xserve",
            signing=Signing.MANDATORY,
            min_protocol="SMB2_10",
            max_protocol="SMB3_02",
            signing_algorithms=("HMAC-SHA256", "AES-128-CMAC", "ROT13"),
            max_read=1,
            max_write=2,
            max_trans=3,
            max_credits=4,
            file_max=5,
            max_sessions=6,
            max_user_sessions=7,
            max_connections=7,
            max_ip_connections=8,
            deadtime=9,
            map_to_guest=MapToGuest.BAD_PASSWORD,
            sub_auth_1=11,
            sub_auth_2=12,
            sub_auth_3=13,
        )
    )
    assert settings.aapl_model == "Xserve"
    assert (settings.netbios_name, settings.workgroup, settings.server_string) == (
        "BOX",
        "HOME",
        "a box",
    )
    assert settings.signing is SigningPolicy.MANDATORY
    assert (settings.min_dialect, settings.max_dialect) == (0x0210, 0x0302)
    assert settings.signing_algorithms == (0, 1)
    assert (settings.max_read, settings.max_write, settings.max_trans) == (1, 2, 3)
    assert (settings.max_credits, settings.max_open_files, settings.max_sessions) == (4, 5, 6)
    assert settings.max_user_sessions == 7
    assert (settings.max_connections, settings.max_connections_per_address) == (7, 8)
    assert settings.deadtime_s == 540
    assert settings.wrong_password_is_guest
    assert settings.sub_authorities == (11, 12, 13)


def test_no_limit_of_connections_is_no_limit() -> None:
    settings = settings_from(message(max_connections=0, max_ip_connections=0))
    assert (settings.max_connections, settings.max_connections_per_address) == (0, 0)


def test_every_signing_policy_of_mountd_has_a_meaning() -> None:
    policies = {signing: settings_from(message(signing=signing)).signing for signing in Signing}
    assert policies == {
        Signing.DISABLED: SigningPolicy.DISABLED,
        Signing.ENABLED: SigningPolicy.AUTO,
        Signing.AUTO: SigningPolicy.AUTO,
        Signing.MANDATORY: SigningPolicy.MANDATORY,
    }


def test_the_server_guid_belongs_to_the_machines_sub_authorities() -> None:
    first = server_guid(message(sub_auth_1=1, sub_auth_2=2, sub_auth_3=3))
    assert len(first) == 16
    assert first == server_guid(message(sub_auth_1=1, sub_auth_2=2, sub_auth_3=3, tcp_port=9))
    assert first != server_guid(message(sub_auth_1=1, sub_auth_2=2, sub_auth_3=4))


def test_the_message_of_this_test_is_a_real_one() -> None:
    assert ipc.parse(message(netbios_name="X").pack()) == message(netbios_name="X")
