"""The reference of ksmbd.conf, made from the declarations in ``params.py``.

    python -m mountd.document          docs/configuration.md
    python -m mountd.document --man    docs/man/ksmbd.conf.5

Names, values, defaults and aliases come from the declarations; what a parameter means is told in
``meanings.py``.  A test compares both files with what this prints.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import Field, fields
from typing import Any, Final, NamedTuple

from ksmbd.wire.policy import Signing
from mountd import params
from mountd.audited import prefix
from mountd.meanings import GLOBAL, PLANNED, SHARE
from mountd.params import DIALECTS, GlobalParams, ShareParams
from mountd.reloading import AT_ONCE, NOTHING, START, reach
from mountd.spelling import RANGES, default, key
from mountd.variables import CLIENT, SERVER
from mountd.variables import SHARE as SHARE_NAME

NO_FORM: Final = {  # converters that refuse nothing, or nothing that is tried
    prefix: "text; `%` stands before u, U, I, m, i, S and % alone",
    params.text: "text",
    params.words: "a list between blanks or commas; quotation marks keep blanks",
    params.interfaces: "a list between blanks or commas; quotation marks keep them in an item",
    params.veto: "patterns between slashes, such as /*.tmp/Thumbs.db/",
}
POLICIES: Final = "disabled, enabled, auto, mandatory; Samba's words are understood too"
PROTOCOLS: Final = ", ".join(DIALECTS)
HOSTS: Final = "addresses, networks (10.0.0.0/8, 192.168., fe80::/10), names, ALL, LOCAL, EXCEPT"
PLANNED_NOTE: Final = "Read and checked, but without effect in this version."


class Row(NamedTuple):
    """One parameter as the reference shows it."""

    key: str
    values: str
    default: str
    aliases: tuple[str, ...]
    opposites: tuple[str, ...]
    meaning: str
    reach: str  # what goes by a new value after a reload
    planned: bool


def rows(section: type[GlobalParams | ShareParams]) -> Iterator[Row]:
    """Every parameter of a section, in alphabetical order."""
    meanings = GLOBAL if section is GlobalParams else SHARE
    for declared in sorted(fields(section), key=lambda declared: declared.name):
        data = declared.metadata
        yield Row(
            key(declared),
            values(declared),
            default(declared),
            data["aliases"],
            data["inverse"],
            meanings[declared.name],
            reach(section, declared.name),
            declared.name in PLANNED,
        )


def values(declared: Field[Any]) -> str:
    """What a parameter takes, as its converter says when it refuses something."""
    convert = declared.metadata["convert"]
    if type(declared.default) is Signing:
        return POLICIES
    if declared.name in RANGES:
        return PROTOCOLS
    if convert is params.hosts:
        return HOSTS
    if convert in NO_FORM:
        return NO_FORM[convert]
    for nonsense in ("0", "?", ""):
        try:
            convert(nonsense)
        except ValueError as refused:
            return "yes or no" if type(declared.default) is bool else str(refused)
    raise ValueError(f"{declared.name}: a converter that refuses nothing has no row in NO_FORM")


# -- docs/configuration.md ---------------------------------------------------------------

INTRODUCTION: Final = """\
# Configuration

<!-- made by `python -m mountd.document`; change mountd/params.py or mountd/meanings.py instead -->

`ksmbd-mountd` reads `/etc/ksmbd/ksmbd.conf`, or `/etc/ksmbd/smb.conf` where there is no such file,
or what `--config` names. The accounts are in a file of their own, `/etc/ksmbd/ksmbdpwd.db`
(`ksmbd-adduser`).

```ini
[global]
    workgroup = WORKGROUP
    server string = files of the workshop
    default unix user = nobody

[projects]
    comment = what we work on
    path = /srv/projects
    read only = no
    valid users = alice @engineers
    create mask = 0664
    directory mask = 0775
    force directory mode = 2000
```

## Grammar

