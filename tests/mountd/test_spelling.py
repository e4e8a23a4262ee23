"""Values written so that they read back."""

from __future__ import annotations

from dataclasses import Field, fields
from typing import Any

import pytest

from mountd.params import GLOBAL_KEYS, SHARE_KEYS, GlobalParams, ShareParams
from mountd.spelling import RANGES, default, key, spelled

DECLARED = {key(each): each for each in (*fields(GlobalParams), *fields(ShareParams))}


@pytest.mark.parametrize("declared", DECLARED.values(), ids=key)
def test_every_default_reads_back(declared: Field[Any]) -> None:
    text = default(declared)
    table = GLOBAL_KEYS if key(declared) in GLOBAL_KEYS else SHARE_KEYS
    param = table[key(declared)]
    if not text:
        assert param.empty or not declared.default
        return
    assert param.value(text) == (declared.default or RANGES.get(declared.name, declared.default))


@pytest.mark.parametrize(
    ("name", "value", "text"),
    [
        ("veto files", ("*.tmp", "a b"), "/*.tmp/a b/"),
        ("valid users", ("a b", "c"), '"a b" c'),
        ("create mask", 0o40, "0040"),
        ("smb2 max read", 1 << 20, "1M"),
        ("smb2 max read", 65537, "65537"),
        ("read only", False, "no"),
    ],
)
def test_values(name: str, value: Any, text: str) -> None:
    assert spelled(DECLARED[name], value) == text
