"""Every parameter of ksmbd.conf, declared once.

An attribute's name is its key (``create_mask`` is ``create mask``) unless ``key`` says otherwise;
a declaration is the converter, the default and the aliases, Samba's names among them.  A
converter raises ValueError whose text completes "expected ...".
"""

from __future__ import annotations

import ipaddress
import re
import shlex
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Final, NamedTuple, TypeVar

from ksmbd.wire import interface_word
from ksmbd.wire.address import split_port
from ksmbd.wire.auditing import ALL, Operation
from ksmbd.wire.policy import Encryption, MapToGuest, Signing
from mountd.audited import operations, prefix, server_operations
from mountd.hosts import NOBODY, Hosts, parse

Converter = Callable[[str], Any]
T = TypeVar("T")

BOOLEANS: Final = {
    **dict.fromkeys(("yes", "true", "1", "on"), True),
    **dict.fromkeys(("no", "false", "0", "off"), False),
}
POLICIES: Final = {  # of signing; Samba's words after ksmbd's
    "disabled": Signing.DISABLED,
    "enabled": Signing.ENABLED,
    "auto": Signing.AUTO,
    "mandatory": Signing.MANDATORY,
    "off": Signing.DISABLED,
    "if_required": Signing.AUTO,
    "desired": Signing.ENABLED,
    "required": Signing.MANDATORY,
    "default": Signing.AUTO,
}
ENCRYPTION: Final = {  # ksmbd's words, then Samba's; ksmbd's `enabled` demands nothing
    "auto": Encryption.AUTO,
    "disabled": Encryption.OFF,
    "enabled": Encryption.AUTO,
    "mandatory": Encryption.REQUIRED,
    "off": Encryption.OFF,
    "if_required": Encryption.AUTO,
    "desired": Encryption.DESIRED,
    "required": Encryption.REQUIRED,
    "default": Encryption.AUTO,
}
PROTOCOLS: Final = {
    "smb2_02": "SMB2_02",
    "smb2_10": "SMB2_10",
    "smb3_00": "SMB3_00",
    "smb3_02": "SMB3_02",
    "smb3_11": "SMB3_11",
    "smb2": "SMB2_10",
    "smb3": "SMB3_11",
    "default": "",
}
DIALECTS: Final = ("SMB2_02", "SMB2_10", "SMB3_00", "SMB3_02", "SMB3_11")
GUEST_MAPS: Final = {
    "never": MapToGuest.NEVER,
    "bad user": MapToGuest.BAD_USER,
    "bad password": MapToGuest.BAD_PASSWORD,
    "bad uid": MapToGuest.BAD_UID,
}
STRICT: Final = {  # Samba's `auto` is for clients' locks, which always count here
    "auto": False,
    **BOOLEANS,
}
OWNERS: Final = {
    **BOOLEANS,
    "windows and unix": True,
    "unix only": True,
}
CIPHERS: Final = ("AES-128-GCM", "AES-256-GCM", "AES-128-CCM", "AES-256-CCM")  # cheapest first
SIGNATURES: Final = ("AES-128-GMAC", "AES-128-CMAC", "HMAC-SHA256")
VFS_OBJECTS: Final = (
    *("acl_xattr", "fruit", "full_audit", "recycle", "shadow_copy2", "streams_xattr"),
)
SNAPSHOTS: Final = "@GMT-%Y.%m.%d-%H.%M.%S"
ORDERS: Final = {"desc": "desc", "asc": "asc"}
_SIZE: Final = re.compile(r"(\d+)\s*([kmgtpe]?)(?:i?b)?", re.IGNORECASE)
_SIZES: Final = {unit: 10 * power for power, unit in enumerate(("", "k", "m", "g", "t", "p", "e"))}
_DURATION: Final = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE)
_SECONDS: Final = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


# -- converters --------------------------------------------------------------------------


def text(value: str) -> str:
    """As it stands; a pair of quotation marks around the whole is dropped."""
    if len(value) >= 2 and value[0] == value[-1] == '"':
        return value[1:-1]
    return value


def name(limit: int) -> Converter:
    """A text of 1 to *limit* bytes."""

    def convert(value: str) -> str:
        value = text(value)
        if not 1 <= len(value.encode()) <= limit:
            raise ValueError(f"1 to {limit} bytes")
        return value

    return convert