- UTF-8. `[section]` and `key = value`, one to a line; a backslash at the end joins the next line.
- `;` or `#` begins a comment, at the start of a line or after a blank, outside quotation marks.
- Sections and keys have no case, and the blanks in a key count as one. Sections of one name merge.
- Of equal keys in a section the first that is not empty counts, and the other is told in a warning.
- Parameters of a share that stand in `[global]` are the defaults of every share.
- `include = FILE` reads another file at that place, relative to the one that names it; up to 16
  files in one another, and 1000 in all. A file that is not there, or includes itself, is an error.
  So is a client's variable in its name (`include = %m.conf`): the files are read once, for all
  clients. What differs by client goes into `path` and the like.
- `copy = SECTION` in a share's section gives it what an earlier section says, but for what it says
  itself.
- `[homes]` is the home directory of whoever connects: see below. `[printers]` and `[print$]` are
  not served.
- An unknown parameter is a warning with file and line, and so is one that does nothing without
  another. A value that cannot be is an error with
  file, line and what was expected: at start mountd ends with it, at a reload what was stays.

Where a parameter takes yes or no it takes `true`, `false`, `1`, `0`, `on` and `off` as well. Sizes
count K, M, G and T in steps of 1024.

## Variables

VARIABLES

`%%` is a `%`. They are replaced in `comment`, `path`, `volume`, `force user`, `force group`, the
lists of users, `shadow:basedir`, `shadow:snapdir` and `recycle:repository`; the first four of the
table in `server string` and `root directory`, too, and `%h` and `%v` in `include`. Which of them a
share uses, the client's among them, decides how many shares it is: one for each set of values, made
when the first such client connects. A name never leads anywhere else: who has one with a slash, a
backslash or a control character in it, or that begins with a dot or the mark of a group, does not
get a share with it in its path. `%H` is used only if it is a directory's absolute path and not `/`.

`[homes]` is a share of each account under the account's own name, and under `homes`: its home
directory, or what `path` says, such as `/srv/homes/%S`. Nobody gets another's, and guests get none.

## Reloading

`ksmbd-control --reload`, or `systemctl reload ksmbd`, has the files read again. It says, and so
does the log, which global parameters have changed and from when on they hold; or, with an exit
status that is not 0, file, line and what is wrong, and all stays as it was. The column *Reload*
says it for each parameter. *At once* is for everybody; otherwise what is there already goes on by
the old value: connections, sessions, and shares that are connected. A share that is gone stays
until its clients leave it. `tcp port` alone needs a new start.
`ksmbd-discovery` reads its part of the files when it is told: `systemctl reload ksmbd-discovery`.
"""

TABLE_HEAD: Final = "| Parameter | Value | Default | Reload | Meaning |\n|---|---|---|---|---|\n"


def _variables() -> str:
    """What each variable stands for, the server's first."""
    rows = [(letter, SERVER[letter]) for letter in sorted(SERVER)]
    rows += sorted({**CLIENT, SHARE_NAME: "the share's name; the account's in `[homes]`"}.items())
    lines = [f"| `%{letter}` | {meaning} |\n" for letter, meaning in rows]
    return "| Variable | Stands for |\n|---|---|\n" + "".join(lines)


def markdown() -> str:
    """The text of docs/configuration.md."""
    parts = [INTRODUCTION.replace("VARIABLES\n", _variables())]
    sections = (("Global parameters", GlobalParams), ("Parameters of a share", ShareParams))
    for title, section in sections:
        parts.append(f"\n## {title}\n\n{TABLE_HEAD}")
        parts += [_markdown_row(row) for row in rows(section)]
    return "".join(parts)


def _markdown_row(row: Row) -> str:
    meaning = row.meaning
    if row.aliases:
        meaning += " Also " + ", ".join(f"`{name}`" for name in row.aliases) + "."
    if row.opposites:
        meaning += " The opposite of " + ", ".join(f"`{name}`" for name in row.opposites) + "."
    if row.planned:
        meaning += f" **{PLANNED_NOTE}**"
    shown = f"`{row.default}`" if row.default else "empty"
    cells = (f"`{row.key}`", row.values, shown, row.reach, meaning)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |\n"


