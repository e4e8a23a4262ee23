"""Parameters of a running server, each changed by a reload: clients find what it says.

One server for all.  A row is a parameter, its values, and what a client sees under each, which
differs: so each proves that the parameter does something and that a reload changes it.  What a
reload changes for whom is in ``mountd/reloading.py``.
"""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from smbprotocol.connection import Ciphers, SigningAlgorithms

from tests.interop.looking import (
    BATCH,
    MULTI_CHANNEL,
    NAME,
    NEW,
    NONE,
    OLD,
    anonymous_list,
    apple_model,
    attributes,
    bin_mode,
    continuous,
    counts,
    credits_held,
    durable,
    encrypted,
    fake_capability,
    granted_oplock,
    kept,
    listed,
    mode_of,
    negotiated,
    opened,
    refusal,
    refused,
    rpc,
    says,
    seals_the_share,
    second_connection,
    second_open,
    second_session,
    second_tree,
    shares_listed,
    smb,
    snapshots,
    speaks,
    stores_attributes,
    stream_size,
    touched,
    tree,
    version,
)
from tests.support.live import START_S, LiveServer, LiveShare

pytestmark = pytest.mark.interop

GUEST = "nobody-has-this-name"


@pytest.fixture(scope="module")
def server(real_folder: Path) -> Iterator[LiveServer]:
    folder = real_folder / "reloaded"
    folder.mkdir()
    there = {"TZ": "America/New_York"}  # five hours behind, in January
    with LiveServer(folder, shares=[share(folder)], environment=there) as running:
        fill(running.path())
        fill(folder / "root" / running.path().relative_to("/"))
        (folder / "root" / running.path().relative_to("/") / "below").touch()
        fill(folder / "elsewhere")
        (folder / "elsewhere" / "there").touch()
        (folder / "local").mkdir()
        (folder / "local/source").write_text("data")
        yield running


def share(folder: Path, **options: str) -> LiveShare:
    said = {"read only": "no", **options}
    path = Path(said.pop("path", folder / "share"))
    return LiveShare(NAME, path, said)


