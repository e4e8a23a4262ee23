"""Every structure of ksmbd.wire: any value survives the wire, and no two sizes disagree."""

from __future__ import annotations

import importlib
import pkgutil

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import ksmbd.wire
from ksmbd.wire.base import Wire
from tests.wire.vectors import instances


def structures() -> list[type[Wire]]:
    found = []
    for module in pkgutil.iter_modules(ksmbd.wire.__path__, "ksmbd.wire."):
        found += [
            thing
            for thing in vars(importlib.import_module(module.name)).values()
            if isinstance(thing, type)
            and issubclass(thing, Wire)
            and thing.__module__ == module.name
            and thing is not Wire
        ]
    return found


@pytest.mark.parametrize("structure", structures(), ids=lambda s: s.__name__)
@settings(max_examples=10, deadline=None)
@given(data=st.data())
def test_any_value_survives_the_wire(structure: type[Wire], data: st.DataObject) -> None:
    value = data.draw(instances(structure))
    packed = value.pack()
    assert len(packed) == structure.SIZE
    assert structure.unpack(packed) == value
    buffer = bytearray(structure.SIZE + 3)
    value.pack_into(buffer, 3)
    assert buffer[3:] == packed


def test_the_messages_have_the_structure_sizes_of_the_specification() -> None:
    sizes = {s.__name__: s.STRUCTURE_SIZE for s in structures() if s.STRUCTURE_SIZE}
    requests = {
        "Negotiate": 36,
        "SessionSetup": 25,
        "Logoff": 4,
        "TreeConnect": 9,
        "TreeDisconnect": 4,
        "Create": 57,
        "Close": 24,
        "Flush": 24,
        "Read": 49,
        "Write": 49,
        "Lock": 48,
        "Ioctl": 57,
        "Cancel": 4,
        "Echo": 4,
        "QueryDirectory": 33,
        "ChangeNotify": 32,
        "QueryInfo": 41,
        "SetInfo": 33,
    }
    assert {name: sizes[f"{name}Request"] for name in requests} == requests
    assert (sizes["OplockBreakAcknowledgment"], sizes["LeaseBreakAcknowledgment"]) == (24, 36)
    assert (sizes["OplockBreakNotification"], sizes["LeaseBreakNotification"]) == (24, 44)
    assert sizes["ErrorResponse"] == 9
