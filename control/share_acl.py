"""``ksmbd-control share-acl``: who may use a share at all, and how: its own descriptor.

What Samba's sharesec does, on the file that mountd keeps; nobody needs to run.  An entry is spelled
as smbcacls does, ``WHO:ALLOWED/0x0/RIGHTS``: a name or a SID, and FULL, CHANGE, READ, letters of
RWXDPO, or a number.
"""

from __future__ import annotations

import argparse
import functools
import logging
import operator
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from control.tools import Failed, notify_mountd
from ksmbd.wire.access import (
    DELETE,
    FILE_ALL_ACCESS,
    FILE_GENERIC_EXECUTE,
    FILE_GENERIC_READ,
    FILE_GENERIC_WRITE,
    WRITE_DAC,
    WRITE_OWNER,
)
from ksmbd.wire.ipc import LOCK_NAME
from ksmbd.wire.security import (
    ACCESS_ALLOWED,
    ACCESS_DENIED,
    DACL_PRESENT,
    SELF_RELATIVE,
    Ace,
    Acl,
    SecurityDescriptor,
    Sid,
)
from ksmbd.wire.text import printable
from mountd import conf, share_security, users
from mountd.context import RpcContext
from mountd.questions import Questions
from mountd.rpc.principals import Principals
from mountd.rpc.srvsvc_info import EVERYONES
from mountd.rpc.srvsvc_shares import MAX_DESCRIPTOR
from mountd.state import Paths, State

log = logging.getLogger("ksmbd.control")

TYPES: Final = {"ALLOWED": ACCESS_ALLOWED, "DENIED": ACCESS_DENIED}
RIGHTS: Final = {  # what Windows shows of a share
    "FULL": FILE_ALL_ACCESS,
    "CHANGE": FILE_GENERIC_READ | FILE_GENERIC_WRITE | FILE_GENERIC_EXECUTE | DELETE,
    "READ": FILE_GENERIC_READ | FILE_GENERIC_EXECUTE,
}
LETTERS: Final = {
    "R": FILE_GENERIC_READ,
    "W": FILE_GENERIC_WRITE,
    "X": FILE_GENERIC_EXECUTE,
    "D": DELETE,
    "P": WRITE_DAC,
    "O": WRITE_OWNER,
}
ENTRY: Final = re.compile(r"(?:ACL:)?(.+):(ALLOWED|DENIED)/(?:0x0|0)/(\w+)", re.I)

Entries = tuple[Ace, ...]


def add_share_acl(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
) -> argparse.ArgumentParser:
    """The command with its options."""
    to = commands.add_parser(
        "share-acl",
        help="show who may use a share, or change it",
        description="Shows the entries of a share's own descriptor, or of all shares', after "
        "changing some if asked to. ACES: WHO:ALLOWED/0x0/FULL, or DENIED; CHANGE, READ, letters "
        "of RWXDPO, or a number.",
    )
    to.add_argument("share", metavar="SHARE", nargs="?", help="default: all shares are shown")
    change = to.add_mutually_exclusive_group()
    for letter, word, text in (
        ("-a", "--add", "one entry more for somebody"),
        ("-m", "--modify", "other rights for who has an entry"),
        ("-r", "--remove", "an entry less, spelled as it is shown"),
        ("-R", "--replace", "these entries instead of all"),
    ):
        change.add_argument(letter, word, metavar="ACES", help=text + "; several with commas")
    change.add_argument(
        *("-D", "--delete"), action="store_true", help="forget it: the share is everyone's"
    )
    to.add_argument("-n", "--numeric", action="store_true", help="show SIDs and numbers")
    to.add_argument("-C", "--config", metavar="CONF", help="default: the system's")
    to.add_argument(
        "-P", "--pwddb", metavar="PWDDB", default=users.DEFAULT_PATH, help="default: %(default)s"
    )
    return to


def share_acl(folder: Path, chosen: argparse.Namespace) -> str:
    """Change what is to be changed, and show the share or all. Raises Failed, ConfError, OSError.

    A mountd that runs in *folder* reads its files again.
    """
    paths = Paths(conf.find(chosen.config), chosen.pwddb)
    state = State(paths)
    principals = Principals(RpcContext(state, Questions()))
    named = state.files.configuration.shares
    if chosen.share is None:
        shown = [name for name, _ in named.values()]
    elif chosen.share.casefold() in named:
        shown = [named[chosen.share.casefold()][0]]
    else:
        raise Failed(f"there is no share {chosen.share!r} in {paths.conf}")
    words = {word: getattr(chosen, word) for word in CHANGES if getattr(chosen, word)}
    if words or chosen.delete:
        if chosen.share is None:
            raise Failed("of which share?")
        _change(paths.share_security, chosen.share, words, principals)
        notify_mountd(str(folder / LOCK_NAME))
    kept = share_security.load(paths.share_security)
    lines = []
    for name in shown:
        lines.append(f"[{printable(name)}]")
        descriptor = SecurityDescriptor.unpack(kept.get(name.casefold(), EVERYONES))
        entries = descriptor.dacl.aces if descriptor.dacl else ()
        lines += [_shown(ace, principals, numeric=chosen.numeric) for ace in entries]
    return "\n".join(lines)


