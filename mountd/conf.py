"""The grammar of ksmbd.conf, and a file read into parameters.

``[section]`` lines and ``key = value`` lines, UTF-8.  ``;`` or ``#`` begins a comment at the start
of a line or after a blank, outside quotation marks.  A backslash at the end joins the next line.
``include = FILE`` reads another file, relative to this one, as if it stood there; afterwards the
section goes on.  Sections and keys have no case; equal sections merge.  Of equal keys in a section
the first that is not empty counts, as ksmbd has it (Samba takes the last): hence the warning.

There is one configuration for all clients, read before any comes.  So the name of an included file
may have the host in it and nothing of a client: ``include = %m.conf`` is an error, not a file that
is never there.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, TypeVar

from ksmbd.wire.policy import Encryption
from mountd.conditions import unmet
from mountd.elsewhere import instead
from mountd.params import (
    DIALECTS,
    GLOBAL_KEYS,
    SHARE_KEYS,
    VFS_OBJECTS,
    GlobalParams,
    Param,
    ShareParams,
    fold,
    text,
)
from mountd.reloading import NOTHING, OF_GLOBALS
from mountd.variables import CLIENT, SERVER, SHARE, expand, in_globals, letters, of_host, used

SEARCH: Final = ("/etc/ksmbd/ksmbd.conf", "/etc/ksmbd/smb.conf")
GLOBAL: Final = "global"
IPC: Final = "ipc$"
HOMES: Final = "homes"
UNSUPPORTED: Final = frozenset({"printers", "print$"})
MAX_SHARE_NAME: Final = 80  # characters, [MS-SRVS] 2.2.4
MAX_DEPTH: Final = 16  # files that include one another
MAX_FILES: Final = 1000  # in one reading: two lines in each of 16 files would make 65,536
ADMINS: Final = "'admin users' has no effect on a share; in [global] it says who administers"
P = TypeVar("P", GlobalParams, ShareParams)


REGISTRY: Final = "registry"
NO_REGISTRY: Final = "there is no registry"


class ConfError(ValueError):
    """A file that cannot be used, and where it is wrong; line 0 means the whole file."""

    def __init__(self, file: str, line: int, why: str) -> None:
        super().__init__(f"{file}:{line}: {why}" if line else f"{file}: {why}")
        self.file = file
        self.line = line
        self.why = why


class Statement(NamedTuple):
    """A section's header or a ``key = value``, as it stands in a file."""

    first: int  # line numbers from 1
    last: int
    content: str


class Entry(NamedTuple):
    """One ``key = value`` line."""

    key: str  # folded
    value: str
    file: str
    line: int


@dataclass(slots=True)
class Section:
    """Everything under one name."""

    name: str  # as first spelled
    file: str
    line: int
    entries: list[Entry] = field(default_factory=list)


@dataclass(slots=True)
class Configuration:
    """What a file says."""

    file: str
    globals: GlobalParams
    defaults: ShareParams  # share parameters of [global]
    shares: dict[str, tuple[str, ShareParams]]  # folded name -> name as spelled, parameters
    warnings: list[str]
    # Folded section -> attribute -> the line that set it.
    origins: dict[str, dict[str, Entry]]


def find(path: str | None = None) -> str:
    """*path*, or the first file of SEARCH that exists, or else the first of SEARCH."""
    if path is not None:
        return path
    return next((candidate for candidate in SEARCH if os.path.exists(candidate)), SEARCH[0])


def load(path: str) -> Configuration:
    """Read *path*. Raises ConfError with file and line."""
    reader = _Reader()
    reader.read(path, None, ())
    sections, warnings = reader.sections, reader.warnings
    general = sections.pop(GLOBAL, Section(GLOBAL, path, 0))
    of_globals = [entry for entry in general.entries if entry.key in GLOBAL_KEYS]
    of_shares = [entry for entry in general.entries if entry.key not in GLOBAL_KEYS]
    parameters, origin = _apply(GlobalParams(), GLOBAL_KEYS, of_globals, warnings)
    _check_protocols(parameters, general)
    warnings += unmet(parameters, origin)
    parameters = in_globals(parameters)
    defaults, of_defaults = _apply(ShareParams(), SHARE_KEYS, of_shares, warnings)
    origins = {GLOBAL: of_defaults | origin}
    shares = {}
    _copy(sections)
    for folded, section in sections.items():
        if folded in UNSUPPORTED:
            warnings.append(f"{section.file}:{section.line}: [{section.name}] is not supported")
            continue
        share, origin = _apply(replace(defaults), SHARE_KEYS, section.entries, warnings)
        if (entry := origin.get("admin_users")) and folded != IPC:
            warnings.append(f"{entry.file}:{entry.line}: {ADMINS}")
        if _usable(folded, section, share, warnings):
            shares[folded] = (section.name, share)
            origins[folded] = of_defaults | origin
            warnings += unmet(share, origin)
            _check_encryption(parameters, section, share, warnings)
    return Configuration(path, parameters, defaults, shares, warnings, origins)


