"""File names: which are legal ([MS-FSCC] 2.1.5), which match a pattern ([MS-FSA] 2.1.4.4)."""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterable
from typing import Final

from ksmbd.wire.text import upcase

MAX_COMPONENT_BYTES: Final = 255  # NAME_MAX of Linux
MAX_COMPONENT_UNITS: Final = 255  # UTF-16 code units, as on NTFS

_WILDCARDS: Final = re.compile(r'[*?<>"]')
_ILLEGAL: Final = re.compile(r'[\x00-\x1f"*/:<>?\\|]')
# The same within a whole path, together with components that are empty, "." or ".."
_ILLEGAL_PATH: Final = re.compile(r'[\x00-\x1f"*:<>?\\|]|(?:\A|/)\.{0,2}(?:/|\Z)')
_ILLEGAL_POSIX_PATH: Final = re.compile(r"\x00|(?:\A|/)\.{0,2}(?:/|\Z)")


class NameInvalid(OSError):
    """A name that no file may have (EINVAL or ENAMETOOLONG); OBJECT_NAME_INVALID on the wire."""

    def __init__(self, name: str, why: str, code: int = errno.EINVAL) -> None:
        super().__init__(code, why, name)


def has_wildcards(name: str) -> bool:
    """Whether *name* is a pattern that may match more than one name."""
    return _WILDCARDS.search(name) is not None


def encode_path(path: str, *, posix: bool = False) -> bytes:
    """Validate a share-relative *path*; give its bytes on disk (UTF-8). NameInvalid if refused.

    With *posix* (SMB 3.1.1 POSIX extensions) only NUL and the dot names are refused.
    """
    if not path:
        return b""
    if (_ILLEGAL_POSIX_PATH if posix else _ILLEGAL_PATH).search(path):
        raise NameInvalid(path, "illegal character or component")
    encoded = _encoded(path)
    if len(encoded) > MAX_COMPONENT_BYTES:
        for component in path.split("/"):
            _check_length(component, component.encode())
    return encoded


def _encoded(name: str) -> bytes:
    try:
        return name.encode()
    except UnicodeEncodeError:
        raise NameInvalid(name, "lone surrogate") from None


def _check_length(name: str, encoded: bytes) -> None:
    if len(encoded) > MAX_COMPONENT_BYTES or len(name.encode("utf-16-le")) > (
        2 * MAX_COMPONENT_UNITS
    ):
        raise NameInvalid(name, "component too long", errno.ENAMETOOLONG)


def compile_pattern(pattern: str) -> Callable[[str], bool]:
    """A predicate on names, without regard to case, [MS-FSA] 2.1.4.4; linear in the name.

    ``*`` any run, ``?`` one character; ``<`` (DOS_STAR) any run that ends at the last dot at
    the latest; ``>`` (DOS_QM) one character, or none before a dot or at the end; ``"``
    (DOS_DOT) a dot, or nothing at the end.
    """
    if pattern == "*":
        return _anything
    folded = upcase(pattern)
    if not has_wildcards(pattern):
        return lambda name: upcase(name) == folded
    folded = re.sub(r"\*+", "*", folded)
    if _WILDCARDS.search(folded.replace("*", "").replace("?", "")):
        return _DosPattern(folded).matches
    if folded.isascii():  # upcase() makes no ASCII letter of another character
        anycase = re.compile(_regular_expression(folded), re.DOTALL | re.ASCII | re.IGNORECASE)
        return lambda name: anycase.fullmatch(name) is not None
    exact = re.compile(_regular_expression(folded), re.DOTALL)
    return lambda name: exact.fullmatch(upcase(name)) is not None


def compile_patterns(patterns: Iterable[str]) -> Callable[[str], bool] | None:
    """A predicate that is true of names matching any of *patterns*; None if there are none."""
    wanted = [pattern for pattern in patterns if pattern]
    if not wanted:
        return None
    exact = frozenset(upcase(p) for p in wanted if not has_wildcards(p))
    globs = [compile_pattern(p) for p in wanted if has_wildcards(p)]
    return lambda name: upcase(name) in exact or any(matches(name) for matches in globs)


def _anything(_name: str) -> bool:
    return True


def _regular_expression(pattern: str) -> str:
    """``*`` and ``?`` as a regular expression that never goes back behind a ``*``.

    The segments between two stars have a fixed length, so the leftmost match of each is as
    good as any: atomic groups keep ``*?*?*?`` from taking exponential time.
    """
    first, *segments = [
        "".join("." if char == "?" else re.escape(char) for char in segment)
        for segment in pattern.split("*")
    ]
    if not segments:
        return first
    middle = "".join(f"(?>.*?{segment})" for segment in segments[:-1])
    return f"{first}{middle}.*{segments[-1]}"


class _DosPattern:
    """A pattern as a non-deterministic automaton whose set of states is one integer.

    Bit k stands for "the first k symbols have matched".
    """

    __slots__ = ("_dos_dot", "_dos_qm", "_dos_star", "_end", "_literal", "_question", "_star")

    def __init__(self, pattern: str) -> None:
        self._literal: dict[str, int] = {}
        for index, char in enumerate(pattern):
            self._literal[char] = self._literal.get(char, 0) | 1 << index
        self._star = self._literal.pop("*", 0)
        self._question = self._literal.pop("?", 0)
        self._dos_star = self._literal.pop("<", 0)
        self._dos_qm = self._literal.pop(">", 0)
        self._dos_dot = self._literal.pop('"', 0)
        self._end = 1 << len(pattern)

    def matches(self, name: str) -> bool:
        stars = self._star | self._dos_star
        dot_skips = stars | self._dos_qm
        one = self._question | self._dos_qm
        at_dot = self._question | self._dos_dot | self._literal.get(".", 0)
        last_dot = name.rfind(".")
        states = 1
        for index, char in enumerate(upcase(name)):
            if char == ".":
                states = _closure(states, dot_skips)
                stay, step = states & stars, states & at_dot
                if index == last_dot:  # DOS_STAR may take it, but not go on after it
                    stay, step = states & self._star, step | states & self._dos_star
            else:
                states = _closure(states, stars)
                stay = states & stars
                step = states & (one | self._literal.get(char, 0))
            states = stay | step << 1
            if not states:
                return False
        return bool(_closure(states, dot_skips | self._dos_dot) & self._end)


def _closure(states: int, skips: int) -> int:
    """*states* and all they lead to over symbols in *skips*, which may match nothing.

    The addition carries through a whole run of skipped symbols at once.
    """
    return states | ((skips + (states & skips)) ^ skips)
