"""``ksmbd-control testparm``: what a configuration means, and which line says so."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import fields
from typing import Final

from ksmbd.wire.text import printable
from mountd import conf
from mountd.conf import Configuration, Entry
from mountd.hosts import Hosts
from mountd.params import GlobalParams, ShareParams
from mountd.spelling import default, key, spelled

log = logging.getLogger("ksmbd.control")

_COLUMN: Final = 40  # where the origin begins, if the line is not longer


def testparm(path: str | None, *, everything: bool) -> str:
    """The parameters that are set, or all of them, as a file that means the same.

    Each with the file and line it comes from.  Warnings are logged.  Raises ConfError.
    """
    configuration = conf.load(conf.find(path))
    for warning in configuration.warnings:
        log.warning("%s", warning)
    lines = [f"# {configuration.file}"]
    for folded, name, parameters in _sections(configuration):
        origins = configuration.origins[folded]
        lines += ["", f"[{printable(name)}]"]
        for each in parameters:
            lines += _lines(each, origins, everything)
    return "\n".join(lines)


def _sections(
    configuration: Configuration,
) -> Iterator[tuple[str, str, list[GlobalParams | ShareParams]]]:
    yield conf.GLOBAL, conf.GLOBAL, [configuration.globals, configuration.defaults]
    for folded, (name, share) in configuration.shares.items():
        yield folded, name, [share]


def _lines(
    parameters: GlobalParams | ShareParams, origins: dict[str, Entry], everything: bool
) -> Iterator[str]:
    """One line a parameter, in alphabetical order."""
    for declared in sorted(fields(parameters), key=key):
        origin = origins.get(declared.name)
        value = getattr(parameters, declared.name)
        if origin is not None:
            text = origin.value if isinstance(value, Hosts) else spelled(declared, value)
            source = f"{origin.file}:{origin.line}"
        elif everything:
            text, source = default(declared), "default"
        else:
            continue
        yield f"    {key(declared)} = {printable(text)}".ljust(_COLUMN) + f"  # {source}"