def parse(path: str) -> dict[str, Section]:
    """The sections of *path* by folded name, includes read. Raises ConfError."""
    reader = _Reader()
    reader.read(path, None, ())
    return reader.sections


def name_problem(name: str) -> str:
    """Why *name* cannot be a share's, or an empty text."""
    if not 1 <= len(name) <= MAX_SHARE_NAME:
        return f"a share's name has 1 to {MAX_SHARE_NAME} characters"
    if not name.isprintable() or any(char in "[]/\\" for char in name):
        return "a share's name is printable and without [ ] / \\"
    return ""


# -- grammar -----------------------------------------------------------------------------


class _Reader:
    """One reading of a file and all that it includes."""

    def __init__(self) -> None:
        self.sections: dict[str, Section] = {}
        self.warnings: list[str] = []
        self._files = 0

    def read(self, path: str, section: Section | None, parents: tuple[str, ...]) -> None:
        """Take *path* in; *section* is where it is included.  Raises ConfError."""
        self._files += 1
        parents = (*parents, os.path.realpath(path))
        for line, _, content in statements(path):
            if content.startswith("["):
                section = _section(path, line, content, self.sections)
                continue
            key, equals, value = content.partition("=")
            if not equals or not key.strip():
                raise ConfError(path, line, "expected [section] or key = value")
            if section is None:
                raise ConfError(path, line, f"{key.strip()!r} stands before the first [section]")
            if fold(key) == "include" and text(value.strip()).casefold() == REGISTRY:
                self.warnings.append(f"{path}:{line}: include = registry is ignored: {NO_REGISTRY}")
            elif fold(key) == "include":
                self.read(self._included(path, line, value, parents), section, parents)
            else:
                section.entries.append(Entry(fold(key), value.strip(), path, line))

    def _included(self, path: str, line: int, value: str, parents: tuple[str, ...]) -> str:
        """The file that an ``include`` names.  Raises ConfError."""
        name = text(value.strip())
        if not name:
            raise ConfError(path, line, "include: expected a file")
        if late := sorted(letters(name) - of_host().keys()):
            raise ConfError(path, line, _too_early(late))
        target = os.path.join(os.path.dirname(path), expand(name, of_host()))
        if os.path.realpath(target) in parents:
            raise ConfError(path, line, f"{target} includes itself")
        if len(parents) == MAX_DEPTH:
            raise ConfError(path, line, f"include: no more than {MAX_DEPTH} files in one another")
        if self._files == MAX_FILES:
            raise ConfError(path, line, f"include: no more than {MAX_FILES} files")
        if not os.path.isfile(target):
            raise ConfError(path, line, f"include: there is no file {target}")
        return target


def _too_early(late: list[str]) -> str:
    names = " ".join(f"%{letter}" for letter in late)
    return (
        f"include: {names} cannot stand here: the file is read once, before any client comes. "
        "%h and %v can; what differs by client can stand in `path` and the like"
    )


