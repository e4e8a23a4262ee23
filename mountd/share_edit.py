"""Changes to the shares of ksmbd.conf: by ksmbd-addshare, and by administrators over RPC.

The file's lock is held from reading to replacing it, and what comes out must be readable.
"""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Iterator
from typing import Final

from mountd import conf, share_security, users
from mountd.conf import ConfError
from mountd.conffile import ConfFile, Option
from mountd.params import SHARE_KEYS, text

log = logging.getLogger("mountd")

MODE: Final = 0o644  # of a configuration that did not exist


class Unfit(ValueError):
    """A value that cannot stand in the file; the text says why."""


@contextlib.contextmanager
def editing(path: str, descriptors: str, name: str, *, wait: bool = True) -> Iterator[ConfFile]:
    """The file, to be changed in section *name* inside ``with``; written at its end.

    A share that is deleted takes its own descriptor in the file *descriptors* along, before
    anybody can make another share of its name.

    Others who edit wait; readers see the old file or the new one. Raises ConfError, OSError;
    without *wait* BlockingIOError if somebody else edits.
    """
    folded = name.casefold()
    with users.locked(path, wait=wait):
        file = ConfFile(path)
        was_there = folded in file.sections
        yield file
        if file.changed:
            _write(file, name)
        if was_there and folded not in file.sections:
            share_security.forget(descriptors, name, wait=wait)


def checked(option: Option) -> Option:
    """*option*, in quotation marks if it needs them. Raises Unfit if it is not good."""
    param = SHARE_KEYS[option.key]
    key, value = option
    if not value.isprintable():
        raise Unfit(f"{key}: a value has no control characters")
    if value or param.empty:
        try:
            param.value(value)
        except ValueError as error:
            raise Unfit(f"{key} = {value}: expected {error}") from None
    line = f"{key} = {value}"
    if conf.without_comment(line) == line and not line.endswith("\\"):
        return option
    if '"' in value or param.value(f'"{value}"') != text(value):
        raise Unfit(f"{key} = {value}: # and ; begin a comment, and \\ joins lines")
    return Option(key, f'"{value}"')


def _write(file: ConfFile, name: str) -> None:
    """Replace the file, if what comes out can be read."""
    temporary = f"{file.path}.new"
    try:
        users.replace_file(temporary, file.content(), 0o600)
        configuration = conf.load(temporary)
        for warning in configuration.warnings:
            if f"[{name.casefold()}]" in warning.casefold():
                log.warning("%s", warning.replace(temporary, file.path))
    except ConfError as error:
        raise ConfError(file.path, error.line, error.why) from None
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
    users.replace_file(file.path, file.content(), MODE)