def boolean(value: str) -> bool:
    return choice(BOOLEANS, "yes or no")(value)  # type: ignore[no-any-return]


def choice(words: Mapping[str, Any], expected: str = "") -> Converter:
    """One of *words*, without regard to case and to the blanks between."""

    def convert(value: str) -> Any:
        try:
            return words[" ".join(text(value).casefold().split())]
        except KeyError:
            raise ValueError(expected or "one of " + ", ".join(words)) from None

    return convert


def octal(value: str) -> int:
    """A file mode."""
    if not re.fullmatch(r"(0o?)?[0-7]{1,4}", value):
        raise ValueError("an octal mode of up to four digits, such as 0744")
    return int(value.removeprefix("0o"), 8)


def integer(low: int, high: int) -> Converter:
    """A decimal number."""

    def convert(value: str) -> int:
        if not re.fullmatch(r"\d{1,20}", value) or not low <= int(value) <= high:
            raise ValueError(f"a number from {low} to {high}")
        return int(value)

    return convert


def port(value: str) -> int:
    """A TCP port; NetBIOS's beside it, as Samba's ``smb ports`` has it, is left out."""
    numbers = words(value)
    found = [number for number in numbers if number != "139"] or list(numbers)
    if len(found) != 1:
        raise ValueError("one port, a number from 0 to 65535")
    return integer(0, 65535)(found[0])  # type: ignore[no-any-return]


def count(cap: int) -> Converter:
    """A number of things; 0, and more than *cap*, mean *cap*, as ksmbd has it."""

    def convert(value: str) -> int:
        number = size(value)
        return min(number, cap) or cap

    return convert


def size(value: str) -> int:
    """Bytes; K, M, G, T, P and E count in steps of 1024."""
    match = _SIZE.fullmatch(value)
    if match is None or int(match[1]) << _SIZES[match[2].lower()] >= 1 << 63:
        raise ValueError("a size such as 65536, 64K or 4MB")
    return int(match[1]) << _SIZES[match[2].lower()]


def sized(low: int, high: int, expected: str) -> Converter:
    """A size within bounds."""

    def convert(value: str) -> int:
        number = size(value)
        if not low <= number <= high:
            raise ValueError(expected)
        return number

    return convert


