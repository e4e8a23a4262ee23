"""Domain and user information of samr by level, [MS-SAMR] 2.2.3 to 2.2.6.

What this server does not keep (log-on hours, password ages, counters) reads as
on an account nobody has restricted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final, NamedTuple

from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.status import NtStatus
from mountd.rpc.errors import RpcError
from mountd.rpc.handles import HANDLE_SIZE
from mountd.rpc.interface import Account, Call
from mountd.rpc.ndr import Fields, NdrReader, NdrWriter
from mountd.rpc.principals import ALIASES, BUILTIN, DOMAIN_USERS_RID, Principals

NEVER: Final = 0x7FFFFFFFFFFFFFFF  # a time or an age that never comes
DELTA_NEVER: Final = -0x8000000000000000  # the same as a relative time
NORMAL_ACCOUNT: Final = 0x00000010  # [MS-SAMR] 2.2.1.12
ACCOUNT_DISABLED: Final = 0x00000001
DONT_EXPIRE_PASSWORD: Final = 0x00000200
ALL_FIELDS: Final = 0x00FFFFFF  # WhichFields without passwords and private data
HOURS_PER_WEEK: Final = 168
SERVER_ENABLED: Final = 1  # DOMAIN_SERVER_ENABLE_STATE
ROLE_PRIMARY: Final = 3

EVERYONE_ACCESS: Final = 0x0002035B  # what ksmbd and Samba show: read, change password
ADMIN_ACCESS: Final = 0x000F07FF
OWN_ACCESS: Final = 0x00020044


class DomainHandle(NamedTuple):
    """What SamrOpenDomain gave."""

    sid: Sid
    name: str


class UserHandle(NamedTuple):
    """What SamrOpenUser gave."""

    uid: int
    name: str


class GroupHandle(NamedTuple):
    """What SamrOpenGroup gave."""

    rid: int


class AliasHandle(NamedTuple):
    """What SamrOpenAlias gave."""

    rid: int


class UserRow:
    """A user with the fields' names of SAMPR_USER_ALL_INFORMATION, [MS-SAMR] 2.2.6.6."""

    never = NEVER
    zero_time = 0
    empty = ""
    group = DOMAIN_USERS_RID
    zero = 0
    present = 1
    fields = ALL_FIELDS

    def __init__(self, call: Call, user: UserHandle) -> None:
        account = next((a for a in call.context.accounts() if a.uid == user.uid), None)
        account = account or Account(user.name, user.uid)
        server = call.context.server_name
        self.name, self.full_name, self.rid = account.name, account.full_name, account.uid
        self.control = NORMAL_ACCOUNT | DONT_EXPIRE_PASSWORD
        if account.disabled:
            self.control |= ACCOUNT_DISABLED
        self.home = f"\\\\{server}\\{account.name}"
        self.profile = f"\\\\{server}\\{account.name}\\profile"


_NAME: Final = ("name", "unicode")
_FULL_NAME: Final = ("full_name", "unicode")
_EMPTY: Final = ("empty", "unicode")
_HOME: Final[Fields] = (("home", "unicode"), _EMPTY)
_PROFILE: Final = ("profile", "unicode")
_IDS: Final[Fields] = (("rid", "u32"), ("group", "u32"))
_DIRECTORIES: Final[Fields] = (*_HOME, _EMPTY, _PROFILE)  # home, drive, script, profile
_ZERO_TIME: Final = ("zero_time", "old_time")
_NEVER: Final = ("never", "old_time")
_LOGON_TIMES: Final[Fields] = (*([_ZERO_TIME] * 4), _NEVER)
_HOURS: Final = ("hours", "hours")
_COUNTS: Final[Fields] = (("zero", "u16"), ("zero", "u16"))
_CONTROL: Final = ("control", "u32")

