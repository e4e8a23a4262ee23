from __future__ import annotations

import os
from pathlib import Path

import pytest

from ksmbd.wire import ipc
from ksmbd.wire.auditing import Operation
from ksmbd.wire.policy import MapToGuest, Signing
from mountd import krb5, state, users
from mountd.conf import ConfError
from mountd.system import Identity
from tests.mountd.fakes import HASH, FakeSystem, make_state

EVERYTHING = """[global]
netbios name = N
workgroup = W
server string = S
tcp port = 4450
deadtime = 5
ipc timeout = 20
max connections = 11
max ip connections = 12
max active sessions = 13
max user sessions = 14
max open files = 14
restrict anonymous = 2
map to guest = bad uid
server signing = mandatory
smb3 encryption = disabled
server multi channel support = yes
kerberos support = yes
durable handles = no
interfaces = eth0 10.0.0.0/8
bind interfaces only = yes
server min protocol = SMB3_00
share:fake_fscaps = 65
smb2 max read = 1MB
default unix user = bob
metrics address = 127.0.0.1:9445
metrics file = /a.prom
audit log = /a.log
audit log success = disconnect
slow request log = 500
"""
STARTING_UP = ipc.StartingUp(
    flags=ipc.LEASES
    | ipc.ENCRYPTION_OFF
    | ipc.MULTICHANNEL
    | ipc.KERBEROS
    | ipc.POSIX_EXTENSIONS
    | ipc.BIND_INTERFACES_ONLY
    | ipc.COUNT_REQUESTS,
    signing=Signing.MANDATORY,
    tcp_port=4450,
    ipc_timeout=20,
    deadtime=5,
    file_max=14,
    max_read=1 << 20,
    max_write=8 << 20,
    max_trans=8 << 20,
    max_credits=8192,
    max_io_size=8 << 20,
    max_connections=11,
    max_ip_connections=12,
    max_sessions=13,
    max_user_sessions=14,
    fake_fscaps=65,
    sub_auth_1=1,
    sub_auth_2=2,
    sub_auth_3=3,
    map_to_guest=MapToGuest.BAD_UID,
    restrict_anonymous=2,
    min_protocol="SMB3_00",
    max_protocol="SMB3_11",
    netbios_name="N",
    workgroup="W",
    server_string="S",
    guest_account="nobody",
    default_unix_user="bob",
    aapl_model="MacSamba",
    slow_request_ms=500,
    metrics_address="127.0.0.1:9445",
    metrics_file="/a.prom",
    audit_log="/a.log",
    audit_size=16384,
    audit_count=10,
    audit_success=Operation.DISCONNECT,
    audit_failure=Operation.LOGON | Operation.CONNECT,
    interfaces=("eth0", "10.0.0.0/8"),
    encryption_algorithms=("AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "AES-256-CCM"),
    signing_algorithms=("AES-128-GMAC", "AES-128-CMAC", "HMAC-SHA256"),
)


ENCRYPTIONS = ipc.ENCRYPTION | ipc.ENCRYPTION_DESIRED | ipc.ENCRYPTION_OFF


def test_starting_up_carries_the_global_parameters(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krb5, "AVAILABLE", True)
    made = make_state(tmp_path, EVERYTHING)
    made.sub_authorities = (1, 2, 3)
    assert made.starting_up() == STARTING_UP


@pytest.mark.parametrize(
    ("conf", "flag", "given"),
    [
        ("smb3 encryption = mandatory", ipc.ENCRYPTION, True),
        ("smb3 encryption = auto", ENCRYPTIONS, False),
        ("smb3 encryption = required", ENCRYPTIONS & ~ipc.ENCRYPTION, False),
        ("smb encrypt = desired", ipc.ENCRYPTION_DESIRED, True),
        ("smb encrypt = desired", ipc.ENCRYPTION | ipc.ENCRYPTION_OFF, False),
        ("server smb encrypt = off", ipc.ENCRYPTION_OFF, True),
        ("smb2 leases = no", ipc.LEASES, False),
        ("[a]\npath = /a", ipc.DURABLE_HANDLES, True),
        ("[a]\npath = /a", ipc.PERSISTENT_HANDLES, False),
        ("[a]\npath = /a\ncontinuous availability = yes", ipc.PERSISTENT_HANDLES, True),
        (
            "durable handles = no\n[a]\npath = /a\ncontinuous availability = yes",
            ipc.DURABLE_HANDLES | ipc.PERSISTENT_HANDLES,
            False,
        ),
        ("durable handles = no\n[a]\npath = /a\ndurable handles = yes", ipc.DURABLE_HANDLES, True),
        ("smb3 unix extensions = no", ipc.POSIX_EXTENSIONS, False),
    ],
)
def test_a_switch_has_its_flag(tmp_path: Path, conf: str, flag: int, given: bool) -> None:
    flags = make_state(tmp_path, f"[global]\n{conf}\n").starting_up().flags
    assert bool(flags & flag) is given


def test_the_command_line_s_port_wins(tmp_path: Path) -> None:
    made = make_state(tmp_path)
    made.port = 0
    assert made.starting_up().tcp_port == 0


def test_a_reload_reads_both_files_again(tmp_path: Path) -> None:
    made = make_state(tmp_path, "[a]\npath=/a\n")
    (tmp_path / "ksmbd.conf").write_text("[b]\npath=/b\n")
    users.save(str(tmp_path / "pwd.db"), {"zoe": HASH})
    notice = made.reload()
    assert notice == ipc.StateChanged(generation=2, changed=("b",), removed=("a",))
    assert set(made.files.accounts) == {"zoe"}


def test_a_reload_that_fails_changes_nothing(tmp_path: Path) -> None:
    made = make_state(tmp_path, "[a]\npath=/a\n")
    before = made.files
    (tmp_path / "ksmbd.conf").write_text("[b]\npath=/b\nread only = perhaps\n")
    with pytest.raises(ConfError):
        made.reload()
    assert made.files is before


def test_a_reload_that_fails_leaves_the_limit_of_wrong_passwords(tmp_path: Path) -> None:
    made = make_state(tmp_path, "[global]\nmax failed logons = 1\n")
    (tmp_path / "ksmbd.conf").write_text("[global]\nmax failed logons = 0\n")
    Path(made.paths.share_security).write_text("no descriptor\n")
    with pytest.raises(ConfError):
        made.reload()
    made.throttle.failed("alice", "192.0.2.1")
    assert made.throttle.admit("alice", "192.0.2.1") == 0
    assert made.throttle.admit("alice", "192.0.2.1") != 0  # not at once


def test_an_account_acts_as_its_system_user_or_the_stand_in(tmp_path: Path) -> None:
    system = FakeSystem()
    made = make_state(tmp_path)
    assert made.identity("alice") == system.users["alice"]
    assert made.identity("eve") is None
    made = make_state(tmp_path, "[global]\ndefault unix user = bob\n")
    assert made.identity("alice") == system.users["alice"]
    assert made.identity("eve") == system.users["bob"]


def test_beside_an_unprivileged_ksmbd_everybody_is_its_user(tmp_path: Path) -> None:
    made = make_state(tmp_path)
    made.server_identity = Identity(77, 78)
    assert made.identity("alice") == made.identity("eve") == Identity(77, 78)
    assert made.guest_identity("no such user") == Identity(77, 78)
    assert not any("has no system user" in line for line in made.warnings())


@pytest.mark.parametrize(
    ("conf", "warning"),
    [
        ("", "account 'eve' has no system user and is refused"),
        ("map to guest = bad uid", "account 'eve' has no system user and acts as the guest"),
        ("default unix user = bob", "account 'eve' has no system user and acts as bob"),
        ("default unix user = x", "default unix user: there is no user 'x'"),
        ("guest account = x", "guest account: there is no user 'x'; guests are refused"),
        ("bogus = 1", "unknown parameter 'bogus'"),
    ],
)
def test_the_administrator_is_told(tmp_path: Path, conf: str, warning: str) -> None:
    made = make_state(tmp_path, f"[global]\n{conf}\n")
    assert any(warning in line for line in made.warnings())


def test_kerberos_is_not_offered_without_its_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(krb5, "AVAILABLE", False)
    made = make_state(tmp_path, "[global]\nkerberos support = yes\n", ())
    assert not made.starting_up().flags & ipc.KERBEROS
    assert made.warnings() == ["kerberos support: the Python module gssapi is not installed"]


def test_a_share_without_directory_or_forced_user_is_told(tmp_path: Path) -> None:
    conf = f"[a]\npath={tmp_path}/none\n[b]\npath={tmp_path}\nforce user = x\n"
    told = make_state(tmp_path, conf, ()).warnings()
    assert told == [
        f"share a: {tmp_path}/none is no directory",
        "share b: force user: there is no user 'x'; nobody can connect",
    ]


def test_the_sub_authorities_are_made_once(tmp_path: Path) -> None:
    path = str(tmp_path / "ksmbd.subauth")
    numbers = state.sub_authorities(path, lambda count: bytes(range(count)))
    assert numbers == (0x03020100, 0x07060504, 0x0B0A0908)
    assert Path(path).read_text() == ":".join(map(str, numbers)) + "\n"
    assert state.sub_authorities(path, bytes) == numbers


@pytest.mark.parametrize("content", ["", "1:2", "1:2:3:4", "a:b:c", "1:2:4294967296", "-1:2:3"])
def test_other_sub_authorities_are_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "ksmbd.subauth"
    path.write_text(content)
    with pytest.raises(ConfError, match="three numbers"):
        state.sub_authorities(str(path), bytes)


def test_where_they_cannot_be_kept_they_come_from_the_machine_id(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine_id = tmp_path / "machine-id"
    machine_id.write_text("0123\n")
    monkeypatch.setattr(state, "MACHINE_ID", str(machine_id))
    path = str(tmp_path / "none" / "ksmbd.subauth")
    first = state.sub_authorities(path, os.urandom)
    assert first == state.sub_authorities(path, os.urandom)
    machine_id.write_text("")
    with pytest.raises(ConfError, match="cannot be written"):
        state.sub_authorities(path, os.urandom)


@pytest.mark.parametrize(("size", "told"), [("0", 0), ("500", 1), ("1K", 1), ("1025", 2)])
def test_a_small_audit_log_is_not_an_endless_one(tmp_path: Path, size: str, told: int) -> None:
    made = make_state(tmp_path, f"[global]\naudit log size = {size}\n")
    assert made.starting_up().audit_size == told


def test_ksmbd_is_told_whether_some_share_is_audited(tmp_path: Path) -> None:
    share = "[a]\npath = /a\n"
    assert not make_state(tmp_path, share).starting_up().flags & ipc.AUDIT
    made = make_state(tmp_path, f"{share}vfs objects = full_audit\n")
    assert made.starting_up().flags & ipc.AUDIT
