"""What the documents have a reader type and look for: commands, configurations, lines of the log.

```sh and ```console   lines that begin with one of our programs pass its parser
```ini                 is a ksmbd.conf that is read without a warning
```log                 lines that our sources can write
NT_STATUS_...          statuses that the server knows
"""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

from ksmbd.wire.status import NtStatus
from mountd.conf import load
from mountd.elsewhere import BEGINNINGS, EXACT
from mountd.params import GLOBAL_KEYS, SHARE_KEYS
from tests.test_docs import DOCS, PROGRAMS, ROOT, TEXTS, names, parser_of

BLOCK = re.compile(r"^```(?P<kind>\w+)\n(?P<text>.*?)^```", re.M | re.S)
PROMPT = re.compile(r"^[#$] ")
PREFIX = re.compile(r"^\[ksmbd(\.\w+)?/\d+\]: [A-Z]+: |^(ksmbd|ksmbd-mountd): ")
ALIASES = {name.replace("-", ".", 1): name for name in PROGRAMS if name != "ksmbd"}
SOURCES = ("ksmbd", "mountd", "discovery", "control")
ENDS = {"&", "|", "&&", ";", ">", ">/dev/null"}
LITERAL = 8  # letters; shorter strings of the sources say nothing
FORMAT = re.compile(r"%(?:#?[a-z]|\.\d+[a-z]|[-\d]+[a-z])")


def blocks(path: Path, *kinds: str) -> Iterator[str]:
    for found in BLOCK.finditer(path.read_text()):
        if found["kind"] in kinds:
            yield found["text"]


def typed(path: Path) -> Iterator[str]:
    """Lines that a reader is to type, those with a backslash at the end joined."""
    for text in blocks(path, "sh"):
        yield from text.replace("\\\n", " ").splitlines()
    for text in blocks(path, "console"):
        yield from filter(PROMPT.match, text.splitlines())


def our_commands(line: str) -> Iterator[list[str]]:
    """The command lines of our programs in a line, wherever in a pipe or a list they stand."""
    words = shlex.split(PROMPT.sub("", line), comments=True)
    while words:
        end = next((number for number, word in enumerate(words) if word in ENDS), len(words))
        command, words = words[:end], words[end + 1 :]
        if command[:1] == ["sudo"]:
            command = command[1:]
        if command and ALIASES.get(command[0], command[0]) in PROGRAMS:
            yield [ALIASES.get(command[0], command[0]), *command[1:]]


COMMANDS = [
    (names(path), command)
    for path in TEXTS
    for line in typed(path)
    for command in our_commands(line)
]


def test_commands_are_found() -> None:
    assert len(COMMANDS) > 30
    assert {command[0] for _, command in COMMANDS} == PROGRAMS.keys() - {"ksmbd-discovery"}
    assert list(our_commands("pass show a | ksmbd.adduser -p - a  # a b")) == [
        ["ksmbd-adduser", "-p", "-", "a"]
    ]
    assert list(our_commands("apt install ksmbd")) == []


