"""The reference of ksmbd.conf: complete, and what the two files in docs/ hold."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from mountd import document
from mountd.conf import load
from mountd.document import Row, rows
from mountd.meanings import GLOBAL, PLANNED, SHARE
from mountd.params import GLOBAL_KEYS, SHARE_KEYS, GlobalParams, ShareParams

ROOT = Path(__file__).parents[2]
SECTIONS = [(GlobalParams, GLOBAL), (ShareParams, SHARE)]


def all_rows() -> list[Row]:
    return [row for section, _ in SECTIONS for row in rows(section)]


@pytest.mark.parametrize(("section", "meanings"), SECTIONS)
def test_every_parameter_has_a_meaning_and_every_meaning_a_parameter(
    section: type[GlobalParams | ShareParams], meanings: dict[str, str]
) -> None:
    assert list(meanings) == sorted(declared.name for declared in fields(section))
    assert all(text.endswith(".") for text in meanings.values())


def test_what_is_planned_are_parameters() -> None:
    assert {*GLOBAL, *SHARE} >= PLANNED


def test_the_defaults_are_values_that_the_file_may_have() -> None:
    for section, keys in ((GlobalParams, GLOBAL_KEYS), (ShareParams, SHARE_KEYS)):
        params = section()
        for row in rows(section):
            param = keys[row.key]
            if row.default and param.attribute not in document.RANGES:
                assert param.value(row.default) == getattr(params, param.attribute), row.key


@pytest.mark.parametrize(
    ("key", "values", "default"),
    [
        ("create mask", "an octal mode of up to four digits, such as 0744", "0744"),
        ("read only", "yes or no", "yes"),
        ("server signing", document.POLICIES, "auto"),
        ("map to guest", "one of never, bad user, bad password, bad uid", "never"),
        ("smb2 max read", "64K to 8M", "8M"),
        ("server max protocol", document.PROTOCOLS, "SMB3_11"),
        ("hosts allow", document.HOSTS, ""),
        ("deadtime", "a time such as 10 (minutes) or 2h", "0"),
        ("server string", "text", "SMB SERVER"),
    ],
)
def test_values_and_defaults_read_as_in_the_file(key: str, values: str, default: str) -> None:
    row = next(row for row in all_rows() if row.key == key)
    assert (row.values, row.default) == (values, default)


def test_aliases_and_opposites_are_told() -> None:
    text = document.markdown()
    assert "Also `browsable`." in text
    assert "The opposite of `writable`, `writeable`, `write ok`." in text


def test_the_example_is_read_without_a_warning(tmp_path: Path) -> None:
    example = document.INTRODUCTION.partition("```ini\n")[2].partition("```")[0]
    (tmp_path / "ksmbd.conf").write_text(example)
    configuration = load(str(tmp_path / "ksmbd.conf"))
    assert configuration.warnings == []
    assert configuration.shares["projects"][1].create_mask == 0o664


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("AES-128", r"AES\-128"),
        (".hidden", r"\&.hidden"),
        ("a\\b", r"a\eb"),
        ('"x"', r"\(dqx\(dq"),
    ],
)
def test_roff_prints_the_text_as_it_stands(text: str, escaped: str) -> None:
    assert document.escape(text) == escaped


def test_the_reference_is_current() -> None:
    written = (ROOT / "docs/configuration.md").read_text()
    assert written == document.markdown(), "run: python -m mountd.document >docs/configuration.md"


def test_the_manual_page_is_current() -> None:
    written = (ROOT / "docs/man/ksmbd.conf.5").read_text()
    assert written == document.man(), "run: python -m mountd.document --man >docs/man/ksmbd.conf.5"


def test_the_command_prints_either(capsys: pytest.CaptureFixture[str]) -> None:
    assert document.main([]) == 0
    assert capsys.readouterr().out == document.markdown()
    assert document.main(["--man"]) == 0
    assert capsys.readouterr().out == document.man()
    assert document.main(["--html"]) == 2
    assert "usage" in capsys.readouterr().err
