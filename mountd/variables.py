"""``%`` variables in parameters of ksmbd.conf: %U, %m and their like, Samba's.

    the server's      known when the file is read
    the client's      known at a tree connect: each client has a share of its own then

Some values are the clients' own words (the name of a machine, of a Kerberos principal), and most
end in a path.  Hence a value is one component of a path and nothing more: what has a separator or
could be ``..`` refuses the tree connect.  Nothing is replaced in it, so that two names never mean
one directory.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode

from ksmbd import __version__
from mountd.params import GlobalParams, ShareParams

SERVER: Final = {
    "D": "the workgroup",
    "L": "the server's `netbios name`",
    "h": "the server's host name",
    "v": "the version of ksmbd",
}
CLIENT: Final = {
    "G": "the first group of `%U`",
    "H": "the home directory of `%u`",
    "I": "the client's address",
    "M": "the client's name as the resolver knows it, else its address",
    "U": "the account of the session",
    "g": "the first group of `%u`",
    "m": "the client's name as it says itself at the log-on, else its address",
    "u": "the user the share is used as: `force user`, the guest account, or the session's",
}
SHARE: Final = "S"  # the share's name, which is the account's in [homes]
OF_GLOBALS: Final = ("root_directory", "server_string")
OF_SHARES: Final = (
    "admin_users",
    "comment",
    "force_group",
    "force_user",
    "invalid_users",
    "path",
    "read_list",
    "recycle_repository",
    "shadow_basedir",
    "shadow_snapdir",
    "valid_users",
    "volume",
    "write_list",
)
MAX_VALUE: Final = 255  # bytes; NAME_MAX
_VARIABLE: Final = re.compile(r"%(.)", re.DOTALL)
# a hidden file, `..`, or the mark of a group must not come out of somebody's name
_FORBIDDEN_FIRST: Final = ".@+&"


class Unsafe(ValueError):
    """A value cannot be put in its place."""


class Known(Protocol):
    """Who knows users and hosts: :class:`mountd.state.State` puts one together."""

    def home(self, name: str) -> str:
        """The home directory of a system user, or an empty text."""

    def first_group(self, name: str) -> str:
        """The name of a system user's first group, or an empty text."""

    def host_name(self, address: str) -> str:
        """The name of a host, or an empty text."""


class Client(NamedTuple):
    """For whom the variables stand."""

    account: str  # the session's
    address: str
    machine: str = ""  # as the client calls itself
    user: str = ""  # whom the share is used as; empty: the account


def letters(text: str) -> frozenset[str]:
    """Every variable in *text*, known or not, by its letter; ``%%`` is none."""
    return frozenset(_VARIABLE.findall(text)) - {"%"}


def expand(text: str, values: Mapping[str, str]) -> str:
    """*text* with *values* in it; ``%%`` becomes ``%``, and what has no value stays."""

    def value(found: re.Match[str]) -> str:
        return "%" if found[1] == "%" else values.get(found[1], found[0])

    return _VARIABLE.sub(value, text)


def of_server(params: GlobalParams) -> dict[str, str]:
    """What is known when the file is read."""
    return {"D": params.workgroup, "L": params.netbios_name, **of_host()}


def of_host() -> dict[str, str]:
    """What is known before: in the names of included files, too."""
    return {"h": os.uname().nodename, "v": __version__}


def used(params: ShareParams) -> frozenset[str]:
    """The variables in the parameters of a share, known or not."""
    return frozenset[str]().union(*map(letters, _texts(params)))


def in_share(params: ShareParams, values: Mapping[str, str]) -> ShareParams:
    """The parameters of a share with *values* in them."""
    changed: dict[str, object] = {}
    for attribute in OF_SHARES:
        value = getattr(params, attribute)
        if isinstance(value, tuple):
            changed[attribute] = tuple(expand(item, values) for item in value)
        else:
            changed[attribute] = expand(value, values)
    return replace(params, **changed)  # type: ignore[arg-type]


def in_globals(params: GlobalParams) -> GlobalParams:
    """The global parameters with the server's variables in them."""
    values = of_server(params)
    changed = {name: expand(getattr(params, name), values) for name in OF_GLOBALS}
    return replace(params, **changed)  # type: ignore[arg-type]


def of_share(params: ShareParams, client: Client, known: Known) -> dict[str, str]:
    """The values of the client's variables that *params* have.  Raises Unsafe."""
    values = of_client(letters(params.force_user) - {"u", "g", "H"}, client, known)
    if params.force_user:
        client = client._replace(user=expand(params.force_user, values))
    return of_client(used(params), client, known)


def of_client(wanted: frozenset[str], client: Client, known: Known) -> dict[str, str]:
    """The values of the client's variables among *wanted*.  Raises Unsafe."""
    values = {}
    for letter in sorted(wanted & _VALUES.keys()):
        value = _VALUES[letter](client, known)
        check = _check_home if letter == "H" else check_component
        check(value, f"%{letter}")
        values[letter] = value
    return values


def check_component(value: str, what: str) -> None:
    """Raises Unsafe if *value* is not the plain name of one file."""
    first = value[:1]
    if not first or first in _FORBIDDEN_FIRST or first.isspace():
        raise Unsafe(f"{what} cannot be {value!r}")
    if not value.isprintable() or "/" in value or "\\" in value:
        raise Unsafe(f"{what} cannot be {value!r}")
    if len(value.encode()) > MAX_VALUE:
        raise Unsafe(f"{what} is too long")


def _check_home(value: str, what: str) -> None:
    """The system's word, but what it has for users without a home must not be served."""
    if not value.startswith("/") or value in ("/", "//") or os.path.normpath(value) != value:
        raise Unsafe(f"{what} cannot be {value!r}")


def _user(client: Client) -> str:
    return client.user or client.account


_VALUES: Final[dict[str, Callable[[Client, Known], str]]] = {
    "G": lambda client, known: known.first_group(client.account),
    "H": lambda client, known: known.home(_user(client)),
    "I": lambda client, known: client.address,
    "M": lambda client, known: known.host_name(client.address) or client.address,
    "U": lambda client, known: client.account,
    "g": lambda client, known: known.first_group(_user(client)),
    "m": lambda client, known: client.machine.lower() or client.address,
    "u": lambda client, known: _user(client),
}


# -- the text that tells ksmbd's shares of different clients apart ------------------------


def pack(values: Mapping[str, str]) -> str:
    """*values* in one text, the same for the same values."""
    return urlencode(sorted(values.items()))


def unpack(variant: str) -> dict[str, str]:
    """What :func:`pack` made.  Raises Unsafe where that would not have made it."""
    values = dict(parse_qsl(variant, keep_blank_values=True))
    for letter, value in values.items():
        check = _check_home if letter == "H" else check_component
        check(value, f"%{letter}")
    return values


def _texts(params: ShareParams) -> Iterator[str]:
    for attribute in OF_SHARES:
        value = getattr(params, attribute)
        yield from value if isinstance(value, tuple) else (value,)
