"""Name rules and wildcard matching, against a recursive reading of [MS-FSA] 2.1.4.4."""

from __future__ import annotations

import errno
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ksmbd.vfs.pattern import (
    NameInvalid,
    compile_pattern,
    compile_patterns,
    encode_path,
    has_wildcards,
)


def reference(pattern: str, name: str, last_dot: int, at: int = 0) -> bool:
    """The definition, one symbol at a time, with all its choices."""
    if not pattern:
        return at == len(name)
    symbol, rest = pattern[0], pattern[1:]
    char = name[at : at + 1]

    def go(consumed: int) -> bool:
        return reference(rest, name, last_dot, at + consumed)

    if symbol == "*":
        return any(go(n) for n in range(len(name) - at + 1))
    if symbol == "<":
        limit = last_dot + 1 if at <= last_dot else len(name)
        return any(go(n) for n in range(limit - at + 1))
    if symbol == ">":
        return go(0) if char in ("", ".") else go(1)
    if symbol == '"':
        return go(0) if not char else char == "." and go(1)
    return bool(char) and symbol in ("?", char) and go(1)


@given(st.text('ab.*?<>"', max_size=8), st.text("ab.", max_size=9))
def test_matches_exactly_what_the_definition_matches(pattern: str, name: str) -> None:
    assert compile_pattern(pattern)(name) == reference(pattern, name, name.rfind("."))


@pytest.mark.parametrize(
    ("pattern", "name", "matches"),
    [
        ("*", "", True),
        ("*", ".", True),
        ("*", "anything.at all", True),
        ("*.*", "abc", False),
        ("*.txt", "A.TXT", True),
        ("*.txt", "a.txt.bak", False),
        ("*.txt", "a.txt.txt", True),
        ("*a*a", "xa", False),
        ("?", "", False),
        ("?", "ß", True),
        ("straße", "STRAßE", True),
        ("ÄÖ?", "äöx", True),
        ("<", "abc", True),
        ("<", "abc.", True),
        ("<", "abc.txt", False),
        ("<.txt", "a.b.txt", True),
        ("<.b", "a.b.txt", False),
        ("a>>>", "a", True),
        ("a>>>", "abcd", True),
        ("a>>>", "abcde", False),
        (">>>.c", "a.c", True),
        ("<>", "a.b", True),
        ('abc"', "abc", True),
        ('abc"', "abc.", True),
        ('abc"txt', "abc.txt", True),
        ('abc"txt', "abctxt", False),
        ("[a]", "[a]", True),
        ("[a]*", "[a]b", True),
        ("a*\n", "ab\n", True),
    ],
)
def test_patterns_of_windows_clients(pattern: str, name: str, matches: bool) -> None:
    assert compile_pattern(pattern)(name) is matches


@pytest.mark.parametrize("pattern", ["*?" * 100 + "b", "*a" * 100 + "b", "<?" * 100 + "b"])
def test_many_stars_take_no_exponential_time(pattern: str) -> None:
    matches = compile_pattern(pattern)
    before = time.process_time()
    assert not matches("a" * 255)
    assert time.process_time() - before < 1


@pytest.mark.parametrize(
    "name", ["a", "...", "a.", "a ", " a", "CON", "é" * 127, "a" * 255, "\U0001f4a9"]
)
def test_legal_components(name: str) -> None:
    assert encode_path(f"x/{name}") == f"x/{name}".encode()


@pytest.mark.parametrize(
    "name", ["", ".", "..", "a\\b", "a:b", "a*", "a?", 'a"', "<", ">", "|", "\0", "\x1f"]
)
def test_illegal_components(name: str) -> None:
    with pytest.raises(NameInvalid):
        encode_path(f"x/{name}")


@pytest.mark.parametrize(
    "path", ["/", "/a", "a/", "a//b", "./a", "a/./b", "..", "a/../b", "a/..", "a\\..\\b", "a\0b"]
)
def test_paths_with_illegal_components_are_refused(path: str) -> None:
    with pytest.raises(NameInvalid) as refused:
        encode_path(path)
    assert refused.value.errno == errno.EINVAL


@pytest.mark.parametrize("name", ["a" * 256, "é" * 128, "日" * 86])
def test_too_long_components_are_refused(name: str) -> None:
    for path in (name, f"a/{name}"):
        with pytest.raises(NameInvalid) as refused:
            encode_path(path)
        assert refused.value.errno == errno.ENAMETOOLONG


def test_lone_surrogates_are_refused() -> None:
    with pytest.raises(NameInvalid):
        encode_path("a/\udc80")


def test_posix_paths_may_hold_what_windows_forbids() -> None:
    assert encode_path('a:b/c\\d*?"<>|\n', posix=True) == b'a:b/c\\d*?"<>|\n'
    for path in ("..", "a/../b", "a//b", "/a", "a\0"):
        with pytest.raises(NameInvalid):
            encode_path(path, posix=True)


def test_has_wildcards() -> None:
    assert all(has_wildcards(f"a{char}") for char in '*?<>"')
    assert not has_wildcards("a.b[c]")


def test_veto_matches_without_case_and_none_means_none() -> None:
    veto = compile_patterns(("Thumbs.db", "*.tmp", ""))
    assert veto is not None
    assert veto("THUMBS.DB")
    assert veto("x.TMP")
    assert not veto("x.tmp2")
    assert compile_patterns(("",)) is None
