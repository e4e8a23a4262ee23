"""ksmbdpwd.db, the accounts: one ``name:base64(NT hash)`` a line, sorted, as ksmbd-tools has it."""

from __future__ import annotations

import base64
import binascii
import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import Iterator, Mapping
from typing import Final

from ksmbd.crypto.md4 import nt_hash
from ksmbd.wire.secret import Secret
from mountd.conf import ConfError

DEFAULT_PATH: Final = "/etc/ksmbd/ksmbdpwd.db"
MAX_NAME: Final = 47  # bytes
MAX_PASSWORD: Final = 128  # bytes of UTF-8
MODE: Final = 0o640
_HASH: Final = 16
_FORBIDDEN: Final = re.compile(r"[:\x00-\x1f\x7f]")

Accounts = dict[str, bytes]  # name -> NT hash


def numbered_lines(path: str) -> Iterator[tuple[int, bytes]]:
    """The lines with something in them, from 1 on; none without the file. Raises ConfError."""
    try:
        with open(path, "rb") as file:
            lines = file.read().split(b"\n")
    except FileNotFoundError:
        return
    except OSError as error:
        raise ConfError(path, 0, error.strerror or str(error)) from None
    yield from ((number, line) for number, line in enumerate(lines, 1) if line.strip())


def load(path: str) -> Accounts:
    """Read the file; without one there are no accounts. Raises ConfError with file and line."""
    accounts: Accounts = {}
    for number, raw in numbered_lines(path):
        try:
            name, digest = _account(raw)
        except ValueError as error:
            raise ConfError(path, number, str(error)) from None
        if name in accounts:
            raise ConfError(path, number, f"{name!r} is there twice")
        accounts[name] = digest
    return accounts


def lookup(accounts: Mapping[str, bytes], name: str) -> str | None:
    """The account *name* means: its own spelling, else the only one that differs by case alone."""
    if name in accounts:
        return name
    folded = name.casefold()
    matches = [known for known in accounts if known.casefold() == folded]
    return matches[0] if len(matches) == 1 else None


def hash_password(password: str) -> bytes:
    """The NT hash. Raises ValueError if the password is too long or no text."""
    if len(_utf8(password, "password")) > MAX_PASSWORD:
        raise ValueError(f"a password has at most {MAX_PASSWORD} bytes")
    return nt_hash(password)


def name_problem(name: str) -> str:
    """Why *name* cannot be an account's, or an empty text."""
    try:
        length = len(_utf8(name, "name"))
    except ValueError as error:
        return str(error)
    if not 1 <= length <= MAX_NAME:
        return f"an account's name has 1 to {MAX_NAME} bytes"
    if _FORBIDDEN.search(name) or name != name.strip():
        return "an account's name has no colon, no control character and no blank at its ends"
    return ""


@contextlib.contextmanager
def editing(path: str) -> Iterator[Accounts]:
    """The accounts, to be changed inside ``with``; written at its end unless it raises.

    Others who edit wait; readers see the old file or the new one. Raises ConfError, OSError.
    """
    with locked(path):
        accounts = load(path)
        before = dict(accounts)
        yield accounts
        if accounts != before or not os.path.exists(path):
            save(path, accounts)


@contextlib.contextmanager
def locked(path: str, *, wait: bool = True) -> Iterator[None]:
    """Hold *path*'s lock file, which stays behind: removing it would let two in.

    The folder's group may take it, too: mountd is not whom the administrator's tools run as.
    Without *wait* raises BlockingIOError if somebody has it.
    """
    flags = os.O_RDONLY | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
    fd = os.open(f"{path}.lock", flags, 0o640)
    try:
        with contextlib.suppress(PermissionError):  # whoever made it has seen to it
            os.fchmod(fd, 0o640)  # whatever the umask
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(fd)


def save(path: str, accounts: Mapping[str, bytes]) -> None:
    """Write the file anew, sorted."""
    lines = (f"{name}:{base64.b64encode(digest).decode()}\n" for name, digest in accounts.items())
    replace_file(path, "".join(sorted(lines)).encode(), MODE)


def replace_file(path: str, content: bytes, mode: int) -> None:
    """Put a new file in the place of *path*, all or nothing, with the old one's owner.

    *mode* is for a file that did not exist; a link is followed.
    """
    path = os.path.realpath(path)
    fd, temporary = tempfile.mkstemp(prefix=os.path.basename(path) + ".", dir=os.path.dirname(path))
    try:
        with open(fd, "wb") as file:
            _take_over(fd, path, mode)
            file.write(content)
            file.flush()
            os.fsync(fd)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def _take_over(fd: int, path: str, mode: int) -> None:
    """Give *fd* the owner, group and mode of *path*."""
    try:
        old = os.stat(path)
    except FileNotFoundError:
        os.fchmod(fd, mode)
        return
    try:
        os.fchown(fd, old.st_uid, old.st_gid)
    except OSError as error:
        if error.errno != errno.EPERM:
            raise
    os.fchmod(fd, old.st_mode & 0o7777)


def _account(raw: bytes) -> tuple[str, bytes]:
    try:
        line = raw.decode().rstrip("\r")
    except UnicodeDecodeError:
        raise ValueError("expected UTF-8") from None
    name, colon, encoded = line.partition(":")
    if not colon:
        raise ValueError("expected name:hash")
    if problem := name_problem(name):
        raise ValueError(problem)
    try:
        digest = base64.b64decode(encoded, validate=True)
    except binascii.Error:
        raise ValueError(f"the hash of {name!r} is not base64") from None
    if len(digest) != _HASH:
        raise ValueError(f"the hash of {name!r} has {len(digest)} bytes, not {_HASH}")
    return name, Secret(digest)


def _utf8(value: str, what: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"the {what} is not UTF-8") from None
