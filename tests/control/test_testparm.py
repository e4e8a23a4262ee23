"""ksmbd-control testparm: what is set, where, and that it reads back as the same."""

from __future__ import annotations

import logging
import re
from pathlib import Path

import pytest

from control import __main__ as command
from mountd import conf

TEXT = """\
[global]
\tserver string = of the test
\tserver signing = required
\tsmb2 max read = 1M
\tcreate mask = 0700
\thosts allow = 10.0.0.0/8 EXCEPT 10.1.2.3
\tmystery = 7
[Media]
\tpath = /srv/media
\twritable = yes
\tinclude = more.conf
[other]
\tpath = /srv/other
\tcreate mask = 0640
"""
MORE = """\
vfs objects = acl_xattr streams_xattr
veto files = /*.tmp/Thumbs.db/
valid users = alice "big bob"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "ksmbd.conf"
    path.write_text(TEXT)
    (tmp_path / "more.conf").write_text(MORE)
    return path


def shown(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert command.main(["testparm", *arguments]) == 0
    return capsys.readouterr().out


def test_what_is_set_is_shown_with_its_line(
    file: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    folder = f"{file.parent}/"
    lines = [
        re.sub(r"  +# ", " # ", line.strip()).replace(folder, "")
        for line in shown(capsys, str(file)).splitlines()
    ]
    assert lines == [
        "# ksmbd.conf",
        "",
        "[global]",
        "server signing = mandatory # ksmbd.conf:3",
        "server string = of the test # ksmbd.conf:2",
        "smb2 max read = 1M # ksmbd.conf:4",
        "create mask = 0700 # ksmbd.conf:5",
        "hosts allow = 10.0.0.0/8 EXCEPT 10.1.2.3 # ksmbd.conf:6",
        "",
        "[Media]",
        "create mask = 0700 # ksmbd.conf:5",
        "hosts allow = 10.0.0.0/8 EXCEPT 10.1.2.3 # ksmbd.conf:6",
        "path = /srv/media # ksmbd.conf:9",
        "read only = no # ksmbd.conf:10",
        'valid users = alice "big bob" # more.conf:3',
        "veto files = /*.tmp/Thumbs.db/ # more.conf:2",
        "vfs objects = acl_xattr streams_xattr # more.conf:1",
        "",
        "[other]",
        "create mask = 0640 # ksmbd.conf:14",
        "hosts allow = 10.0.0.0/8 EXCEPT 10.1.2.3 # ksmbd.conf:6",
        "path = /srv/other # ksmbd.conf:13",
    ]


def test_warnings_are_told(
    file: Path, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    try:
        command.main(["testparm", str(file)])
    finally:
        root.handlers[:], _ = before
        root.setLevel(before[1])
    assert f"{file}:7: unknown parameter 'mystery' is ignored" in capsys.readouterr().err


def test_what_is_shown_means_the_same(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for options in ((), ("--all",)):
        again = file.parent / "again.conf"
        again.write_text(shown(capsys, str(file), *options))
        first, second = conf.load(str(file)), conf.load(str(again))
        assert second.globals == first.globals
        assert second.shares == first.shares


def test_all_shows_every_parameter(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    text = shown(capsys, str(file), "--all")
    assert re.search(r"^ +tcp port = 445 +# default$", text, re.M)
    assert text.count("  # default") > 60


def test_an_error_is_told_with_its_line(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file.write_text("[global]\nserver signing = perhaps\n")
    assert command.main(["testparm", str(file)]) == 1
    out, err = capsys.readouterr()
    assert out == ""
    assert f"{file}:2: server signing = perhaps: expected" in err
    assert command.main(["testparm", str(file.parent / "none.conf")]) == 1
    assert "none.conf: No such file" in capsys.readouterr().err
