"""What a reload changes, and for whom: the reference tells it, and the log of each reload.

Nothing here makes it so.  It says where in the server a parameter is looked at: mountd's own at
each log-on and tree connect, ksmbd's (``ksmbd/state/settings.py``) when a connection negotiates,
or each time.  ``tests/interop/test_parameters.py`` changes parameters under a running server.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from mountd.params import GlobalParams, ShareParams
from mountd.spelling import key

AT_ONCE: Final = "at once"
CONNECTIONS: Final = "new connections"
LOGONS: Final = "new log-ons"
TREES: Final = "new tree connects"
START: Final = "a new start"
NOTHING: Final = "nothing"

_TOLD: Final = {
    AT_ONCE: "at once",
    CONNECTIONS: "for new connections",
    LOGONS: "for new log-ons",
    TREES: "for new tree connects",
    START: "not before a new start",
    NOTHING: "without effect",
}
# attribute of GlobalParams -> what goes by its new value after a reload
OF_GLOBALS: Final[dict[str, str]] = {
    "aapl_model": AT_ONCE,
    "audit_log": AT_ONCE,
    "audit_log_count": AT_ONCE,
    "audit_log_failure": AT_ONCE,
    "audit_log_size": AT_ONCE,
    "audit_log_success": AT_ONCE,
    "bind_interfaces_only": AT_ONCE,
    "deadtime": AT_ONCE,
    "default_unix_user": LOGONS,
    "failed_logon_window": LOGONS,
    "guest_account": LOGONS,
    "interfaces": AT_ONCE,
    "ipc_timeout": AT_ONCE,
    "kerberos_keytab_file": LOGONS,
    "kerberos_service_name": LOGONS,
    "kerberos_support": CONNECTIONS,
    "map_to_guest": LOGONS,
    "max_active_sessions": LOGONS,
    "max_connections": CONNECTIONS,
    "max_failed_logons": LOGONS,
    "max_ip_connections": CONNECTIONS,
    "max_open_files": AT_ONCE,
    "max_user_sessions": LOGONS,
    "metrics": AT_ONCE,
    "metrics_address": AT_ONCE,
    "metrics_file": AT_ONCE,
    "multicast_dns_register": AT_ONCE,
    "netbios_name": LOGONS,
    "restrict_anonymous": TREES,
    "root_directory": TREES,
    "server_max_protocol": CONNECTIONS,
    "server_min_protocol": CONNECTIONS,
    "server_multi_channel_support": CONNECTIONS,
    "server_signing": CONNECTIONS,
    "server_smb3_encryption_algorithms": CONNECTIONS,
    "server_smb3_signing_algorithms": CONNECTIONS,
    "server_string": AT_ONCE,
    "share_fake_fscaps": AT_ONCE,
    "slow_request_log": AT_ONCE,
    "smb2_leases": CONNECTIONS,
    "smb2_max_credits": CONNECTIONS,
    "smb2_max_read": CONNECTIONS,
    "smb2_max_trans": CONNECTIONS,
    "smb2_max_write": CONNECTIONS,
    "smb3_encryption": CONNECTIONS,
    "smb3_unix_extensions": CONNECTIONS,
    "smbd_max_io_size": NOTHING,
    "tcp_port": START,
    "workgroup": LOGONS,
    "ws_discovery": AT_ONCE,
}
# of a share they hold for new tree connects; these are looked at elsewhere
OF_SHARES: Final[dict[str, str]] = {
    "access_based_share_enum": AT_ONCE,
    "admin_users": AT_ONCE,
    "browseable": AT_ONCE,
    "comment": AT_ONCE,
}


def reach(params: type[GlobalParams | ShareParams], attribute: str) -> str:
    """What a parameter's new value holds for."""
    if params is GlobalParams:
        return OF_GLOBALS[attribute]
    return OF_SHARES.get(attribute, TREES)


def told(old: GlobalParams, new: GlobalParams, *, own_port: bool) -> Iterator[tuple[bool, str]]:
    """Each global parameter that a reload changed: whether it needs a new start, and a line.

    *own_port*: the command line has the port, so that ``tcp port`` says nothing.
    """
    for declared in fields(GlobalParams):
        name = declared.name
        if getattr(old, name) == getattr(new, name) or (own_port and name == "tcp_port"):
            continue
        holds = OF_GLOBALS[name]
        yield holds == START, f"{key(declared)} is changed: {_TOLD[holds]}"
