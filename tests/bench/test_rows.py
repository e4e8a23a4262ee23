"""bench/rows.py, and every row once against the running server."""

from __future__ import annotations

import sys

import pytest

from bench.__main__ import main, parse
from bench.bulk import WAYS
from bench.contenders import COMPILED, available
from bench.rows import ROWS, Bulk, Row


def test_names_are_unique_and_units_known() -> None:
    assert len({row.name for row in ROWS}) == len(ROWS)
    assert {row.unit for row in ROWS} == {"op/s", "MB/s"}


def test_the_size_of_the_file_is_filled_in() -> None:
    (row,) = [row for row in ROWS if row.name == "sequential 64 KiB read"]
    assert isinstance(row, Row)
    assert row.command(32) == ["-S", "32", "-b", "65536", "-q", "4", "read"]


def test_every_way_to_protect_messages_is_read_and_written() -> None:
    found = {(row.way, row.writing) for row in ROWS if isinstance(row, Bulk)}
    assert found == {(way, writing) for way in WAYS for writing in (False, True)}


def test_the_larger_folder_is_made_only_where_it_is_listed() -> None:
    plan, _ = parse(["--only", "^echo"])
    assert set(plan.folders) == {"bench_dir", "bench_few"}
    plan, _ = parse(["--only", "listing", "--huge", "7"])
    assert plan.folders["bench_huge"] == 7


def test_rows_can_be_chosen_by_name() -> None:
    plan, chosen = parse(["--only", "^echo", "--rounds", "2"])
    assert [row.name for row in plan.rows] == ["echo", "echo, 8 connections of 4"]
    assert plan.rounds == 2
    assert chosen.servers.split(",") == available()
    assert [name for name in available() if name != COMPILED] == ["samba", "ksmbd", "impacket"]
    assert parse(["--smoke"])[1].servers == "ksmbd"


@pytest.mark.interop
@pytest.mark.timeout(300)
def test_every_row_works(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--smoke"]) == 0, capsys.readouterr().out


def test_ksmbd_is_run_by_other_interpreters_under_names_of_their_own(
    capsys: pytest.CaptureFixture[str],
) -> None:
    _, chosen = parse(["--servers", "ksmbd", "--python", f"ksmbd-other={sys.executable}"])
    assert chosen.servers.split(",") == ["ksmbd", "ksmbd-other"]
    assert chosen.python == [("ksmbd-other", sys.executable)]
    for wrong in ("ksmbd-other", f"={sys.executable}", f"samba={sys.executable}", "new=/not/there"):
        with pytest.raises(SystemExit):
            parse(["--python", wrong])
    assert "not NAME=PROGRAM" in capsys.readouterr().err