def statements(path: str) -> Iterator[Statement]:
    """Lines that say something, joined, without comments. Raises ConfError."""
    try:
        with open(path, "rb") as file:
            raw = file.read()
    except OSError as error:
        raise ConfError(path, 0, error.strerror or str(error)) from None
    joined, start, number = "", 0, 0
    for number, line in enumerate(raw.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        try:
            content = without_comment(line.decode()).strip()
        except UnicodeDecodeError:
            raise ConfError(path, number, "expected UTF-8") from None
        start = start or number
        if content.endswith("\\"):
            joined += content[:-1].rstrip() + " "
            continue
        if content := (joined + content).strip():
            yield Statement(start, number, content)
        joined, start = "", 0
    if joined.strip():
        yield Statement(start, number, joined.strip())


def without_comment(line: str) -> str:
    """*line* up to its comment."""
    may_quote = line.count('"') % 2 == 0
    quoted = False
    for index, char in enumerate(line):
        if char == '"' and may_quote:
            quoted = not quoted
        elif char in ";#" and not quoted and (index == 0 or line[index - 1].isspace()):
            return line[:index]
    return line


def _section(path: str, line: int, content: str, sections: dict[str, Section]) -> Section:
    if not content.endswith("]"):
        raise ConfError(path, line, "expected ] at the end of the section's name")
    name = content[1:-1].strip()
    if problem := name_problem(name):
        raise ConfError(path, line, problem)
    return sections.setdefault(name.casefold(), Section(name, path, line))


# -- meaning -----------------------------------------------------------------------------


def _copy(sections: Mapping[str, Section]) -> None:
    """Have each section that says ``copy`` say, too, what the one it names does.

    What it says itself goes first, by whatever name.  Raises ConfError if there is none before it.
    """
    earlier: dict[str, Section] = {}
    for folded, section in sections.items():
        own = [entry for entry in section.entries if entry.key != "copy"]
        said = {_attribute(entry) for entry in own}
        for entry in section.entries:
            if entry.key != "copy":
                continue
            source = earlier.get(text(entry.value).casefold())
            if source is None:
                why = f"copy: there is no share {entry.value} before this one"
                raise ConfError(entry.file, entry.line, why)
            own += [each for each in source.entries if _attribute(each) not in said | {None}]
        section.entries = own
        earlier[folded] = section


def _attribute(entry: Entry) -> str | None:
    """What of a share it says; None: nothing."""
    param = SHARE_KEYS.get(entry.key)
    return param.attribute if param is not None else None


def _apply(
    params: P, table: Mapping[str, Param], entries: list[Entry], warnings: list[str]
) -> tuple[P, dict[str, Entry]]:
    """Set what *entries* say on *params*; which entry set which attribute."""
    taken: dict[str, tuple[int, Entry]] = {}
    for entry in entries:
        where = f"{entry.file}:{entry.line}"
        param = table.get(entry.key)
        if param is None:
            warnings.append(f"{where}: {_unknown(entry.key)}")
            continue
        value = _convert(param, entry)
        if value is None:
            continue
        earlier = taken.get(param.attribute)
        if earlier is not None:
            kept = earlier[1] if earlier[0] <= param.rank else entry
            warnings.append(f"{where}: {param.key!r} is set twice, line {kept.line} counts")
            if kept is not entry:
                continue
        if table is GLOBAL_KEYS and OF_GLOBALS[param.attribute] == NOTHING:
            warnings.append(f"{where}: {param.key!r} has no effect: there is no SMB Direct")
        taken[param.attribute] = (param.rank, entry)
        setattr(params, param.attribute, value)
    return params, {attribute: entry for attribute, (_, entry) in taken.items()}


def _convert(param: Param, entry: Entry) -> Any:
    """The value, None to leave the default. Raises ConfError."""
    if not entry.value and not param.empty:
        return None
    try:
        return param.value(entry.value)
    except ValueError as error:
        why = f"{entry.key} = {entry.value}: expected {error}"
        raise ConfError(entry.file, entry.line, why) from None


def _unknown(key: str) -> str:
    if key in GLOBAL_KEYS:
        return f"{key!r} belongs into [global] and is ignored here"
    known = instead(key)
    return f"unknown parameter {key!r} is ignored" + (f": {known}" if known else "")


def _check_protocols(params: GlobalParams, section: Section) -> None:
    params.server_min_protocol = params.server_min_protocol or DIALECTS[0]
    params.server_max_protocol = params.server_max_protocol or DIALECTS[-1]
    low, high = params.server_min_protocol, params.server_max_protocol
    if DIALECTS.index(low) > DIALECTS.index(high):
        raise ConfError(
            section.file, section.line, f"server min protocol {low} is above server max {high}"
        )


def _check_encryption(
    general: GlobalParams, section: Section, share: ShareParams, warnings: list[str]
) -> None:
    if share.smb_encrypt == Encryption.REQUIRED and general.smb3_encryption == Encryption.OFF:
        warnings.append(
            f"{section.file}:{section.line}: [{section.name}] requires the encryption that "
            "[global] turns off: nobody can connect to it"
        )


def _usable(folded: str, section: Section, share: ShareParams, warnings: list[str]) -> bool:
    """Warn about what is odd in a share; False if it cannot be served."""
    where = f"{section.file}:{section.line}: [{section.name}]"
    if unknown := [name for name in share.vfs_objects if name not in VFS_OBJECTS]:
        warnings.append(f"{where}: vfs objects {' '.join(unknown)} are not known and ignored")
    if unknown := sorted(used(share) - SERVER.keys() - CLIENT.keys() - {SHARE}):
        names = " ".join(f"%{letter}" for letter in unknown)
        warnings.append(f"{where}: {names} in its parameters stands for nothing and stays")
    if folded == IPC:
        return True
    if folded == HOMES and not share.path:
        share.path = "%H"
    if not share.path:
        warnings.append(f"{where} has no path and is not served")
        return False
    return True