USER_LEVELS: Final[dict[int, Fields]] = {
    1: (_NAME, _FULL_NAME, ("group", "u32"), _EMPTY, _EMPTY),
    2: (_EMPTY, _EMPTY, ("zero", "u16"), ("zero", "u16")),
    6: (_NAME, _FULL_NAME),
    7: (_NAME,),
    8: (_FULL_NAME,),
    3: (_NAME, _FULL_NAME, *_IDS, *_DIRECTORIES, _EMPTY, *_LOGON_TIMES, _HOURS, *_COUNTS, _CONTROL),
    4: (_HOURS,),
    5: (
        *(_NAME, _FULL_NAME, *_IDS, *_DIRECTORIES, _EMPTY, _EMPTY),
        *(_ZERO_TIME, _ZERO_TIME, _HOURS, *_COUNTS, _ZERO_TIME, _NEVER, _CONTROL),
    ),
    9: (("group", "u32"),),
    10: _HOME,
    11: (_EMPTY,),
    12: (_PROFILE,),
    13: (_EMPTY,),
    14: (_EMPTY,),
    16: (_CONTROL,),
    17: (_NEVER,),
    20: (_EMPTY,),
    21: (
        ("zero_time", "old_time"),  # LastLogon
        ("zero_time", "old_time"),  # LastLogoff
        ("zero_time", "old_time"),  # PasswordLastSet
        ("never", "old_time"),  # AccountExpires
        ("zero_time", "old_time"),  # PasswordCanChange
        ("never", "old_time"),  # PasswordMustChange
        _NAME,
        _FULL_NAME,
        *_HOME,
        _EMPTY,  # ScriptPath
        _PROFILE,
        _EMPTY,  # AdminComment
        _EMPTY,  # WorkStations
        _EMPTY,  # UserComment
        _EMPTY,  # Parameters
        ("blob", "empty_blob"),  # LmOwfPassword
        ("blob", "empty_blob"),  # NtOwfPassword
        ("blob", "empty_blob"),  # PrivateData
        ("zero", "u32"),  # SecurityDescriptor.Length
        ("zero", "null"),
        ("rid", "u32"),
        ("group", "u32"),
        ("control", "u32"),
        ("fields", "u32"),
        ("hours", "hours"),
        ("zero", "u16"),  # BadPasswordCount
        ("zero", "u16"),  # LogonCount
        ("zero", "u16"),  # CountryCode
        ("zero", "u16"),  # CodePage
        ("zero", "u8"),  # LmPasswordPresent
        ("present", "u8"),  # NtPasswordPresent
        ("zero", "u8"),  # PasswordExpired
        ("zero", "u8"),  # PrivateDataSensitive
    ),
}


def old_time(w: NdrWriter, value: int) -> None:
    """Write an OLD_LARGE_INTEGER: two halves, aligned as such, [MS-SAMR] 2.2.2.2."""
    w.u32(value & 0xFFFFFFFF)
    w.u32(value >> 32 & 0xFFFFFFFF)


def _empty_blob(w: NdrWriter, _value: object) -> None:
    """An RPC_SHORT_BLOB or a string without anything."""
    w.u32(0)
    w.null()


def _hours(w: NdrWriter, _value: object) -> None:
    """SAMPR_LOGON_HOURS, [MS-SAMR] 2.2.6.5: every hour of the week."""
    octets = HOURS_PER_WEEK // 8

    def bits() -> None:
        for value in (1260, 0, octets):
            w.u32(value)
        w.raw(b"\xff" * octets)

    w.align(4)
    w.u16(HOURS_PER_WEEK)
    w.pointer(bits)


SPECIAL: Final[dict[str, Callable[[NdrWriter, int], None]]] = {
    "old_time": old_time,
    "empty_blob": _empty_blob,
    "hours": _hours,
}


