"""Users' quotas as a kernel keeps them: run in the guest, with the sources in source.zip."""

from __future__ import annotations

import os
import subprocess
import sys

sys.path.insert(0, "/shared/source.zip")

from ksmbd.vfs import quota
from ksmbd.vfs.credentials import Credentials, become
from ksmbd.vfs.quota import Quota, State
from ksmbd.vfs.stat import fs_stat

MIB = 1 << 20
ALICE, BOB = 1000, 1001
DISK = "/run/disk"


def fill(name: str, size: int) -> int:
    """Write as who this thread acts as; how many bytes found room."""
    fd, done = os.open(name, os.O_WRONLY | os.O_CREAT, 0o600), 0
    try:
        while done < size:
            done += os.write(fd, bytes(65536))
    except OSError as failed:
        print("refused:", failed.strerror)
    finally:
        os.close(fd)
    return done


def mount(*options: str) -> int:
    subprocess.run(["mount", "-o", ",".join(("loop", *options)), "/run/image", DISK], check=True)
    os.chmod(DISK, 0o777)
    return os.open(DISK, os.O_PATH)


def unmount(fd: int) -> None:
    os.close(fd)
    subprocess.run(["umount", DISK], check=True)


def main() -> None:
    subprocess.run(["modprobe", "-a", "loop", "ext4", "quota_v2"], check=True)
    os.mkdir(DISK)
    subprocess.run(["truncate", "-s", "64M", "/run/image"], check=True)
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "quota", "/run/image"], check=True)
    tmpfs = os.open("/run", os.O_PATH)
    assert quota.state(tmpfs) == State(tracked=False, enforced=False)

    fd = mount("noquota")
    assert quota.state(fd).enforced is False
    unmount(fd)

    fd = mount("usrquota")
    assert quota.state(fd) == State(tracked=True, enforced=True)
    assert quota.quota_of(fd, ALICE) == Quota(ALICE, 0, None, None)
    assert quota.applied(fs_stat(fd), fd, ALICE) == fs_stat(fd)
    quota.set_limits(fd, ALICE, 2 * MIB, 4 * MIB)
    quota.set_limits(fd, BOB, None, 8 * MIB)

    become(Credentials(ALICE, ALICE))
    assert fill(f"{DISK}/alice", MIB) == MIB
    found = quota.quota_of(fd, ALICE)
    assert found == Quota(ALICE, MIB, 2 * MIB, 4 * MIB), found
    told = quota.applied(fs_stat(fd), fd, ALICE)
    size = told.block_size
    assert (told.blocks * size, told.available * size) == (2 * MIB, MIB), told
    assert fill(f"{DISK}/more", 8 * MIB) == 3 * MIB
    assert quota.applied(fs_stat(fd), fd, ALICE).available == 0
    try:
        os.close(os.open(f"{DISK}/alice", os.O_RDONLY))  # nothing else is in the way
    finally:
        become(None)

    everybody = {each.uid: each for each in quota.quotas_from(fd, 0)}
    assert everybody[ALICE].used == 4 * MIB, everybody
    assert everybody[BOB] == Quota(BOB, 0, None, 8 * MIB)
    assert 0 in everybody
    assert ALICE not in [each.uid for each in quota.quotas_from(fd, BOB)]
    quota.set_limits(fd, ALICE, None, None)
    assert quota.quota_of(fd, ALICE) == Quota(ALICE, 4 * MIB, None, None)

    assert quota.defaults(fd) == Quota(quota.DEFAULTS, 0, None, None)
    quota.set_limits(fd, quota.DEFAULTS, MIB, 2 * MIB)
    assert quota.defaults(fd) == Quota(quota.DEFAULTS, 0, MIB, 2 * MIB)
    assert fill(f"{DISK}/root", 3 * MIB) == 3 * MIB
    for enforced in (False, True):
        quota.enforce(fd, enforced)
        assert quota.state(fd) == State(tracked=True, enforced=enforced)
    unmount(fd)
    print("quotas: all as they should be")


main()
