"""Extended attributes that a file cannot be understood without: FILE_NEED_EA, [MS-FSCC] 2.4.15.

Linux keeps no flags with an attribute: the names of those are one of the server's own.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ksmbd.vfs.xattr import (
    ABSENT,
    USER,
    Item,
    get_value,
    is_ea,
    names,
    remove_value,
    set_value,
)
from ksmbd.wire.text import upcase

_ATTRIBUTE: Final = "user.ksmbd.need-ea"


def needed(item: Item) -> frozenset[str]:
    """Their names, folded; an attribute that is gone is none of them, whatever this says."""
    try:
        return frozenset(get_value(item, _ATTRIBUTE).decode(errors="replace").split("/"))
    except OSError as failed:
        if failed.errno not in ABSENT:
            raise
        return frozenset()


def has_needed(item: Item) -> bool:
    """Whether a file has any."""
    flagged = needed(item)
    return bool(flagged) and any(
        upcase(name[len(USER) :]) in flagged for name in names(item) if is_ea(name)
    )


def note_needed(item: Item, eas: Iterable[tuple[str, bytes]], flagged: frozenset[str]) -> None:
    """After *eas* were set, of which *flagged*, folded names, are needed; the empty are gone."""
    before = needed(item)
    after = set(before)
    for name, value in eas:
        folded = upcase(name)
        if value and folded in flagged:
            after.add(folded)
        else:
            after.discard(folded)
    if after == before:
        return
    if after:
        set_value(item, _ATTRIBUTE, "/".join(sorted(after)).encode())
    else:
        remove_value(item, _ATTRIBUTE)
