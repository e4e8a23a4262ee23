"""docs/rpc.md out of the interfaces' tables: every operation, and how it is answered.

python -m mountd.rpc_document >docs/rpc.md
"""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from enum import IntEnum
from typing import Final

from mountd.rpc.interface import Interface, Operation
from mountd.rpc.pipe import PIPES

SECTION: Final = re.compile(r"\[MS-\w+\] \d+(?:\.\d+)+|\[C706\] appendix [A-Z]")
HEAD: Final = """# RPC

The named pipes of `IPC$` and what is spoken over them: which operations there are, and how each is
answered. This page is made from the tables of `mountd/rpc/`; `mountd/rpc_document.py` writes it.

What is not listed here is a fault: of an operation that an interface does not have,
`nca_s_op_rng_error`; of an interface, the refusal of its presentation context; of a pipe,
STATUS_OBJECT_NAME_NOT_FOUND at the open. Stubs that do not decode to their last byte's worth are
`RPC_X_BAD_STUB_DATA`, and context handles are good on the pipe that gave them.

*refused* means that the operation is there and says so to everybody, administrators included, with
the code in the table: what it would change is kept in files that other tools own, or there is no
such thing here. Who administers: root, and the `admin users` of `[global]`.
"""


def markdown() -> str:
    return "\n".join(_lines())


def _lines() -> Iterator[str]:
    yield HEAD
    yield "| Pipe | Interfaces |"
    yield "|---|---|"
    for pipe, offered in PIPES.items():
        yield f"| `{pipe}` | {', '.join(interface.name for interface in offered)} |"
    known = {interface.name: interface for offered in PIPES.values() for interface in offered}
    for interface in known.values():
        yield from _interface(interface)
    yield ""


def _interface(interface: Interface) -> Iterator[str]:
    syntax = interface.syntax
    yield ""
    yield f"## {interface.name}"
    yield ""
    yield f"`{syntax.uuid}` version {syntax.major}.{syntax.minor}"
    yield ""
    yield "| Opnum | Operation | Answer | Specification |"
    yield "|---|---|---|---|"
    for opnum, operation in sorted(interface.operations.items()):
        yield f"| {opnum} | {operation.name} | {_answer(operation)} | {_section(operation)} |"


def _answer(operation: Operation) -> str:
    code = operation.refuses
    if code is None:
        return "yes"
    return f"refused: {code.name if isinstance(code, IntEnum) else hex(code)}"


def _section(operation: Operation) -> str:
    """Where the operation is specified, as its handler says."""
    if operation.refuses is not None:
        return ""
    found = SECTION.search((inspect.getdoc(operation.handler) or "").partition("\n")[0])
    return found[0] if found else ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