@pytest.mark.parametrize(
    ("where", "command"), COMMANDS, ids=[" ".join(command) for _, command in COMMANDS]
)
def test_a_command_is_one_that_the_program_takes(
    where: str, command: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        parser = parser_of(PROGRAMS[command[0]], patch)
    parser.parse_args(command[1:])  # a SystemExit is its refusal


CONFIGURATIONS = [
    pytest.param(text, id=f"{names(path)}-{number}")
    for path in TEXTS
    for number, text in enumerate(blocks(path, "ini"))
]


@pytest.mark.parametrize("text", CONFIGURATIONS)
def test_a_configuration_is_read_without_a_warning(text: str, tmp_path: Path) -> None:
    (tmp_path / "ksmbd.conf").write_text(text)
    assert load(str(tmp_path / "ksmbd.conf")).warnings == []


def spelled(node: ast.AST) -> list[str] | None:
    """The parts of a string of the sources between its values; None: it is no string."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return FORMAT.split(node.value)
    if isinstance(node, ast.JoinedStr):
        values = [v.value if isinstance(v, ast.Constant) else None for v in node.values]
        return "".join("\0" if value is None else str(value) for value in values).split("\0")
    return None


class Saying(NamedTuple):
    """Something that our sources can say."""

    pattern: re.Pattern[str]
    letters: int  # that are always the same


def saying(parts: list[str]) -> Saying:
    pattern = re.compile("(?:expected )?" + ".*".join(map(re.escape, parts)))
    return Saying(pattern, letters("".join(parts)))


def letters(text: str) -> int:
    return sum(map(str.isalpha, text))


@cache
def sayings() -> tuple[list[Saying], list[Saying]]:
    """All that our sources can say, and the clauses that a line may end with."""
    strings = {
        tuple(parts)
        for package in SOURCES
        for path in (ROOT / package).rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if (parts := spelled(node)) is not None and letters("".join(parts)) >= LITERAL
    }
    ends = {tuple("\0".join(parts).rpartition(": ")[2].split("\0")) for parts in strings}
    return [saying(list(each)) for each in strings], [saying(list(each)) for each in ends]


def said(line: str) -> bool:
    """Whether a whole saying is in the line, and its last clause is no mere value of another."""
    line = PREFIX.sub("", line)
    clauses = line.split(": ")
    tails = [": ".join(clauses[number:]) for number in range(len(clauses))]
    whole, ends = sayings()
    matching = [s for s in whole if any(s.pattern.fullmatch(tail) for tail in tails)]
    if any(each.letters > letters(line) * 0.6 for each in matching):
        return True
    last = letters(tails[-1]) * 0.3
    ended = any(s.letters > last and s.pattern.fullmatch(tails[-1]) for s in ends)
    return bool(matching) and ended


LOG_LINES = [
    (names(path), line)
    for path in TEXTS
    for text in blocks(path, "log")
    for line in text.splitlines()
]


def test_lines_of_the_log_are_found() -> None:
    assert len(LOG_LINES) > 15


@pytest.mark.parametrize(
    "line",
    [
        "a line that nobody writes",
        "[ksmbd/1]: INFO: 1.1.1.1 at mine: 'tester' refused: not among valid users",
        "[ksmbd/1]: INFO: reloaded: 1 changes, 0 removed",
        "[ksmbd/1]: INFO: tcp port is changed: not before new start",
        "[ksmbd/1]: INFO: 1.1.1.1: log-on refused: LOGON_FAILURE: A\\b: the password is wrong",
    ],
)
def test_a_line_that_is_almost_right_is_noticed(line: str) -> None:
    assert not said(line)


@pytest.mark.parametrize(("where", "line"), LOG_LINES)
def test_a_line_of_the_log_is_one_that_is_written(where: str, line: str) -> None:
    assert PREFIX.search(line), f"{where}: {line}"
    assert said(line), f"{where}: {line}"


@pytest.mark.parametrize("text", TEXTS, ids=names)
def test_a_status_is_one_there_is(text: Path) -> None:
    named = set(re.findall(r"\bNT_STATUS_([A-Z][A-Z_0-9]+)\b", text.read_text()))
    # what smbclient says of itself, without a server
    own = {"IO_TIMEOUT", "CONNECTION_REFUSED", "CONNECTION_DISCONNECTED"}
    assert named - own - NtStatus.__members__.keys() == set()


GUIDES = [DOCS / name for name in ("migration.md", "security-guide.md", "tuning.md")] + [
    DOCS / "troubleshooting.md",
    *sorted(DOCS.glob("clients/*.md")),
]


@pytest.mark.parametrize("text", GUIDES, ids=names)
def test_a_setting_in_the_prose_is_one_there_is(text: Path) -> None:
    """And takes the value, but where the page says that it does not."""
    refused = {("smb3 encryption", "yes")} if text.name == "migration.md" else set()
    known = {**GLOBAL_KEYS, **SHARE_KEYS}
    for key, value in re.findall(r"`([a-z][a-z0-9_: ]+?) = ([^`]+)`", text.read_text()):
        if key == "include" or key in EXACT or (key, value) in refused:
            continue
        assert key in known, f"{key} = {value}"
        known[key].value(value)


def test_the_page_for_who_comes_from_samba_has_every_line_that_means_nothing_here() -> None:
    text = (DOCS / "migration.md").read_text()
    told = {**EXACT, **{begin.rstrip(" "): why for begin, why in BEGINNINGS.items()}}
    for name, why in told.items():
        row = next((line for line in text.splitlines() if f"`{name}" in line and why in line), None)
        assert row is not None, f"{name}: {why}"
