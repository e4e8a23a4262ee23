from __future__ import annotations

import re
from dataclasses import fields
from typing import Any

import pytest

from ksmbd.wire.auditing import ALL_OF_SERVER, Operation
from ksmbd.wire.policy import Encryption, MapToGuest, Signing
from mountd import params
from mountd.params import GLOBAL_KEYS, SHARE_KEYS, GlobalParams, ShareParams
from mountd.reloading import reach
from tests.interop import test_parameters
from tests.support import proofs
from tests.support.live import ROOT

BAD = "bad"
BOOLEAN_WORDS = [
    *[(word, True) for word in ("yes", "Yes", "TRUE", "1", "on")],
    *[(word, False) for word in ("no", "false", "0", "off", "OFF")],
    *[(word, BAD) for word in ("yesterday", "10", "trueish", "enable", "n", "2", "auto")],
]
ENCRYPTION_WORDS = [
    ("disabled", Encryption.OFF),
    ("enabled", Encryption.AUTO),
    ("auto", Encryption.AUTO),
    ("Mandatory", Encryption.REQUIRED),
    ("off", Encryption.OFF),
    ("if_required", Encryption.AUTO),
    ("desired", Encryption.DESIRED),
    ("required", Encryption.REQUIRED),
    ("default", Encryption.AUTO),
    *[(word, BAD) for word in ("yes", "no", "0", "requird", "require", "desired required")],
]
POLICY_WORDS = [
    ("disabled", Signing.DISABLED),
    ("enabled", Signing.ENABLED),
    ("auto", Signing.AUTO),
    ("Mandatory", Signing.MANDATORY),
    ("off", Signing.DISABLED),
    ("if_required", Signing.AUTO),
    ("desired", Signing.ENABLED),
    ("required", Signing.MANDATORY),
    ("default", Signing.AUTO),
    ("yes", BAD),
    ("enabledX", BAD),
]
SIZES = [
    ("65536", 65536),
    ("64K", 65536),
    ("64 k", 65536),
    ("4MB", 4 << 20),
    ("1GiB", 1 << 30),
    ("1T", 1 << 40),
    ("1P", 1 << 50),
    ("7E", 7 << 60),
    ("8E", BAD),
    ("4X", BAD),
    ("-1", BAD),
    ("1.5M", BAD),
    ("K", BAD),
]