def query_user(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQueryInformationUser, opnums 36 and 47, [MS-SAMR] 3.1.5.5.5.

    INVALID_INFO_CLASS  a level that is not in USER_LEVELS
    """
    user = call.handles.get(r.raw(HANDLE_SIZE, 4), UserHandle)
    level = r.u16()
    fields = USER_LEVELS.get(level)
    if fields is None:
        raise RpcError(NtStatus.INVALID_INFO_CLASS, f"user level {level}")
    row = UserRow(call, user)

    def information() -> None:
        w.u16(level)
        for name, kind in fields:
            special = SPECIAL.get(kind)
            if special is not None:
                special(w, getattr(row, name, 0))
            else:
                getattr(w, kind)(getattr(row, name))

    w.pointer(information)
    return NtStatus.SUCCESS


def query_domain(call: Call, r: NdrReader, w: NdrWriter) -> int:
    """SamrQueryInformationDomain, opnums 8 and 46, [MS-SAMR] 3.1.5.5.1.

    INVALID_INFO_CLASS  a level that is not in DOMAIN_LEVELS
    """
    domain = call.handles.get(r.raw(HANDLE_SIZE, 4), DomainHandle)
    level = r.u16()
    body = DOMAIN_LEVELS.get(level)
    if body is None:
        raise RpcError(NtStatus.INVALID_INFO_CLASS, f"domain level {level}")

    def information() -> None:
        w.u16(level)
        body(call, domain, w)

    w.pointer(information)
    return NtStatus.SUCCESS


def _password(_call: Call, _domain: DomainHandle, w: NdrWriter) -> None:
    """DOMAIN_PASSWORD_INFORMATION: no rules."""
    w.align(4)
    w.u16(0)
    w.u16(0)
    w.u32(0)
    old_time(w, DELTA_NEVER)  # MaxPasswordAge
    old_time(w, 0)  # MinPasswordAge


def _general(call: Call, domain: DomainHandle, w: NdrWriter) -> None:
    """SAMPR_DOMAIN_GENERAL_INFORMATION, [MS-SAMR] 2.2.4.10."""
    builtin = domain.sid == BUILTIN
    old_time(w, DELTA_NEVER)  # ForceLogoff
    w.unicode(call.context.server_string)
    w.unicode(domain.name)
    w.unicode("")  # ReplicaSourceNodeName
    old_time(w, 1)  # DomainModifiedCount
    w.u32(SERVER_ENABLED)
    w.u32(ROLE_PRIMARY)
    w.u8(1)  # UasCompatibilityRequired
    w.u32(0 if builtin else len(Principals(call.context).accounts()))
    w.u32(0 if builtin else 1)
    w.u32(len(ALIASES) if builtin else 0)


def _lockout(_call: Call, _domain: DomainHandle, w: NdrWriter) -> None:
    """SAMPR_DOMAIN_LOCKOUT_INFORMATION, [MS-SAMR] 2.2.4.15: half an hour, and never."""
    half_an_hour = -18_000_000_000 & 0xFFFFFFFFFFFFFFFF
    w.u64(half_an_hour)
    w.u64(half_an_hour)
    w.u16(0)


def _general2(call: Call, domain: DomainHandle, w: NdrWriter) -> None:
    """SAMPR_DOMAIN_GENERAL_INFORMATION2: both of them, aligned for the latter."""
    w.align(8)
    _general(call, domain, w)
    _lockout(call, domain, w)


def _modified(_call: Call, _domain: DomainHandle, w: NdrWriter) -> None:
    old_time(w, 1)
    old_time(w, 0)


DOMAIN_LEVELS: Final[dict[int, Callable[[Call, DomainHandle, NdrWriter], None]]] = {
    1: _password,
    2: _general,
    3: lambda _call, _domain, w: old_time(w, DELTA_NEVER),
    4: lambda call, _domain, w: w.unicode(call.context.server_string),
    5: lambda _call, domain, w: w.unicode(domain.name),
    6: lambda _call, _domain, w: w.unicode(""),
    7: lambda _call, _domain, w: w.u32(ROLE_PRIMARY),
    8: _modified,
    9: lambda _call, _domain, w: w.u32(SERVER_ENABLED),
    11: _general2,
    12: _lockout,
}


def descriptor(own: Sid | None) -> bytes:
    """The security descriptor of a SAM object, of a user's with its own entry."""
    grants = [
        (Sid(1, 0), EVERYONE_ACCESS),
        (Sid(5, 32, 544), ADMIN_ACCESS),
        (Sid(5, 32, 548), ADMIN_ACCESS),
    ]
    if own is not None:
        grants.append((own, OWN_ACCESS))
    aces = tuple(Ace(ACCESS_ALLOWED, 0, mask, sid) for sid, mask in grants)
    return SecurityDescriptor(control=DACL_PRESENT | SELF_RELATIVE, dacl=Acl(aces)).pack()
