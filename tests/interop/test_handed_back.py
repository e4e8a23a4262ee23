"""A folder that Samba wrote, served by us with all it keeps beside the data, and handed back."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

import pytest
from smbprotocol.exceptions import AccessDenied
from smbprotocol.open import (
    CreateDisposition,
    ImpersonationLevel,
    Open,
    ShareAccess,
    SMB2QueryInfoRequest,
    SMB2QueryInfoResponse,
    SMB2SetInfoRequest,
)

from ksmbd.vfs.sid import AUTHENTICATED_USERS, EVERYONE, GUESTS, OWNER_RIGHTS
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_APPEND_DATA,
    FILE_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    FILE_READ_EA,
    FILE_WRITE_DATA,
    FILE_WRITE_EA,
    READ_CONTROL,
    WRITE_DAC,
)
from ksmbd.wire.query_info import INFO_SECURITY
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    CONTAINER_INHERIT,
    DACL_SECURITY_INFORMATION,
    OBJECT_INHERIT,
    Ace,
    Acl,
    SecurityDescriptor,
)
from tests.interop.clients import SmbClient
from tests.support.descriptors import allow, deny, with_dacl
from tests.support.live import LiveServer
from tests.support.peers import Peer
from tests.support.samba import SambaServer, beside_samba
from tests.support.smb_tree import SmbTree

pytestmark = pytest.mark.interop

KEPT: Final = {
    "read only": "no",
    "create mask": "0777",
    "directory mask": "0777",
    "vfs objects": "acl_xattr streams_xattr",
    "streams_xattr:samba format": "yes",
    "hide dot files": "no",
}
BOTH: Final = OBJECT_INHERIT | CONTAINER_INHERIT
FIRST: Final = Acl(
    (
        Ace(ACCESS_DENIED, BOTH, FILE_WRITE_EA, GUESTS),
        Ace(ACCESS_ALLOWED, BOTH, FILE_ALL_ACCESS, EVERYONE),
        Ace(ACCESS_ALLOWED, 0, FILE_GENERIC_READ, AUTHENTICATED_USERS),
    )
)
SECOND: Final = Acl(
    (
        Ace(ACCESS_ALLOWED, 0, FILE_ALL_ACCESS, EVERYONE),
        Ace(ACCESS_ALLOWED, 0, READ_CONTROL | WRITE_DAC, OWNER_RIGHTS),
    )
)
EACH: Final = tuple(1 << bit for bit in (*range(9), *range(16, 20)))  # but SYNCHRONIZE
LISTS: Final = (
    (allow(EVERYONE, FILE_EXECUTE),),
    (allow(EVERYONE, FILE_GENERIC_READ), deny(GUESTS, FILE_ALL_ACCESS)),
    (deny(EVERYONE, FILE_WRITE_DATA), allow(EVERYONE, FILE_GENERIC_WRITE)),
    (allow(AUTHENTICATED_USERS, FILE_READ_EA | FILE_WRITE_EA | DELETE),),
    (allow(EVERYONE, FILE_APPEND_DATA), allow(OWNER_RIGHTS, READ_CONTROL | WRITE_DAC)),
    (),
)
TOLD: Final = ("attributes:", "create_time:", "stream:")
NAMES: Final = ("plain", "folder", "folder\\inside")


ACCOUNT: Final = "daemon"  # no root: a mode may refuse it what a list grants


@pytest.fixture(scope="module", params=["mode in line", "mode ignored"])
def both(
    real_folder: Path, request: pytest.FixtureRequest
) -> Iterator[tuple[SambaServer, LiveServer]]:
    if os.geteuid():
        pytest.skip("Samba in its chroot needs root")
    ignored = "yes" if request.param == "mode ignored" else "no"
    options = {**KEPT, "acl_xattr:ignore system acls": ignored}
    with beside_samba(real_folder / f"handed-back-{ignored}", options, account=ACCOUNT) as servers:
        yield servers


class Descriptors(SmbTree):
    """The DACLs of files, asked for and set as Explorer does."""

    def open(self, name: str, access: int) -> Open:
        file = Open(self.tree, name)
        file.create(
            ImpersonationLevel.Impersonation, access, 0, ShareAccess.FILE_SHARE_READ,
            CreateDisposition.FILE_OPEN, 0,
        )  # fmt: skip
        return file

    def get(self, name: str) -> SecurityDescriptor:
        file = self.open(name, READ_CONTROL)
        request = SMB2QueryInfoRequest()
        request["info_type"] = INFO_SECURITY
        request["additional_information"] = DACL_SECURITY_INFORMATION
        request["output_buffer_length"] = 65536
        request["file_id"] = file.file_id
        response = SMB2QueryInfoResponse()
        response.unpack(self.exchange(request))
        file.close()
        return SecurityDescriptor.unpack(response["buffer"].get_value())

    def set(self, name: str, acl: Acl) -> None:
        file = self.open(name, WRITE_DAC)
        request = SMB2SetInfoRequest()
        request["info_type"] = INFO_SECURITY
        request["additional_information"] = DACL_SECURITY_INFORMATION
        request["file_id"] = file.file_id
        request["buffer"] = with_dacl(*acl.aces).pack()
        self.exchange(request)
        file.close()

    def rights(self, name: str) -> set[int]:
        """Which rights alone the user may open it with; Samba's MxAc says more than it gives."""
        found = set()
        for right in EACH:
            with suppress(AccessDenied):
                self.open(name, right).close()
                found.add(right)
        return found