GLOBALS: list[tuple[str, list[tuple[str, Any]]]] = [
    ("audit log", [("/var/log/a", "/var/log/a"), ("a", BAD), ("", "")]),
    ("audit log count", [("3", 3), ("1001", BAD)]),
    ("audit log failure", [("logon !connect", Operation.LOGON), ("", 0), ("open", BAD)]),
    ("audit log size", [("64M", 64 << 20), ("0", 0), ("2T", BAD)]),
    ("audit log success", [("none", 0), ("all", ALL_OF_SERVER), ("logon,rename", BAD)]),
    ("aapl model", [("MacSamba", "MacSamba"), ("x" * 31, "x" * 31), ("x" * 32, BAD)]),
    ("bind interfaces only", BOOLEAN_WORDS),
    ("deadtime", [("10", 10), ("2h", 120), ("90s", 2), ("1x", BAD), ("-1", BAD)]),
    ("default unix user", [("smb", "smb"), ("x" * 48, BAD)]),
    ("failed logon window", [("5", 5), ("90s", 2), ("1h", 60), ("soon", BAD)]),
    ("guest account", [("ftp", "ftp")]),
    (
        "interfaces",
        [
            ("eth0, eth1  10.0.0.0/8", ("eth0", "eth1", "10.0.0.0/8")),
            ('"eth0;speed=1,capability=RSS" lo', ("eth0;speed=1,capability=RSS", "lo")),
        ],
    ),
    ("ipc timeout", [("20", 20), ("1m", 60), ("", BAD)]),
    ("kerberos keytab file", [("/etc/krb5.keytab", "/etc/krb5.keytab"), ("krb5.keytab", BAD)]),
    ("kerberos service name", [("cifs/a.b", "cifs/a.b")]),
    ("kerberos support", [("yes", True)]),
    (
        "map to guest",
        [
            ("never", MapToGuest.NEVER),
            ("Bad User", MapToGuest.BAD_USER),
            ("bad  password", MapToGuest.BAD_PASSWORD),
            ("bad uid", MapToGuest.BAD_UID),
            ("always", BAD),
        ],
    ),
    ("max active sessions", [("5", 5), ("0", 65536), ("70000", 65536), ("x", BAD)]),
    ("max connections", [("1K", 1024), ("0", 65536)]),
    ("max failed logons", [("3", 3), ("0", 0), ("1001", BAD), ("never", BAD)]),
    ("max ip connections", [("9", 9)]),
    ("max open files", [("100", 100), ("2M", 1 << 20), ("0", 1 << 20)]),
    ("max user sessions", [("9", 9), ("0", 65536), ("x", BAD)]),
    ("metrics", [("yes", True)]),
    (
        "metrics address",
        [
            ("127.0.0.1:9445", "127.0.0.1:9445"),
            ("[::1]:9445", "[::1]:9445"),
            ("/run/ksmbd/metrics.sock", "/run/ksmbd/metrics.sock"),
            ("", ""),
            ("0.0.0.0:9445", BAD),
            ("192.0.2.1:9445", BAD),
            ("::1:9445", BAD),
            ("127.0.0.1", BAD),
            ("127.0.0.1:0", BAD),
            ("127.0.0.1:65536", BAD),
            ("localhost:9445", BAD),
            ("metrics.sock", BAD),
        ],
    ),
    ("metrics file", [("/a/b.prom", "/a/b.prom"), ("b.prom", BAD)]),
    ("multicast dns register", [("no", False)]),
    ("netbios name", [("A", "A"), ("x" * 16, BAD)]),
    ("restrict anonymous", [("0", 0), ("2", 2), ("3", BAD), ("yes", BAD)]),
    ("root directory", [("/srv/", "/srv"), ("/", "/"), ("srv", BAD), ("%H", BAD)]),
    ("server max protocol", [("SMB3_11", "SMB3_11"), ("smb3", "SMB3_11"), ("NT1", BAD)]),
    ("server min protocol", [("SMB2_02", "SMB2_02"), ("SMB2", "SMB2_10")]),
    ("server multi channel support", [("on", True)]),
    ("server signing", POLICY_WORDS),
    (
        "server smb3 encryption algorithms",
        [
            ("aes-256-gcm AES-128-CCM", ("AES-256-GCM", "AES-128-CCM")),
            ("AES-128-GCM AES-128-GCM", ("AES-128-GCM",)),
            ("DES", BAD),
        ],
    ),
    ("server smb3 signing algorithms", [("HMAC-SHA256", ("HMAC-SHA256",)), ("MD5", BAD)]),
    ("server string", [('"a  b"', "a  b")]),
    ("share:fake_fscaps", [("64", 64), ("0x40", BAD), ("4294967296", BAD)]),
    ("slow request log", [("500", 500), ("0", 0), ("1s", BAD), ("3600001", BAD)]),
    ("smb2 leases", [("off", False)]),
    ("smb3 unix extensions", [("no", False)]),
    ("smb2 max credits", [("8192", 8192), ("0", BAD)]),
    ("smb2 max read", [("64K", 65536), ("8MB", 8 << 20), ("9MB", BAD), ("1K", BAD)]),
    ("smb2 max trans", [("1MB", 1 << 20), ("9MB", BAD)]),
    ("smb2 max write", [("4194304", 4 << 20), ("9MB", BAD)]),
    ("smb3 encryption", ENCRYPTION_WORDS),
    ("smbd max io size", [("8MB", 8 << 20), ("1K", BAD)]),
    (
        "tcp port",
        [
            *(("0", 0), ("4450", 4450), ("445 139", 445), ("139, 4450", 4450), ("139", 139)),
            *(("65536", BAD), ("smb", BAD), ("445 446", BAD)),
        ],
    ),
    ("workgroup", [("HOME", "HOME"), ("x" * 64, BAD)]),
    ("ws discovery", [("no", False)]),
]

