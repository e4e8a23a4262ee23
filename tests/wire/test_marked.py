"""ksmbd/wire/marked.py: text with a field of its own, and the journal's protocol."""

from __future__ import annotations

import json

from ksmbd.wire.marked import MARKS, Account, Client, ShareName, entry, fields_of


def test_a_line_has_a_field_for_each_kind_of_marked_text_and_of_several_the_first() -> None:
    said = ("192.0.2.9", Client("192.0.2.7"), 5, Account("alice"), Client("192.0.2.8"))
    assert fields_of(said) == {"SMB_CLIENT": "192.0.2.7", "SMB_USER": "alice"}
    assert fields_of([ShareName("data")]) == {"SMB_SHARE": "data"}


def test_marked_text_is_text_like_other() -> None:
    for mark in MARKS:
        made = mark("größe")
        assert made == "größe"
        assert {made: 1}["größe"] == 1
        assert f"{made}" == "größe"
        assert f"{made!r}" == "'größe'"
        assert json.dumps(made) == json.dumps("größe")
        assert made.encode() == "größe".encode()


def test_fields_are_lines_and_one_of_several_lines_has_its_length() -> None:
    assert entry({"MESSAGE": "größe", "PRIORITY": "6"}) == "MESSAGE=größe\nPRIORITY=6\n".encode()
    assert entry({"MESSAGE": "a\nb"}) == b"MESSAGE\n\x03\0\0\0\0\0\0\0a\nb\n"


def test_a_name_that_is_no_unicode_arrives_all_the_same() -> None:
    assert entry({"MESSAGE": "a\udc80"}) == b"MESSAGE=a\\udc80\n"
