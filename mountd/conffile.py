"""ksmbd.conf as lines, so that an edit leaves comments and order alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field, fields
from typing import Final, NamedTuple

from mountd import conf
from mountd.conf import ConfError
from mountd.params import GLOBAL_KEYS, SHARE_KEYS, Param, ShareParams, fold
from mountd.spelling import spelled

HEADER: Final = "; see ksmbd.conf(5) for details\n"


class Option(NamedTuple):
    """A parameter as it is written."""

    key: str  # folded
    value: str


@dataclass(slots=True)
class _Line:
    """A parameter's place in the file."""

    first: int  # indices into ConfFile's lines
    last: int
    option: Option


@dataclass(slots=True)
class _Section:
    """The parts of a file under one name."""

    parts: list[tuple[int, int]] = field(default_factory=list)  # indices: header, after the end
    lines: list[_Line] = field(default_factory=list)


class ConfFile:
    """One file, without what it includes."""

    def __init__(self, path: str) -> None:
        """Read *path*; one that does not exist is empty. Raises ConfError, OSError."""
        self.path = path
        self.changed = False
        self.sections: dict[str, _Section] = {}  # by folded name
        self._lines: list[str | None] = []  # None: deleted
        if os.path.exists(path):
            self._read()
        else:
            self._lines = [HEADER]

    def update(self, name: str, options: list[Option]) -> None:
        """Set parameters of a section, made at the end of the file if there is none."""
        section = self.sections.get(name.casefold())
        if section is None:
            body = "".join(_written(option) for option in options)
            self._lines += ["\n", f"[{name}]\n", body]
            self.changed = True
            return
        for option in options:
            self._set(section, option)

    def delete(self, name: str) -> None:
        """Take a section out, with the comments in it."""
        for first, end in self.sections.pop(name.casefold()).parts:
            self._lines[first:end] = [None] * (end - first)
        self.changed = True

    def values(self, name: str) -> dict[str, str]:
        """The parameters of a share by attribute, as text: its own, else the defaults."""
        found = {
            declared.name: spelled(declared, declared.default) for declared in fields(ShareParams)
        }
        for folded in (conf.GLOBAL, name.casefold()):
            section = self.sections.get(folded, _Section())
            for line in reversed(section.lines):  # the first of several counts
                param = SHARE_KEYS.get(line.option.key)
                if param is not None and not _is_global(folded, line.option.key):
                    found[param.attribute] = _direct(param, line.option.value)
        return found

    def content(self) -> bytes:
        return "".join(line for line in self._lines if line is not None).encode()

    def _set(self, section: _Section, option: Option) -> None:
        """Put *option* in the place of the first line that sets the same, or at the end."""
        attribute = SHARE_KEYS[option.key].attribute
        same = [
            line
            for line in section.lines
            if line.option.key in SHARE_KEYS and SHARE_KEYS[line.option.key].attribute == attribute
        ]
        if [line.option for line in same] == [option]:
            return
        self.changed = True
        for line in same:
            self._lines[line.first : line.last + 1] = [None] * (line.last + 1 - line.first)
            section.lines.remove(line)
        at = same[0].first if same else section.parts[0][1] - 1
        kept = self._lines[at] or ""
        self._lines[at] = kept + _written(option)
        section.lines.append(_Line(at, at, option))

    def _read(self) -> None:
        with open(self.path, encoding="utf-8-sig", newline="") as file:
            try:
                self._lines = [f"{line}\n" for line in file.read().split("\n")]
            except UnicodeDecodeError:
                raise ConfError(self.path, 0, "expected UTF-8") from None
        if self._lines[-1] == "\n":  # what follows the last line's end
            self._lines.pop()
        section, header, last = None, 0, 0
        for statement in conf.statements(self.path):
            if statement.content.startswith("["):
                if section is not None:
                    section.parts.append((header, last))
                name = statement.content[1:-1].strip().casefold()
                section = self.sections.setdefault(name, _Section())
                header = statement.first - 1
            elif section is not None:
                key, _, value = statement.content.partition("=")
                option = Option(fold(key), value.strip())
                section.lines.append(_Line(statement.first - 1, statement.last - 1, option))
            last = statement.last
        if section is not None:
            section.parts.append((header, last))


def _is_global(section: str, key: str) -> bool:
    return section == conf.GLOBAL and key in GLOBAL_KEYS


def _written(option: Option) -> str:
    return f"\t{option.key} = {option.value}\n"


def _direct(param: Param, value: str) -> str:
    """*value* in the sense of the parameter's own name: ``writable = yes`` is ``no``."""
    if not param.inverse or not value:
        return value
    try:
        return "yes" if param.value(value) else "no"
    except ValueError:
        return value
