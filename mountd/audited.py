"""What ``full_audit:`` parameters say, in Samba's words and in ours."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from ksmbd.wire.auditing import ALL, ALL_OF_SERVER, NAMES, OF_SERVER, VARIABLES, Operation

_VARIABLE: Final = re.compile(r"%(.?)", re.DOTALL)
_WORD: Final = re.compile(r"!?[a-z_0-9]+")

_OPEN: Final = Operation.OPEN | Operation.CREATE
_REMOVE: Final = Operation.UNLINK | Operation.RMDIR
# Samba's names for operations of its VFS, of this and of earlier releases, beside ours.
_SAMBAS: Final[dict[str, int]] = {
    **dict.fromkeys(("openat", "create_file"), _OPEN),
    "mkdirat": Operation.MKDIR,
    **dict.fromkeys(("pread", "pread_send", "pread_recv", "sendfile"), Operation.READ),
    **dict.fromkeys(("pwrite", "pwrite_send", "pwrite_recv", "recvfile"), Operation.WRITE),
    "renameat": Operation.RENAME,
    "linkat": Operation.LINK,
    "unlinkat": _REMOVE,
    **dict.fromkeys(
        ("chmod", "fchmod", "chown", "fchown", "lchown", "ntimes", "fntimes", "ftruncate",
         "fallocate", "chflags", "fchflags", "set_dos_attributes", "fset_dos_attributes",
         "setxattr", "fsetxattr", "removexattr", "fremovexattr"),
        Operation.SETINFO,
    ),
    **dict.fromkeys(
        ("set_nt_acl", "fset_nt_acl", "sys_acl_set_file", "sys_acl_set_fd",
         "sys_acl_delete_def_file", "sys_acl_delete_def_fd"),
        Operation.SETSECURITY,
    ),
    **dict.fromkeys(("brl_lock_windows", "brl_unlock_windows"), Operation.LOCK),
    **dict.fromkeys(
        ("offload_write_send", "offload_write_recv", "set_compression"), Operation.FSCTL
    ),
}  # fmt: skip
# Such as read what clients see anyhow, or what no client asks for: there is nothing to record.
_NOTHING: Final = re.findall(
    r"\w+",
    """
    aio_force audit_file chdir chmod_acl closedir connectpath create_dfs_pathat disk_free
    durable_cookie durable_disconnect durable_reconnect fcntl fchmod_acl fdopendir
    fget_compression fget_dos_attributes fget_nt_acl fgetxattr file_id_create
    filesystem_sharemode flistxattr freaddir_attr fs_capabilities fs_file_id fstat fstatat
    fstreaminfo fsync fsync_recv fsync_send get_alloc_size get_compression get_dfs_referrals
    get_dos_attributes get_dos_attributes_recv get_dos_attributes_send get_nt_acl get_nt_acl_at
    get_quota get_real_filename get_real_filename_at get_shadow_copy_data getlock getwd getxattr
    getxattrat_recv getxattrat_send is_offline kernel_flock linux_setlease listxattr lseek lstat
    mknod mknodat offload_read_recv offload_read_send opendir parent_pathname read_dfs_pathat
    readdir readdir_attr readlink readlinkat realpath rewind_dir rewinddir seekdir set_offline
    set_quota snap_check_path snap_create snap_delete stat statvfs streaminfo strict_lock
    strict_lock_check strict_unlock symlink symlinkat sys_acl_blob_get_fd sys_acl_blob_get_file
    sys_acl_get_fd sys_acl_get_file telldir translate_name
    """,
)
_OF_SHARES: Final[dict[str, int]] = {
    **dict.fromkeys(_NOTHING, 0),
    **_SAMBAS,
    **NAMES,
    "open": _OPEN,
    "all": ALL,
}
_OF_SERVER: Final[dict[str, int]] = {**OF_SERVER, "all": ALL_OF_SERVER}


def operations(value: str) -> Operation:
    """A share's list of operations, as bits; ``!`` before a name takes it out again.

    With ``open`` goes ``create``, as with Samba, unless it is taken out behind.
    """
    return _listed(value, _OF_SHARES, NAMES)


def server_operations(value: str) -> Operation:
    """Likewise the list for all shares, and what belongs to none."""
    return _listed(value, _OF_SERVER, OF_SERVER)


def _listed(value: str, known: Mapping[str, int], names: Iterable[str]) -> Operation:
    found = 0
    for word in re.split(r"[\s,:]+", value.strip().casefold()):
        if not word:
            continue
        name = word.removeprefix("!") if _WORD.fullmatch(word) else ""
        bits = 0 if word == "none" else known.get(name)
        if bits is None:
            raise ValueError("a list out of all, none, " + ", ".join(names))
        if word == "none":
            found = 0
        elif word.startswith("!"):
            found &= ~bits
        else:
            found |= bits
    return Operation(found)


def prefix(value: str) -> str:
    """A text with variables that are known when something happens."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        value = value[1:-1]
    if any(match[1] not in VARIABLES for match in _VARIABLE.finditer(value)):
        raise ValueError("a text with %u, %U, %I, %m, %i and %S as its only variables")
    return value