USERS = [("alice @staff,bob", ("alice", "@staff", "bob")), ('"two words" x', ("two words", "x"))]
SHARES: list[tuple[str, list[tuple[str, Any]]]] = [
    ("access based share enum", [("yes", True), ("auto", BAD)]),
    ("acl_xattr:ignore system acls", [("yes", True), ("perhaps", BAD)]),
    ("admin users", [*USERS, ('"open', BAD)]),
    ("allow insecure wide links", [("yes", True)]),
    ("available", [("no", False)]),
    ("browseable", BOOLEAN_WORDS),
    ("change notify", [("no", False)]),
    ("case sensitive", [("yes", True), ("auto", False), ("maybe", BAD)]),
    ("streams_xattr:samba format", [("yes", True), ("No", False), ("auto", BAD)]),
    ("comment", [("x", "x"), ('"x', '"x')]),
    ("continuous availability", [("yes", True)]),
    ("create mask", [("0640", 0o640), ("7777", 0o7777), ("0o644", 0o644), ("9", BAD), ("", BAD)]),
    ("crossmnt", [("no", False)]),
    ("directory mask", [("755", 0o755), ("77777", BAD)]),
    ("durable handles", [("no", False)]),
    ("follow symlinks", [("yes", True)]),
    ("force create mode", [("0020", 0o20)]),
    ("force directory mode", [("2000", 0o2000)]),
    ("force group", [("staff", "staff")]),
    ("force user", [("alice", "alice")]),
    ("full_audit:failure", [("none", 0), ("connct", BAD)]),
    ("full_audit:prefix", [("%u|%I|%m", "%u|%I|%m"), ("%T", BAD)]),
    ("full_audit:success", [("mkdirat rename", Operation.MKDIR | Operation.RENAME)]),
    ("guest account", [("ftp", "ftp")]),
    ("guest ok", [("yes", True)]),
    ("guest only", [("yes", True)]),
    ("hide dot files", [("no", False)]),
    ("hide files", [("/*.bak/a b/", ("*.bak", "a b"))]),
    ("hide unreadable", [("yes", True)]),
    ("hosts allow", [("ALL EXCEPT", BAD), ("a..example", BAD), ("@netgroup", BAD)]),
    ("hosts deny", [("10.0.0.256", BAD)]),
    ("inherit owner", [("yes", True), ("unix only", True), ("windows and unix", True), ("no", 0)]),
    ("invalid users", USERS),
    ("kernel oplocks", [("yes", True), ("auto", BAD)]),
    ("max connections", [("0", 0), ("5", 5)]),
    ("mangled names", [("yes", True), ("illegal", False), ("hash2", BAD)]),
    ("oplocks", [("no", False)]),
    ("path", [("/srv/a b/", "/srv/a b"), ("/", "/"), ("a", BAD), ("/a\0", BAD)]),
    ("path", [("%H", "%H"), ("%H/", "%H"), ("%H/a/", "%H/a"), ("%Ha", BAD), ("%H/a\0", BAD)]),
    ("posix locking", [("no", False), ("auto", BAD)]),
    ("read list", USERS),
    ("read only", [("no", False)]),
    ("recycle:directory_mode", [("0770", 0o770), ("770x", BAD)]),
    ("recycle:exclude", [("*.tmp, ~$*", ("*.tmp", "~$*"))]),
    ("recycle:exclude_dir", [("tmp cache", ("tmp", "cache"))]),
    ("recycle:keeptree", [("yes", True)]),
    ("recycle:maxsize", SIZES),
    ("recycle:minsize", SIZES),
    ("recycle:noversions", [("*.log", ("*.log",))]),
    (
        "recycle:repository",
        [
            *((".recycle/%U/", ".recycle/%U"), ("a b/c", "a b/c"), ("", "")),
            *((bad, BAD) for bad in ("/srv", "a/../..", "..", "./a", "a//b", "a/%H", "a:b")),
        ],
    ),
    ("recycle:subdir_mode", [("0750", 0o750), ("9", BAD)]),
    ("recycle:touch", [("yes", True)]),
    ("recycle:touch_mtime", [("yes", True)]),
    ("recycle:versions", [("yes", True)]),
    ("shadow:basedir", [("/srv", "/srv"), ("srv", BAD)]),
    (
        "shadow:format",
        [
            *(("daily_%Y-%m-%d", "daily_%Y-%m-%d"), ('"at %s"', "at %s")),
            *(("daily", BAD), ("%Y/%m", BAD), ("%D", BAD), ("x" * 260 + "%Y", BAD)),
        ],
    ),
    ("shadow:localtime", [("yes", True)]),
    ("shadow:snapdir", [(".zfs/snapshot", ".zfs/snapshot")]),
    ("shadow:sort", [("asc", "asc"), ("Desc", "desc"), ("name", BAD)]),
    ("smb encrypt", ENCRYPTION_WORDS),
    ("store dos attributes", [("no", False)]),
    ("strict locking", [("yes", True), ("auto", False), ("Off", False), ("never", BAD)]),
    ("time machine", [("yes", True)]),
    ("time machine max size", SIZES),
    ("valid users", USERS),
    ("veto files", [("/*.tmp/a b/", ("*.tmp", "a b")), ("x", ("x",))]),
    ("vfs objects", [("acl_xattr streams_xattr", ("acl_xattr", "streams_xattr"))]),
    ("volume", [("V", "V"), ("x" * 33, BAD)]),
    ("write list", USERS),
]

