"""Parameters that do nothing without another one: who sets one alone is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from typing import Any, Final, NamedTuple, Protocol

from mountd.params import GlobalParams, ShareParams


class Line(Protocol):
    """Where a parameter was set: :class:`mountd.conf.Entry`."""

    @property
    def key(self) -> str: ...
    @property
    def file(self) -> str: ...
    @property
    def line(self) -> int: ...


class Need(NamedTuple):
    """What must be so, as it would stand in the file, and whether it is."""

    text: str
    met: Callable[[Any], bool]


def _object(name: str) -> Need:
    return Need(f"vfs objects = {name}", lambda share: name in share.vfs_objects)


_AUDIT_LOG: Final = Need("audit log", lambda params: params.audit_log)
_GUESTS: Final = Need("guest ok = yes", lambda share: share.guest_ok or share.guest_only)
_DURABLE: Final = Need("durable handles = yes", lambda share: share.durable_handles)
_KERBEROS: Final = Need("kerberos support = yes", lambda params: params.kerberos_support)

OBJECTS: Final = (  # that have parameters of their own
    ("full_audit_", "full_audit"),
    ("recycle_", "recycle"),
    ("shadow_", "shadow_copy2"),
)
NEEDS: Final[dict[type, dict[str, Need]]] = {
    GlobalParams: {
        "audit_log_failure": _AUDIT_LOG,
        "audit_log_success": _AUDIT_LOG,
        "bind_interfaces_only": Need("interfaces", lambda params: bool(params.interfaces)),
        "failed_logon_window": Need("max failed logons", lambda params: params.max_failed_logons),
        "kerberos_keytab_file": _KERBEROS,
        "kerberos_service_name": _KERBEROS,
    },
    ShareParams: {
        "acl_xattr_ignore_system_acls": _object("acl_xattr"),
        "allow_insecure_wide_links": Need(
            "follow symlinks = yes", lambda share: share.follow_symlinks
        ),
        "continuous_availability": _DURABLE,
        "guest_account": _GUESTS,
        "kernel_oplocks": Need("oplocks = yes", lambda share: share.oplocks),
        "streams_xattr_samba_format": _object("streams_xattr"),
        "strict_locking": Need("posix locking = yes", lambda share: share.posix_locking),
        "time_machine": _DURABLE,
        "time_machine_max_size": Need("time machine = yes", lambda share: share.time_machine),
    }
    | {
        declared.name: _object(name)
        for begin, name in OBJECTS
        for declared in fields(ShareParams)
        if declared.name.startswith(begin)
    },
}


def unmet(params: GlobalParams | ShareParams, origin: Mapping[str, Line]) -> Iterator[str]:
    """A warning for each parameter that *origin* sets to more than its default in vain.

    Defaults of shares in ``[global]`` are for those shares that have what they need.
    """
    kind = type(params)
    for attribute, need in NEEDS[kind].items():
        entry = origin.get(attribute)
        if entry is None or getattr(params, attribute) == getattr(kind(), attribute):
            continue
        if not need.met(params):
            yield f"{entry.file}:{entry.line}: {entry.key!r} has no effect without `{need.text}`"