def duration(unit: int) -> Converter:
    """A time in units of *unit* seconds; s, m, h or d behind the number name another."""

    def convert(value: str) -> int:
        match = _DURATION.fullmatch(value)
        seconds = _SECONDS.get(match[2].lower()) if match and match[2] else unit
        if match is None or seconds is None or len(match[1]) > 9:
            raise ValueError(f"a time such as 10 ({'minutes' if unit == 60 else 'seconds'}) or 2h")
        return -(-int(match[1]) * seconds // unit)

    return convert


def words(value: str) -> tuple[str, ...]:
    """Items between blanks or commas; quotation marks keep blanks inside an item."""
    lexer = shlex.shlex(value, posix=True)
    lexer.whitespace, lexer.whitespace_split = " \t,", True
    lexer.commenters, lexer.quotes, lexer.escape = "", '"', ""
    try:
        return tuple(item for item in lexer if item)
    except ValueError:
        raise ValueError("a list whose quotation marks are closed") from None


def interfaces(value: str) -> tuple[str, ...]:
    """Words of ``interfaces``; quotation marks keep the commas between options."""
    found = words(value)
    for word in found:
        interface_word.parse(word)
    return found


def hosts(value: str) -> Hosts:
    """Addresses and networks."""
    return parse(words(value))


def subset(allowed: tuple[str, ...]) -> Converter:
    """A list of words from *allowed*, without regard to case."""
    known = {item.casefold(): item for item in allowed}

    def convert(value: str) -> tuple[str, ...]:
        try:
            return tuple(dict.fromkeys(known[item.casefold()] for item in words(value)))
        except KeyError:
            raise ValueError("a list out of " + ", ".join(allowed)) from None

    return convert


def directory(value: str) -> str:
    """An absolute path without a slash at its end."""
    value = text(value)
    if value and not value.startswith("/"):
        raise ValueError("an absolute path")
    if "\0" in value:
        raise ValueError("a path without NUL")
    return value.rstrip("/") or value[:1]


def served_directory(value: str) -> str:
    """The same, or one in the home directory of whoever connects."""
    value = text(value)
    if re.match(r"%H(/|$)", value):
        return "%H" + directory(value[2:]).rstrip("/")
    return directory(value)


def below(value: str) -> str:
    """The path of a directory inside a share."""
    value = text(value).rstrip("/")
    if value and (
        {"", ".", ".."} & set(value.split("/")) or re.search(r'[\x00-\x1f"*:<>?\\|]|%H', value)
    ):
        raise ValueError("a path inside the share, such as .recycle, without . and ..")
    return value


def own_endpoint(value: str) -> str:
    """Where only this machine can connect: a loopback address with a port, or a Unix socket."""
    value = text(value)
    try:
        if (value.startswith("/") and "\0" not in value) or not value:
            return value
        address, port = split_port(value)
        if ipaddress.ip_address(address).is_loopback and port:
            return value
    except ValueError:
        pass
    raise ValueError("127.0.0.1:PORT, [::1]:PORT or the absolute path of a socket")


def veto(value: str) -> tuple[str, ...]:
    """Patterns between slashes: ``/*.tmp/Thumbs.db/``."""
    return tuple(item for item in text(value).split("/") if item)


def time_format(value: str) -> str:
    """How strftime(3) makes a directory's name of a time, none of it across a slash."""
    value = text(value)
    shown = time.strftime(value, time.gmtime(0))
    if "%" not in value or "/" in shown or not 1 <= len(shown.encode()) <= 255:
        raise ValueError("the name of a directory with parts of a time, such as %Y-%m-%d")
    return value


def guest(value: str) -> str:
    """The name of a system user."""
    return name(47)(value)  # type: ignore[no-any-return]


# -- declarations ------------------------------------------------------------------------


def param(
    convert: Converter,
    default: T,
    *aliases: str,
    key: str = "",
    inverse: tuple[str, ...] = (),
    empty: bool = False,
) -> T:
    """Declare a parameter; *inverse* are aliases that mean the opposite.

    ``empty`` says that an empty value is one; otherwise it leaves the default.
    """
    metadata = {
        "convert": convert,
        "aliases": aliases,
        "key": key,
        "inverse": inverse,
        "empty": empty,
    }
    return field(default=default, metadata=metadata)


class Param(NamedTuple):
    """What a key in the file stands for."""

    attribute: str
    key: str  # the name it is documented under
    convert: Converter
    inverse: bool
    empty: bool
    rank: int  # of several keys for one attribute the lowest wins

    def value(self, raw: str) -> Any:
        """Convert; raises ValueError, "expected ..."."""
        value = self.convert(raw)
        return not value if self.inverse else value


@dataclass(slots=True)
class GlobalParams:
    """The ``[global]`` section."""

    audit_log: str = param(directory, "", empty=True)
    audit_log_count: int = param(integer(0, 1000), 10)
    audit_log_failure: int = param(
        server_operations, Operation.LOGON | Operation.CONNECT, empty=True
    )
    audit_log_size: int = param(sized(0, 1 << 40, "a size up to 1T"), 16 << 20)  # bytes; 0: any
    audit_log_success: int = param(
        server_operations, Operation.LOGON | Operation.LOGOFF, empty=True
    )
    aapl_model: str = param(name(31), "MacSamba", "fruit:model")
    bind_interfaces_only: bool = param(boolean, False)
    deadtime: int = param(duration(60), 0)  # minutes
    default_unix_user: str = param(guest, "")
    failed_logon_window: int = param(duration(60), 5)  # minutes
    guest_account: str = param(guest, "nobody")
    interfaces: tuple[str, ...] = param(interfaces, (), empty=True)
    ipc_timeout: int = param(duration(1), 0)  # seconds
    kerberos_keytab_file: str = param(directory, "", "dedicated keytab file", empty=True)
    kerberos_service_name: str = param(text, "", empty=True)
    kerberos_support: bool = param(boolean, False)
    map_to_guest: int = param(choice(GUEST_MAPS), MapToGuest.NEVER)
    max_active_sessions: int = param(count(65536), 1024)
    max_connections: int = param(count(65536), 256)
    max_failed_logons: int = param(integer(0, 1000), 10)  # 0: any number
    max_ip_connections: int = param(count(65536), 32)
    max_open_files: int = param(count(1 << 20), 10000)
    max_user_sessions: int = param(count(65536), 256)
    metrics: bool = param(boolean, False)
    metrics_address: str = param(own_endpoint, "", empty=True)
    metrics_file: str = param(directory, "", empty=True)
    multicast_dns_register: bool = param(boolean, True)
    netbios_name: str = param(name(15), "KSMBD SERVER")
    restrict_anonymous: int = param(integer(0, 2), 0)
    root_directory: str = param(directory, "", "root dir", "root", empty=True)
    server_max_protocol: str = param(choice(PROTOCOLS), "", "max protocol", "protocol")
    server_min_protocol: str = param(choice(PROTOCOLS), "", "min protocol")
    server_multi_channel_support: bool = param(boolean, False)
    server_signing: int = param(choice(POLICIES), Signing.AUTO)
    server_smb3_encryption_algorithms: tuple[str, ...] = param(subset(CIPHERS), CIPHERS)
    server_smb3_signing_algorithms: tuple[str, ...] = param(subset(SIGNATURES), SIGNATURES)
    server_string: str = param(text, "SMB SERVER", empty=True)
    share_fake_fscaps: int = param(integer(0, 0xFFFFFFFF), 64, key="share:fake_fscaps")
    slow_request_log: int = param(integer(0, 3_600_000), 0)  # ms
    smb2_leases: bool = param(boolean, True)
    smb2_max_credits: int = param(sized(1, 65536, "1 to 65536"), 8192)
    smb2_max_read: int = param(sized(64 << 10, 8 << 20, "64K to 8M"), 8 << 20)
    smb2_max_trans: int = param(sized(64 << 10, 8 << 20, "64K to 8M"), 8 << 20)
    smb2_max_write: int = param(sized(64 << 10, 8 << 20, "64K to 8M"), 8 << 20)
    smb3_encryption: int = param(
        choice(ENCRYPTION), Encryption.AUTO, "smb encrypt", "server smb encrypt"
    )
    smb3_unix_extensions: bool = param(boolean, True)
    smbd_max_io_size: int = param(sized(512 << 10, 16 << 20, "512K to 16M"), 8 << 20)
    tcp_port: int = param(port, 445, "smb ports")
    workgroup: str = param(name(63), "WORKGROUP")
    ws_discovery: bool = param(boolean, True, "wsd")


@dataclass(slots=True)
class ShareParams:
    """One share's section; in ``[global]``, the default of every share."""

    access_based_share_enum: bool = param(boolean, False)
    acl_xattr_ignore_system_acls: bool = param(boolean, False, key="acl_xattr:ignore system acls")
    admin_users: tuple[str, ...] = param(words, (), empty=True)
    allow_insecure_wide_links: bool = param(boolean, False, "wide links")
    available: bool = param(boolean, True)
    browseable: bool = param(boolean, True, "browsable")
    case_sensitive: bool = param(choice({**BOOLEANS, "auto": False}), False, "casesignames")
    change_notify: bool = param(boolean, True)
    comment: str = param(text, "", empty=True)
    continuous_availability: bool = param(boolean, False, "smb3 share cap:continuous availability")
    create_mask: int = param(octal, 0o744, "create mode")
    crossmnt: bool = param(boolean, True)
    directory_mask: int = param(octal, 0o755, "directory mode")
    durable_handles: bool = param(boolean, True)
    follow_symlinks: bool = param(boolean, False)
    force_create_mode: int = param(octal, 0)
    force_directory_mode: int = param(octal, 0)
    force_group: str = param(text, "", "group", empty=True)
    force_user: str = param(text, "", empty=True)
    full_audit_failure: int = param(operations, ALL, key="full_audit:failure", empty=True)
    full_audit_prefix: str = param(prefix, "", key="full_audit:prefix", empty=True)
    full_audit_success: int = param(operations, ALL, key="full_audit:success", empty=True)
    guest_account: str = param(text, "", empty=True)
    guest_ok: bool = param(boolean, False, "public")
    guest_only: bool = param(boolean, False, "only guest")
    hide_dot_files: bool = param(boolean, True)
    hide_files: tuple[str, ...] = param(veto, (), empty=True)
    hide_unreadable: bool = param(boolean, False)
    hosts_allow: Hosts = param(hosts, NOBODY, "allow hosts", empty=True)  # noqa: RUF009
    hosts_deny: Hosts = param(hosts, NOBODY, "deny hosts", empty=True)  # noqa: RUF009
    inherit_owner: bool = param(choice(OWNERS), False)
    invalid_users: tuple[str, ...] = param(words, (), empty=True)
    kernel_oplocks: bool = param(boolean, False)
    mangled_names: bool = param(choice({**BOOLEANS, "illegal": False}), False)
    max_connections: int = param(size, 128)  # 0: no limit
    oplocks: bool = param(boolean, True)
    path: str = param(served_directory, "", "directory", empty=True)
    read_list: tuple[str, ...] = param(words, (), empty=True)
    posix_locking: bool = param(boolean, True)
    recycle_directory_mode: int = param(octal, 0o700, key="recycle:directory_mode")
    recycle_exclude: tuple[str, ...] = param(words, (), key="recycle:exclude", empty=True)
    recycle_exclude_dir: tuple[str, ...] = param(words, (), key="recycle:exclude_dir", empty=True)
    recycle_keeptree: bool = param(boolean, False, key="recycle:keeptree")
    recycle_maxsize: int = param(size, 0, key="recycle:maxsize")  # bytes; 0: no limit
    recycle_minsize: int = param(size, 0, key="recycle:minsize")  # bytes
    recycle_noversions: tuple[str, ...] = param(words, (), key="recycle:noversions", empty=True)
    recycle_repository: str = param(below, ".recycle", key="recycle:repository", empty=True)
    recycle_subdir_mode: int = param(octal, 0, key="recycle:subdir_mode")
    recycle_touch: bool = param(boolean, False, key="recycle:touch")
    recycle_touch_mtime: bool = param(boolean, False, key="recycle:touch_mtime")
    recycle_versions: bool = param(boolean, False, key="recycle:versions")
    read_only: bool = param(boolean, True, inverse=("writable", "writeable", "write ok"))
    shadow_basedir: str = param(served_directory, "", key="shadow:basedir", empty=True)
    shadow_format: str = param(time_format, SNAPSHOTS, key="shadow:format")
    shadow_localtime: bool = param(boolean, False, key="shadow:localtime")
    shadow_snapdir: str = param(name(1024), ".snapshots", key="shadow:snapdir")
    shadow_sort: str = param(choice(ORDERS), "desc", key="shadow:sort")
    smb_encrypt: int = param(
        choice(ENCRYPTION), Encryption.AUTO, "smb3 encryption", "server smb encrypt"
    )
    store_dos_attributes: bool = param(boolean, True)
    streams_xattr_samba_format: bool = param(boolean, False, key="streams_xattr:samba format")
    strict_locking: bool = param(choice(STRICT), False)
    time_machine: bool = param(boolean, False, "fruit:time machine")
    time_machine_max_size: int = param(size, 0, "fruit:time machine max size")  # bytes
    valid_users: tuple[str, ...] = param(words, (), "users", empty=True)
    veto_files: tuple[str, ...] = param(veto, (), empty=True)
    vfs_objects: tuple[str, ...] = param(words, ("streams_xattr",), "vfs object", empty=True)
    volume: str = param(name(32), "")
    write_list: tuple[str, ...] = param(words, (), empty=True)


def _table(params: type[GlobalParams | ShareParams]) -> dict[str, Param]:
    """Every key of a section, folded, and what it stands for."""
    table = {}
    for declared in fields(params):
        data = declared.metadata
        own = data["key"] or declared.name.replace("_", " ")
        keys = (own, *data["aliases"], *data["inverse"])
        for rank, key in enumerate(keys):
            inverse = key in data["inverse"]
            table[key] = Param(declared.name, own, data["convert"], inverse, data["empty"], rank)
    return table


GLOBAL_KEYS: Final = _table(GlobalParams)
SHARE_KEYS: Final = _table(ShareParams)


def fold(key: str) -> str:
    """The form of a key in the tables: lower case, single blanks."""
    return " ".join(key.casefold().split())
