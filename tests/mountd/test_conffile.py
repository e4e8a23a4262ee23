from __future__ import annotations

from pathlib import Path

import pytest

from mountd.conffile import HEADER, ConfFile, Option

TEXT = """; first
[global]
  workgroup = W ; mine
\tread only = no

# about data
[Data]
\tpath = /srv/data   # here
; inside
\tcomment = long \\
   one

[other]
path=/o
"""


@pytest.fixture
def file(tmp_path: Path) -> ConfFile:
    (tmp_path / "x.conf").write_text(TEXT)
    return ConfFile(str(tmp_path / "x.conf"))


def content(file: ConfFile) -> str:
    return file.content().decode()


def test_what_is_not_changed_stays_as_it_was(file: ConfFile) -> None:
    assert content(file) == TEXT
    assert not file.changed


def test_a_file_that_is_not_there_begins_with_a_header(tmp_path: Path) -> None:
    file = ConfFile(str(tmp_path / "none"))
    file.update("a", [Option("path", "/a")])
    assert content(file) == f"{HEADER}\n[a]\n\tpath = /a\n"


def test_a_new_section_comes_last(file: ConfFile) -> None:
    file.update("New", [Option("path", "/n"), Option("guest ok", "yes")])
    assert content(file) == f"{TEXT}\n[New]\n\tpath = /n\n\tguest ok = yes\n"


def test_a_value_changes_in_its_place(file: ConfFile) -> None:
    file.update("DATA", [Option("comment", "short")])
    assert content(file) == TEXT.replace("\tcomment = long \\\n   one\n", "\tcomment = short\n")


def test_a_new_value_stands_at_the_end_of_its_section(file: ConfFile) -> None:
    file.update("data", [Option("guest ok", "yes"), Option("oplocks", "no")])
    assert content(file) == TEXT.replace("   one\n", "   one\n\tguest ok = yes\n\toplocks = no\n")


def test_a_value_of_the_same_meaning_is_replaced(file: ConfFile) -> None:
    file.update("global", [Option("writable", "no")])
    assert content(file) == TEXT.replace("\tread only = no\n", "\twritable = no\n")


def test_setting_what_is_there_changes_nothing(file: ConfFile) -> None:
    file.update("data", [Option("path", "/srv/data")])
    assert not file.changed


def test_a_value_may_change_twice(file: ConfFile) -> None:
    file.update("data", [Option("path", "/1"), Option("path", "/2")])
    assert "\tpath = /2\n" in content(file)
    assert "/1" not in content(file)


def test_a_deleted_section_takes_its_comments_along(file: ConfFile) -> None:
    file.delete("data")
    assert content(file) == TEXT[: TEXT.index("[Data]")] + "\n[other]\npath=/o\n"


def test_every_part_of_a_section_is_deleted(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("[a]\npath=/a\n[b]\npath=/b\n[A]\nguest ok=yes")
    file = ConfFile(str(tmp_path / "x.conf"))
    file.delete("a")
    assert content(file) == "[b]\npath=/b\n"


def test_values_are_the_share_s_else_the_defaults(file: ConfFile) -> None:
    values = file.values("data")
    assert values["path"] == "/srv/data"
    assert values["comment"] == "long one"
    assert values["read_only"] == "no"
    assert (values["create_mask"], values["guest_ok"]) == ("0744", "no")
    assert (values["smb_encrypt"], values["hosts_allow"]) == ("auto", "")
    assert values["max_connections"] == "128"


def test_writable_is_told_as_read_only(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_text("[a]\nwritable = yes\n[b]\nwritable = perhaps\n")
    file = ConfFile(str(tmp_path / "x.conf"))
    assert file.values("a")["read_only"] == "no"
    assert file.values("b")["read_only"] == "perhaps"


def test_lines_of_other_systems_are_counted_alike(tmp_path: Path) -> None:
    (tmp_path / "x.conf").write_bytes(
        "\ufeff[a]\r\ncomment = x\u2028y\x0bz\r\npath=/a\r\n".encode()
    )
    file = ConfFile(str(tmp_path / "x.conf"))
    file.update("a", [Option("path", "/b")])
    assert content(file) == "[a]\r\ncomment = x\u2028y\x0bz\r\n\tpath = /b\n"