def fill(folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("plain", "Mixed", ".dot", "old.bak"):
        (folder / name).touch()
    (folder / "inside").symlink_to("plain")
    (folder / "outside").symlink_to("/etc/hostname")
    for name in ("@GMT-2024.01.02-03.04.05", "@GMT-2025.01.02-03.04.05", "daily-2026-01-02"):
        (folder / ".snapshots" / name / "share").mkdir(parents=True)
        (folder / ".snapshots" / name / "plain").write_text(name)
        (folder / ".snapshots" / name / "share/plain").write_text(name + " below")


# -- the parameters ----------------------------------------------------------------------

ACCESS_DENIED = 0xC0000022
TOO_MANY_SESSIONS, TOO_MANY_FILES, TOO_MANY_TREES = 0xC00000CE, 0xC000011F, 0xC00000D0
Row = tuple[str, Callable[[LiveServer], Any], list[tuple[str, Any]]]

GLOBALS: list[Row] = [
    ("aapl model", apple_model, [("MacSamba", False), ("Xserve", True)]),
    ("max active sessions", second_session("tester2"), [("9", 0), ("1", TOO_MANY_SESSIONS)]),
    ("max user sessions", second_session("tester"), [("9", 0), ("1", TOO_MANY_SESSIONS)]),
    ("max connections", second_connection, [("9", True), ("1", False)]),
    ("max ip connections", second_connection, [("9", True), ("1", False)]),
    ("max open files", second_open, [("9", 0), ("1", TOO_MANY_FILES)]),
    ("metrics", counts, [("no", False), ("yes", True)]),
    ("netbios name", rpc("querydominfo", "FIRST"), [("FIRST", True), ("SECOND", False)]),
    ("restrict anonymous", anonymous_list, [("0", True), ("1", False)]),
    ("root directory", listed("below"), [("", False), ("{folder}/root", True)]),
    (
        "server max protocol",
        negotiated("dialect"),
        [("SMB3_11", 0x311), ("SMB3_02", 0x302), ("SMB2_10", 0x210)],
    ),
    ("server min protocol", speaks(0x210), [("SMB2_02", True), ("SMB3_00", False)]),
    (
        "server multi channel support",
        negotiated("server_capabilities", MULTI_CHANNEL),
        [("no", 0), ("yes", MULTI_CHANNEL)],
    ),
    ("server signing", negotiated("server_security_mode"), [("auto", 1), ("mandatory", 3)]),
    (
        "server smb3 encryption algorithms",
        negotiated("cipher_id"),
        [("AES-256-CCM", Ciphers.AES_256_CCM), ("AES-128-GCM", Ciphers.AES_128_GCM)],
    ),
    (
        "server smb3 signing algorithms",
        negotiated("signing_algorithm_id"),
        [
            ("AES-128-CMAC", SigningAlgorithms.AES_CMAC),
            ("AES-128-GMAC", SigningAlgorithms.AES_GMAC),
        ],
    ),
    ("server string", rpc("srvinfo", "in the attic"), [("", False), ("in the attic", True)]),
    ("share:fake_fscaps", fake_capability, [("64", 0), ("67108864", 0x04000000)]),
    ("smb2 leases", negotiated("server_capabilities", 2), [("yes", 2), ("no", 0)]),
    ("smb2 max credits", credits_held, [("16", 16), ("64", 64)]),
    ("smb2 max read", negotiated("max_read_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb2 max trans", negotiated("max_transact_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb2 max write", negotiated("max_write_size"), [("64K", 65536), ("1M", 1 << 20)]),
    ("smb3 encryption", encrypted, [("auto", False), ("required", True)]),
    ("workgroup", rpc("lsaquery", "ATTIC"), [("LAB", False), ("ATTIC", True)]),
]

TWICE = "del d/b; put source d/b; del d/b"
COPY = ".recycle/Copy #1 of b"
DENIED, MISSING = "ACCESS_DENIED", "OBJECT_NAME_NOT_FOUND"
SYMLINK = "STOPPED_ON_SYMLINK"
SHARES: list[Row] = [
    ("available", refused("ls"), [("yes", ""), ("no", "BAD_NETWORK_NAME")]),
    ("browseable", shares_listed, [("yes", True), ("no", False)]),
    ("case sensitive", refused("get mixed x"), [("no", ""), ("yes", MISSING)]),
    ("change notify", refused("notify \\"), [("no", "NOT_IMPLEMENTED")]),  # else it waits
    ("comment", rpc(f"netsharegetinfo {NAME}", "the news"), [("", False), ("the news", True)]),
    ("create mask", mode_of("file"), [("0600", "0600"), ("0640", "0640")]),
    ("directory mask", mode_of("folder"), [("0700", "0700"), ("0750", "0750")]),
    ("follow symlinks", refused("get inside x"), [("no", SYMLINK), ("yes", "")]),
    ("force create mode", mode_of("file"), [("0000", "0644"), ("0020", "0664")]),
    ("force directory mode", mode_of("folder"), [("0000", "0755"), ("2000", "2755")]),
    ("guest ok", refused("ls", GUEST), [("no", DENIED), ("yes", "")]),
    ("hide dot files", attributes(".dot"), [("yes", "AH"), ("no", "A")]),
    ("hide files", attributes("old.bak"), [("", "A"), ("/*.bak/", "AH")]),
    ("hosts allow", refused("ls"), [("127.0.0.1", ""), ("10.0.0.0/8", DENIED)]),
    ("hosts deny", refused("ls"), [("10.0.0.0/8", ""), ("127.0.0.0/8", DENIED)]),
    ("invalid users", refused("ls"), [("tester2", ""), ("tester", DENIED)]),
    ("mangled names", refused("ls *~*"), [("no", "NO_SUCH_FILE"), ("yes", "")]),
    ("max connections", second_tree, [("9", 0), ("1", TOO_MANY_TREES)]),
    ("oplocks", granted_oplock, [("yes", BATCH), ("no", NONE)]),
    ("path", listed("there"), [("{folder}/share", False), ("{folder}/elsewhere", True)]),
    ("read list", refused("mkdir d; rmdir d"), [("", ""), ("tester", DENIED)]),
    ("read only", refused("mkdir d; rmdir d"), [("no", ""), ("yes", DENIED)]),
    ("smb encrypt", seals_the_share, [("auto", False), ("required", True)]),
    ("store dos attributes", stores_attributes, [("yes", True), ("no", False)]),
    ("valid users", refused("ls"), [("tester", ""), ("tester2", DENIED)]),
    ("veto files", listed("old.bak"), [("", True), ("/*.bak/", False)]),
    (
        "vfs objects",
        refused("put source plain:s"),
        [("streams_xattr", ""), ("acl_xattr", "OBJECT_NAME_INVALID")],
    ),
    ("volume", says("|ATTIC|", smb("volume")), [("SHED", False), ("ATTIC", True)]),
    ("write list", refused("mkdir d; rmdir d"), [("", DENIED), ("tester", "")]),
]
RECYCLE = {"vfs objects": "streams_xattr recycle"}
SHADOW = {
    "vfs objects": "streams_xattr shadow_copy2",
    "shadow:snapdir": "{folder}/share/.snapshots",
    "shadow:basedir": "{folder}/share",
}
SHARES += [
    ("allow insecure wide links", refused("get outside x"), [("no", SYMLINK), ("yes", "")]),
    ("continuous availability", continuous, [("no", False), ("yes", True)]),
    ("durable handles", durable, [("yes", True), ("no", False)]),
    ("streams_xattr:samba format", stream_size, [("no", 4), ("yes", 5)]),
    ("recycle:directory_mode", bin_mode(""), [("0700", "0700"), ("2750", "2750")]),
    ("recycle:exclude", kept("del d/a.tmp"), [("", [".recycle/a.tmp"]), ("*.tmp", [])]),
    ("recycle:exclude_dir", kept("del d/b"), [("", [".recycle/b"]), ("d", [])]),
    ("recycle:keeptree", kept("del d/b"), [("no", [".recycle/b"]), ("yes", [".recycle/d/b"])]),
    ("recycle:maxsize", kept("del d/b"), [("0", [".recycle/b"]), ("3", [])]),
    ("recycle:minsize", kept("del d/b"), [("0", [".recycle/b"]), ("5", [])]),
    ("recycle:noversions", kept(TWICE), [("", [COPY, ".recycle/b"]), ("b*", [".recycle/b"])]),
    ("recycle:repository", kept("del d/b"), [("", []), ("bin", ["bin/b"])]),
    ("recycle:subdir_mode", bin_mode("d"), [("0700", "0700"), ("0750", "0750")]),
    ("recycle:touch", touched("st_atime"), [("no", False), ("yes", True)]),
    ("recycle:touch_mtime", touched("st_mtime"), [("no", False), ("yes", True)]),
    ("recycle:versions", kept(TWICE), [("no", [".recycle/b"]), ("yes", [COPY, ".recycle/b"])]),
    (
        "shadow:basedir",
        version,
        [("{folder}/share", f"@GMT-{NEW}"), ("{folder}", f"@GMT-{NEW} below")],
    ),
    (
        "shadow:format",
        snapshots,
        [("@GMT-%Y.%m.%d-%H.%M.%S", [NEW, OLD]), ("daily-%Y-%m-%d", ["2026.01.02-00.00.00"])],
    ),
    (
        "shadow:localtime",
        snapshots,
        [("no", [NEW, OLD]), ("yes", ["2025.01.02-08.04.05", "2024.01.02-08.04.05"])],
    ),
    ("shadow:snapdir", snapshots, [("{folder}/share/.snapshots", [NEW, OLD]), ("/nowhere", [])]),
    ("shadow:sort", snapshots, [("desc", [NEW, OLD]), ("asc", [OLD, NEW])]),
]
BESIDE: Mapping[str, Mapping[str, str]] = {  # what else the share says meanwhile
    "aapl model": {"vfs objects": "streams_xattr fruit"},
    "force create mode": {"create mask": "0644"},
    "allow insecure wide links": {"follow symlinks": "yes"},
    "hosts allow": {"hosts deny": "ALL"},
    "recycle:noversions": {"recycle:versions": "yes"},
    "recycle:subdir_mode": {"recycle:keeptree": "yes"},
    "write list": {"read only": "yes"},
}
GUESTS = {"map to guest": "bad user"}


def of_module(key: str) -> Mapping[str, str]:
    """What the parameters of a `vfs objects` need."""
    return {"recycle": RECYCLE, "shadow": SHADOW}.get(key.partition(":")[0], {})


def test_every_row_shows_a_difference() -> None:
    same = [key for key, _, values in GLOBALS + SHARES if len({str(v[1]) for v in values}) < 2]
    assert same == ["change notify"]


@pytest.mark.parametrize(("key", "look", "values"), GLOBALS, ids=[row[0] for row in GLOBALS])
def test_a_global_parameter_does_what_it_says_after_a_reload(
    server: LiveServer, key: str, look: Callable[[LiveServer], Any], values: list[tuple[str, Any]]
) -> None:
    for value, expected in values:
        said = value.format(folder=server.folder)
        server.reload({**GUESTS, key: said}, [share(server.folder, **BESIDE.get(key, {}))])
        assert look(server) == expected, value


@pytest.mark.parametrize(("key", "look", "values"), SHARES, ids=[row[0] for row in SHARES])
def test_a_parameter_of_a_share_does_what_it_says_after_a_reload(
    server: LiveServer, key: str, look: Callable[[LiveServer], Any], values: list[tuple[str, Any]]
) -> None:
    for value, expected in values:
        said = value.format(folder=server.folder)
        beside = {**of_module(key), **BESIDE.get(key, {})}
        options = {name: text.format(folder=server.folder) for name, text in beside.items()}
        server.reload(GUESTS, [share(server.folder, **{**options, key: said})])
        assert look(server) == expected, value


def test_what_is_there_goes_on_by_the_old_values(server: LiveServer) -> None:
    server.reload({**GUESTS, "smb2 max read": "1M"}, [share(server.folder)])
    with tree(server) as before:
        server.reload(
            {**GUESTS, "smb2 max read": "64K"}, [share(server.folder, **{"read only": "yes"})]
        )
        opened(before, "made later").close()
        assert before.session.connection.max_read_size == 1 << 20
        assert negotiated("max_read_size")(server) == 65536
        with tree(server) as after:
            assert refusal(lambda: opened(after, "never made")) == ACCESS_DENIED


def test_a_reload_that_fails_changes_nothing(server: LiveServer) -> None:
    server.reload(GUESTS, [share(server.folder, comment="as it was")])
    good, before = server.configuration.read_text(), server.log.count()
    server.configuration.write_text(good.replace("as it was", "other") + "guest ok = perhaps\n")
    os.kill(server.pid, signal.SIGHUP)
    line = good.count("\n") + 1
    wrong = rf"not reloaded, .*ksmbd.conf:{line}: guest ok = perhaps: expected yes or no"
    assert server.log.wait_for(re.compile(wrong), START_S, before)
    assert rpc(f"netsharegetinfo {NAME}", "as it was")(server)