# -- docs/man/ksmbd.conf.5 ---------------------------------------------------------------

MAN_HEAD: Final = r""".\" made by python -m mountd.document --man
.TH KSMBD.CONF 5 "" "ksmbd" "File formats"
.SH NAME
ksmbd.conf \- configuration of the SMB server ksmbd
.SH DESCRIPTION
.BR ksmbd-mountd (8)
reads
.IR /etc/ksmbd/ksmbd.conf ,
or
.I /etc/ksmbd/smb.conf
where there is no such file, and tells
.BR ksmbd (8)
what to serve.
The file is UTF-8 and made of
.BI [ section ]
lines and
.IB key " = " value
lines.
.B ;
or
.B #
begins a comment at the start of a line or after a blank, outside quotation marks.
A backslash at the end joins the next line.
.BI "include = " file
reads another file at that place.
Sections and keys have no case; sections of one name merge; of equal keys in a section the first
that is not empty counts.
.PP
.B [global]
holds what concerns the server, and the defaults of all shares; every other section is a share.
An unknown parameter is a warning, a value that cannot be is an error, both with file and line.
.PP
.B [homes]
is a share of each account under its own name: its home directory, or what
.B path
says.
"""
MAN_VARIABLES: Final = r""".SH VARIABLES
In
.BR comment ", " path ", " volume ", " "force user" ", " "force group" ,
the lists of users,
.BR shadow:basedir ", " shadow:snapdir " and " recycle:repository
stand, and
.B %%
for %:
"""
MAN_TAIL: Final = r""".SH EXAMPLE
.nf
[projects]
    path = /srv/projects
    read only = no
    valid users = alice @engineers
.fi
.SH SEE ALSO
.BR ksmbd (8),
.BR ksmbd-mountd (8),
.BR ksmbd-addshare (8),
.BR ksmbdpwd.db (5)
"""


def man() -> str:
    """The text of docs/man/ksmbd.conf.5."""
    parts = [MAN_HEAD, MAN_VARIABLES]
    every = {**SERVER, **CLIENT, SHARE_NAME: "the share's name; the account's in [homes]"}
    for letter, meaning in every.items():
        parts.append(f".TP\n.B %{letter}\n{escape(meaning.replace('`', ''))}\n")
    parts.append(".SH GLOBAL PARAMETERS\n")
    parts += [_man_row(row) for row in rows(GlobalParams)]
    parts.append(".SH PARAMETERS OF A SHARE\n")
    parts += [_man_row(row) for row in rows(ShareParams)]
    parts.append(MAN_TAIL)
    return "".join(parts)


def _man_row(row: Row) -> str:
    lines = [".TP", f'.BR {_quoted(row.key)} " (default: {escape(row.default or "empty")})"']
    lines.append(escape(row.meaning.replace("`", "")))
    lines.append(f"Takes {escape(row.values)}.")
    lines.append(f"A reload changes {escape(reload_reach(row.reach))}.")
    if row.aliases:
        lines.append(f"Also {escape(', '.join(row.aliases))}.")
    if row.opposites:
        lines.append(f"The opposite of {escape(', '.join(row.opposites))}.")
    if row.planned:
        lines.append(PLANNED_NOTE)
    return "\n".join(lines) + "\n"


def reload_reach(reach: str) -> str:
    """The column *Reload* as the end of a sentence."""
    return "it at once" if reach == AT_ONCE else "nothing" if reach in (START, NOTHING) else reach


def _quoted(key: str) -> str:
    return f'"{escape(key)}"'


def escape(text: str) -> str:
    """Text that roff prints as it stands."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in {".", "'"} else escaped


def main(arguments: Sequence[str] | None = None) -> int:
    """Print one of the two; 2 if the command line is another."""
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given not in ([], ["--man"]):
        print("usage: python -m mountd.document [--man]", file=sys.stderr)
        return 2
    sys.stdout.write(man() if given else markdown())
    return 0


if __name__ == "__main__":
    sys.exit(main())
