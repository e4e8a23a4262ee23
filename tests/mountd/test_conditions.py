"""Parameters that do nothing without another one."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from mountd.conditions import NEEDS
from mountd.conf import load
from mountd.params import GlobalParams, ShareParams
from mountd.spelling import key

SET = {  # a value that is not the default
    "acl_xattr_ignore_system_acls": "yes",
    "allow_insecure_wide_links": "yes",
    "audit_log_failure": "none",
    "audit_log_success": "all",
    "bind_interfaces_only": "yes",
    "continuous_availability": "yes",
    "failed_logon_window": "9",
    "full_audit_failure": "open",
    "full_audit_prefix": "%u",
    "full_audit_success": "none",
    "guest_account": "mail",
    "kerberos_keytab_file": "/k",
    "kerberos_service_name": "cifs/a.b",
    "kernel_oplocks": "yes",
    "recycle_directory_mode": "0770",
    "recycle_exclude": "*.tmp",
    "recycle_exclude_dir": "tmp",
    "recycle_keeptree": "yes",
    "recycle_maxsize": "1G",
    "recycle_minsize": "1",
    "recycle_noversions": "*.log",
    "recycle_repository": "bin",
    "recycle_subdir_mode": "0770",
    "recycle_touch": "yes",
    "recycle_touch_mtime": "yes",
    "recycle_versions": "yes",
    "shadow_basedir": "/srv",
    "shadow_format": "%Y",
    "shadow_localtime": "yes",
    "shadow_snapdir": "snaps",
    "shadow_sort": "asc",
    "streams_xattr_samba_format": "yes",
    "strict_locking": "yes",
    "time_machine": "yes",
    "time_machine_max_size": "1G",
}
WITHOUT = {  # what a configuration says so that the need is not met
    "failed_logon_window": "max failed logons = 0",
    "continuous_availability": "durable handles = no",
    "kernel_oplocks": "oplocks = no",
    "streams_xattr_samba_format": "vfs objects =",
    "strict_locking": "posix locking = no",
    "time_machine": "durable handles = no",
}
WITH = {
    "audit_log_failure": "audit log = /a",
    "audit_log_success": "audit log = /a",
    "bind_interfaces_only": "interfaces = lo",
    "failed_logon_window": "max failed logons = 3",
}
CASES = [(kind, attribute) for kind, needs in NEEDS.items() for attribute in needs]


def warned(tmp_path: Path, kind: type[GlobalParams | ShareParams], *lines: str) -> list[str]:
    head = "[global]" if kind is GlobalParams else "[a]\npath = /a"
    path = tmp_path / "ksmbd.conf"
    path.write_text("\n".join([head, *filter(None, lines)]) + "\n")
    return [line.removeprefix(f"{path}:") for line in load(str(path)).warnings]


def spelled(kind: type[GlobalParams | ShareParams], attribute: str) -> str:
    return next(key(declared) for declared in fields(kind) if declared.name == attribute)


@pytest.mark.parametrize(("kind", "attribute"), CASES)
def test_what_is_set_in_vain_is_told(
    tmp_path: Path, kind: type[GlobalParams | ShareParams], attribute: str
) -> None:
    name, need = spelled(kind, attribute), NEEDS[kind][attribute]
    line = f"{name} = {SET[attribute]}"
    (told,) = warned(tmp_path, kind, WITHOUT.get(attribute, ""), line)
    assert told.endswith(f": {name!r} has no effect without `{need.text}`")
    assert told.startswith(str(2 + (kind is ShareParams) + (attribute in WITHOUT)))
    assert warned(tmp_path, kind, line, WITH.get(attribute, need.text)) == []


def test_the_default_is_no_wish(tmp_path: Path) -> None:
    assert warned(tmp_path, ShareParams, "kernel oplocks = no", "recycle:versions = no") == []


def test_defaults_in_global_are_for_the_shares_that_can_use_them(tmp_path: Path) -> None:
    text = "[global]\nrecycle:versions = yes\n[a]\npath = /a\n"
    (tmp_path / "x.conf").write_text(text)
    assert load(str(tmp_path / "x.conf")).warnings == []