CASES = [
    (table, key, raw, value)
    for table, rows in (("global", GLOBALS), ("share", SHARES))
    for key, values in rows
    for raw, value in values
]


@pytest.mark.parametrize(("table", "key", "raw", "value"), CASES)
def test_a_value_is_taken_or_refused(table: str, key: str, raw: str, value: Any) -> None:
    param = (GLOBAL_KEYS if table == "global" else SHARE_KEYS)[key]
    if value is BAD:
        with pytest.raises(ValueError, match=r"\w+"):
            param.value(raw)
    else:
        assert param.value(raw) == value


def test_every_parameter_has_cases() -> None:
    assert {row[0] for row in GLOBALS} == {param.key for param in GLOBAL_KEYS.values()}
    assert {row[0] for row in SHARES} == {param.key for param in SHARE_KEYS.values()}


PROVED = [
    *(("global", name, proof) for name, proof in proofs.GLOBALS.items()),
    *(("share", name, proof) for name, proof in proofs.SHARES.items()),
]


def test_every_parameter_has_a_test_of_what_it_does() -> None:
    """Of the server as it runs, or of the part that goes by it; and none is named in vain."""
    for told, live, table in (
        (proofs.GLOBALS, test_parameters.GLOBALS, GLOBAL_KEYS),
        (proofs.SHARES, test_parameters.SHARES, SHARE_KEYS),
    ):
        changed = [table[row[0]].attribute for row in live]
        assert len(changed) == len(set(changed))
        assert sorted([*told, *changed]) == sorted({param.attribute for param in table.values()})


@pytest.mark.parametrize(("section", "attribute", "proof"), PROVED)
def test_the_test_of_a_parameter_is_there(
    section: str, attribute: str, proof: proofs.Proof
) -> None:
    path, _, name = proof.test.partition("::")
    text = (ROOT / path).read_text()
    assert re.search(rf"^ *def {name}\(", text, re.M), proof.test
    table = GLOBAL_KEYS if section == "global" else SHARE_KEYS
    names = {key for key, param in table.items() if param.attribute == attribute}
    words = {proof.word} if proof.word else {attribute, *names}
    assert any(word in text for word in words), f"{path} does not name {attribute}"


def test_every_parameter_says_what_a_reload_changes() -> None:
    for kind in (GlobalParams, ShareParams):
        assert all(reach(kind, declared.name) for declared in fields(kind))


def test_the_writable_family_is_the_opposite_of_read_only() -> None:
    for key in ("writable", "writeable", "write ok"):
        param = SHARE_KEYS[key]
        assert (param.attribute, param.value("yes")) == ("read_only", False)


@pytest.mark.parametrize(
    ("alias", "attribute"),
    [
        ("browsable", "browseable"),
        ("create mode", "create_mask"),
        ("directory mode", "directory_mask"),
        ("public", "guest_ok"),
        ("only guest", "guest_only"),
        ("allow hosts", "hosts_allow"),
        ("fruit:time machine", "time_machine"),
        ("wide links", "allow_insecure_wide_links"),
        ("smb3 encryption", "smb_encrypt"),
        ("vfs object", "vfs_objects"),
    ],
)
def test_samba_s_names_are_known(alias: str, attribute: str) -> None:
    assert SHARE_KEYS[alias].attribute == attribute


@pytest.mark.parametrize(
    ("alias", "attribute"),
    [
        ("dedicated keytab file", "kerberos_keytab_file"),
        ("fruit:model", "aapl_model"),
        ("max protocol", "server_max_protocol"),
        ("protocol", "server_max_protocol"),
        ("min protocol", "server_min_protocol"),
        ("root", "root_directory"),
        ("root dir", "root_directory"),
        ("server smb encrypt", "smb3_encryption"),
        ("smb encrypt", "smb3_encryption"),
        ("smb ports", "tcp_port"),
    ],
)
def test_so_are_those_of_global(alias: str, attribute: str) -> None:
    assert GLOBAL_KEYS[alias].attribute == attribute


def test_the_defaults_are_those_of_ksmbd() -> None:
    general, share = GlobalParams(), ShareParams()
    assert (general.tcp_port, general.max_ip_connections, general.max_open_files) == (
        445,
        32,
        10000,
    )
    assert (general.server_signing, general.smb3_encryption) == (Signing.AUTO, Encryption.AUTO)
    assert (share.create_mask, share.directory_mask, share.read_only) == (0o744, 0o755, True)
    assert (share.max_connections, share.hide_dot_files, share.crossmnt) == (128, True, True)


def test_keys_fold_to_one_form() -> None:
    assert params.fold("  Read\t ONLY ") == "read only"
