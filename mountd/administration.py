"""What administrators change over RPC: shares in ksmbd.conf, and who may use them.

The files are those ksmbd-addshare writes, under the same locks; mountd then reads them again and
tells ksmbd, so that the next tree connect finds the share as it is now.
"""

from __future__ import annotations

import contextlib
import errno
import logging
import os
import stat
from collections.abc import Callable, Iterator
from typing import Final

from ksmbd.wire import marked
from mountd import conf, share_edit, share_security
from mountd.conf import GLOBAL, HOMES, IPC, UNSUPPORTED, ConfError
from mountd.conffile import ConfFile, Option
from mountd.rpc.errors import RpcError, Win32
from mountd.rpc.interface import ShareChange
from mountd.share_edit import Unfit, checked
from mountd.state import State

log = logging.getLogger("mountd")

RESERVED: Final = frozenset({GLOBAL, HOMES, IPC, *UNSUPPORTED})  # sections that are no share
DRIVE: Final = "c:"  # what clients see in front of every path


class Administration:
    """One change at a time; every method raises RpcError with a Win32 code.

    BUSY               somebody edits the files by hand
    ACCESS_DENIED      mountd may not write them, or the share stands in an included file
    BAD_CONFIGURATION  the files could not be read, before the change or with it
    INVALID_PARAMETER  a value that cannot stand in the file
    """

    def __init__(self, state: State, tell: Callable[..., None]) -> None:
        self._state = state
        self._tell = tell

    def add(self, name: str, path: str, change: ShareChange) -> None:
        """Share the directory *path*, as clients spell it, for writing.

        INVALID_NAME     no name for a share, or no path for one
        DUPLICATE_SHARE  there is one of that name
        UNKNOWN_DEV_DIR  there is no such directory
        """
        if conf.name_problem(name) or name.casefold() in RESERVED:
            raise RpcError(Win32.INVALID_NAME, name)
        options = [
            Option("path", self._directory(path)),
            Option("read only", "no"),
            *_options(change),
        ]
        with self._editing(name) as file:
            if name.casefold() in file.sections or self._state.files.shares.get(name):
                raise RpcError(Win32.DUPLICATE_SHARE, name)
            self._set_security(name, change.security or b"")
            file.update(name, [checked(option) for option in options])
        log.info("an administrator shares %s", marked.ShareName(name))

    def change(self, name: str, change: ShareChange) -> None:
        """Set what *change* has.

        NET_NAME_NOT_FOUND  there is no such share in the configuration
        """
        with self._editing(name) as file:
            self._require_section(file, name)
            options = [checked(option) for option in _options(change)]
            if options:
                file.update(name, options)
            if change.security is not None:
                self._set_security(name, change.security)
        log.info("an administrator changes share %s", marked.ShareName(name))

    def delete(self, name: str) -> None:
        """Share it no longer; who is connected stays so until disconnecting.

        NET_NAME_NOT_FOUND  there is no such share in the configuration
        """
        with self._editing(name) as file:
            self._require_section(file, name)
            file.delete(name)
        log.info("an administrator ends share %s", marked.ShareName(name))

    @contextlib.contextmanager
    def _editing(self, name: str) -> Iterator[ConfFile]:
        """The configuration, to be changed; then everybody knows."""
        paths = self._state.paths
        with self._state.editing, self._refusing():
            with share_edit.editing(paths.conf, paths.share_security, name, wait=False) as file:
                yield file
            notice = self._state.reload()
            self._tell(self._state.starting_up(), notice)

    @contextlib.contextmanager
    def _refusing(self) -> Iterator[None]:
        """What goes wrong with the files, as Win32 codes."""
        try:
            yield
        except BlockingIOError as busy:
            raise RpcError(Win32.BUSY, str(busy)) from None
        except Unfit as unfit:
            raise RpcError(Win32.INVALID_PARAMETER, str(unfit)) from None
        except ConfError as error:
            log.error("not changed over RPC: %s", error)
            raise RpcError(Win32.BAD_CONFIGURATION, str(error)) from None
        except OSError as error:
            log.warning("not changed over RPC: %s: %s", error.filename, error.strerror)
            raise RpcError(Win32.ACCESS_DENIED, str(error)) from None

    def _require_section(self, file: ConfFile, name: str) -> None:
        if name.casefold() in file.sections and name.casefold() not in RESERVED:
            return
        if self._state.files.shares.get(name) is None:
            raise RpcError(Win32.NET_NAME_NOT_FOUND, name)
        log.info("share %s is not in %s itself", marked.ShareName(name), file.path)
        raise RpcError(Win32.ACCESS_DENIED, f"{name} is not in {file.path} itself")

    def _set_security(self, name: str, descriptor: bytes) -> None:
        """Keep *descriptor*; an empty one makes the share everyone's."""
        path = self._state.paths.share_security
        with share_security.editing(path, wait=False) as descriptors:
            descriptors.pop(name.casefold(), None)
            if descriptor:
                descriptors[name.casefold()] = descriptor

    def _directory(self, path: str) -> str:
        r"""What is meant by ``C:\srv\data``, without the `root directory`."""
        plain = path.replace("\\", "/")
        if plain[:2].casefold() == DRIVE:
            plain = plain[2:]
        parts = plain.split("/")
        if not plain.startswith("/") or {".", ".."} & set(parts) or "%" in plain:
            raise RpcError(Win32.INVALID_NAME, path)
        directory = "/" + "/".join(filter(None, parts))
        if _is_missing(directory):
            raise RpcError(Win32.UNKNOWN_DEV_DIR, directory)
        root = self._state.files.globals.root_directory.rstrip("/")
        if root and not f"{directory}/".startswith(f"{root}/"):
            raise RpcError(Win32.UNKNOWN_DEV_DIR, f"{directory} is not below {root}")
        return directory[len(root) :] or "/"


def _options(change: ShareChange) -> list[Option]:
    """What of *change* stands in the configuration."""
    options = []
    if change.comment is not None:
        options.append(Option("comment", change.comment.strip()))
    if change.max_users is not None:
        options.append(Option("max connections", str(change.max_users)))
    if change.lists_by_access is not None:
        options.append(Option("hide unreadable", "yes" if change.lists_by_access else "no"))
    return options


def _is_missing(directory: str) -> bool:
    """Whether there is surely no such directory; mountd may look at less than ksmbd."""
    try:
        return not stat.S_ISDIR(os.stat(directory).st_mode)
    except OSError as error:
        return error.errno not in (errno.EACCES, errno.EPERM)