def _change(path: str, share: str, words: dict[str, str], principals: Principals) -> None:
    """Do the one change there is; without any, forget the descriptor."""
    folded = share.casefold()
    with share_security.editing(path) as descriptors:
        old = SecurityDescriptor.unpack(descriptors.pop(folded, EVERYONES))
        for word, text in words.items():
            given = tuple(_entry(part, principals) for part in text.split(",") if part.strip())
            aces = CHANGES[word](old.dacl.aces if old.dacl else (), given)
            # Windows wants what is denied first, and does so itself
            aces = tuple(sorted(aces, key=lambda ace: ace.type != ACCESS_DENIED))
            new = old._replace(control=SELF_RELATIVE | DACL_PRESENT, dacl=Acl(aces)).pack()
            if len(new) > MAX_DESCRIPTOR:
                raise Failed(f"{len(new)} bytes; a share's descriptor has {MAX_DESCRIPTOR}")
            if not any(ace.type == ACCESS_ALLOWED for ace in aces):
                log.warning("nobody connects to %s any more", printable(share))
            descriptors[folded] = new


def _added(old: Entries, given: Entries) -> Entries:
    for ace in given:
        if any(_same(ace, there) for there in old):
            raise Failed(f"{ace.sid} has such an entry; --modify changes it")
        old += (ace,)
    return old


def _modified(old: Entries, given: Entries) -> Entries:
    for ace in given:
        if not any(_same(ace, there) for there in old):
            raise Failed(f"{ace.sid} has no such entry; --add makes one")
        old = tuple(ace if _same(ace, there) else there for there in old)
    return old


def _removed(old: Entries, given: Entries) -> Entries:
    for ace in given:
        if ace not in old:
            raise Failed(f"{ace.sid} has no entry with these rights")
        old = tuple(there for there in old if there != ace)
    return old


def _same(one: Ace, other: Ace) -> bool:
    return (one.type, one.sid) == (other.type, other.sid)


CHANGES: Final[dict[str, Callable[[Entries, Entries], Entries]]] = {
    "add": _added,
    "modify": _modified,
    "remove": _removed,
    "replace": lambda _old, given: _added((), given),
}


def _entry(text: str, principals: Principals) -> Ace:
    """Read one entry."""
    match = ENTRY.fullmatch(text.strip())
    if match is None:
        raise Failed(f"{text.strip()!r}: expected WHO:ALLOWED/0x0/FULL or the like")
    who, type, rights = match.groups()
    return Ace(TYPES[type.upper()], 0, _mask(rights), _sid(who.strip(), principals))


def _mask(text: str) -> int:
    known = RIGHTS.get(text.upper())
    if known is not None:
        return known
    if set(text.upper()) <= LETTERS.keys():
        return functools.reduce(operator.or_, (LETTERS[letter] for letter in text.upper()))
    try:
        mask = int(text, 0)
    except ValueError:
        mask = 0
    if mask <= 0 or mask & ~FILE_ALL_ACCESS:
        raise Failed(f"{text!r}: expected {', '.join(RIGHTS)}, letters of RWXDPO, or their number")
    return mask


def _sid(who: str, principals: Principals) -> Sid:
    if re.fullmatch(r"S-1(-\d+)+", who, re.I):
        try:
            return Sid.parse(who.upper())
        except ValueError:
            raise Failed(f"{who!r} is no SID") from None
    found = principals.by_name(who)
    if found is None:
        raise Failed(f"nobody is called {who!r}")
    return found.sid


def _shown(ace: Ace, principals: Principals, *, numeric: bool) -> str:
    """One entry as ``_entry`` reads it."""
    who, rights = str(ace.sid), f"0x{ace.mask:08x}"
    found = None if ace.sid is None else principals.by_sid(ace.sid)
    if not numeric:
        rights = next((name for name, mask in RIGHTS.items() if mask == ace.mask), rights)
        if found is not None:
            domain = "" if found.name == found.domain_name else found.domain_name
            who = printable(f"{domain}\\{found.name}" if domain else found.name)
    types: Sequence[str] = [name for name, number in TYPES.items() if number == ace.type]
    return f"ACL:{who}:{types[0] if types else ace.type}/0x{ace.flags:x}/{rights}"