def told(peer: Peer, folder: Path) -> dict[str, tuple[SecurityDescriptor, list[str]]]:
    """Of each name its list, and its attributes, creation time and streams."""
    client = SmbClient(peer, folder=folder)
    found = {}
    with Descriptors(peer) as descriptors:
        for name in NAMES:
            lines = client.ok(f'allinfo "{name}"').splitlines()
            kept = sorted(line for line in lines if line.startswith(TOLD))
            found[name] = descriptors.get(name), kept
    return found


def set_dacls(peer: Peer, **acls: Acl) -> None:
    with Descriptors(peer) as descriptors:
        for name, acl in acls.items():
            descriptors.set(name, acl)


def test_what_samba_wrote_is_ours_and_what_we_changed_is_sambas(
    both: tuple[SambaServer, LiveServer], tmp_path: Path
) -> None:
    samba, ours = both
    (tmp_path / "sent").write_bytes(b"data of a stream")
    theirs, mine = SmbClient(samba, folder=tmp_path), SmbClient(ours, folder=tmp_path)
    theirs.ok("mkdir folder; put sent plain; put sent plain:first")
    set_dacls(samba, plain=FIRST, folder=FIRST)
    theirs.ok("put sent folder\\inside; put sent folder\\inside:second")
    theirs.ok("setmode plain +hs; setmode folder\\inside +r")

    before = told(samba, tmp_path)
    assert before["plain"][0].dacl == before["folder"][0].dacl == FIRST
    assert before["folder\\inside"][0].dacl == Acl(
        tuple(a._replace(flags=0) for a in FIRST.aces[:2])
    )
    assert told(ours, tmp_path) == before

    set_dacls(ours, plain=SECOND)
    mine.ok("setmode plain -hs; setmode folder\\inside -r; put sent plain:third")
    mine.ok("put sent folder\\new; put sent folder\\new:fourth; setmode folder\\new +h")
    changed = told(ours, tmp_path)
    assert changed["plain"][0].dacl == SECOND
    assert changed["plain"][1] != before["plain"][1]
    assert told(samba, tmp_path) == changed
    theirs.ok("get plain:third back")
    assert (tmp_path / "back").read_bytes() == b"data of a stream"
    with Descriptors(samba) as first, Descriptors(ours) as second:
        assert first.get("folder\\new") == second.get("folder\\new")


def test_both_let_do_the_same_whoever_set_the_list(
    both: tuple[SambaServer, LiveServer], tmp_path: Path
) -> None:
    """Each right alone, on a file and a folder, of lists that no mode can say."""
    samba, ours = both
    (tmp_path / "sent").write_bytes(b"")
    SmbClient(samba, folder=tmp_path).ok("mkdir place; put sent place\\file; mkdir place\\folder")
    with Descriptors(samba) as theirs, Descriptors(ours) as mine:
        theirs.set("place", Acl((allow(EVERYONE, FILE_ALL_ACCESS),)))  # which lends DELETE
        for setting, other in ((theirs, mine), (mine, theirs)):
            for aces in LISTS:
                for name in ("place\\file", "place\\folder"):
                    setting.set(name, Acl(aces))
                    assert other.get(name).dacl == setting.get(name).dacl == Acl(aces)
                    assert other.rights(name) == setting.rights(name), (name, aces)
