"""The recycle bin: a directory of the share that takes the files which clients delete.

The parameters are those of Samba's module of the name, and mean the same.  What has no content is
deleted for good all the same: directories, symlinks, special files, streams that go alone.  A file
takes its streams, attributes and access lists along, for all of them hang on its inode.

The way to the repository leads over real directories of the share and never over a symlink.
Everything is done as who deletes: where that user cannot put the file, it is deleted for good.
"""

from __future__ import annotations

import contextlib
import os
import stat
from itertools import accumulate
from typing import Final, NamedTuple

from ksmbd.vfs import credentials, moving
from ksmbd.vfs.handle import Handle
from ksmbd.vfs.moving import Name
from ksmbd.vfs.path import O_PATH
from ksmbd.vfs.pattern import MAX_COMPONENT_BYTES, compile_patterns
from ksmbd.vfs.root import ShareRoot, set_group_id
from ksmbd.vfs.xattr import proc_path

_DIRECTORY: Final = O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW
_TRIES: Final = 8  # names that others take under our hands


class Rules(NamedTuple):
    """What is kept, and how."""

    repository: str  # its directory, share-relative
    keep_tree: bool = False  # with the directories that the file was in
    versions: bool = False  # beside those of the same name
    touch: bool = False  # with the time of the deletion as access time
    touch_mtime: bool = False  # and as write time
    minsize: int = 0  # bytes; smaller files are not kept
    maxsize: int = 0  # bytes, nor are bigger ones; 0: no limit
    exclude: tuple[str, ...] = ()  # patterns of names that are not kept
    # nor is what lies in or below directories of such names, or, with a slash, of such paths
    exclude_dir: tuple[str, ...] = ()
    no_versions: tuple[str, ...] = ()  # patterns of names that replace those before them
    directory_mode: int = 0o700  # of the first directory of the repository's path
    subdir_mode: int = 0o700  # of those below it


class RecycleBin:
    """The repository of one share.  Safe for any number of threads."""

    def __init__(self, rules: Rules) -> None:
        """ValueError if the repository would not lie in the share."""
        if {"", ".", ".."} & set(rules.repository.split("/")):
            raise ValueError(f"{rules.repository} is not inside the share")
        self.rules = rules
        self._excluded = compile_patterns(rules.exclude) or _nothing
        names = tuple(each for each in rules.exclude_dir if "/" not in each)
        paths = tuple(each.strip("/") for each in rules.exclude_dir if "/" in each)
        self._excluded_directory = compile_patterns(names) or _nothing
        self._excluded_path = compile_patterns(paths) or _nothing
        self._replaces = compile_patterns(rules.no_versions) or _nothing

    def keep(self, handle: Handle) -> str | None:
        """Move the file into the repository instead of deleting it.

        Its share-relative path there; None if it is none that is kept, and still has its name.
        OSError if it cannot be moved.
        """
        root, rules = handle.root, self.rules
        if handle.stream or handle.is_directory:
            return None
        with moving.located(root, handle) as source:
            if not self._is_kept(root, handle.path, source):
                return None
            above = handle.path.rpartition("/")[0] if rules.keep_tree else ""
            place = f"{rules.repository}/{above}" if above else rules.repository
            directory = self._directory(root, place)
            try:
                name = self._move(root, source, directory)
            finally:
                os.close(directory)
            if name is not None and root.tunnel is not None:
                root.tunnel.lost(source.parent, source.name, handle)
        if name is None:
            return None
        if rules.touch or rules.touch_mtime:
            self._touch(handle)
        return f"{place}/{name}"

    def _is_kept(self, root: ShareRoot, path: str, source: Name) -> bool:
        rules, size = self.rules, source.stat.st_size
        if not stat.S_ISREG(source.stat.st_mode) or self._holds(root, source.parent):
            return False
        if size < rules.minsize or (rules.maxsize and size > rules.maxsize):
            return False
        *above, name = path.split("/")
        if self._excluded(name) or any(map(self._excluded_directory, above)):
            return False
        return not any(map(self._excluded_path, accumulate(above, "{}/{}".format)))

    def _holds(self, root: ShareRoot, directory: int) -> bool:
        """Whether a directory is the repository or below it, by whatever path it was reached."""
        top = f"{os.readlink(proc_path(root.fd)).rstrip('/')}/{self.rules.repository}"
        where = os.readlink(proc_path(directory))
        return where == top or where.startswith(top + "/")

    def _directory(self, root: ShareRoot, path: str) -> int:
        """A descriptor of a directory at or below the repository; what is missing is made.

        OSError ELOOP or ENOTDIR if something else is in the way.
        """
        fd, above = os.dup(root.fd), ""
        try:
            for name in path.split("/"):
                above = f"{above}/{name}" if above else name
                following = self._enter(root, fd, above)
                os.close(fd)
                fd = following
        except BaseException:
            os.close(fd)
            raise
        return fd

    def _enter(self, root: ShareRoot, parent: int, path: str) -> int:
        name = path.rpartition("/")[2]
        with contextlib.suppress(FileNotFoundError):
            return os.open(name, _DIRECTORY, dir_fd=parent)
        mode = self.rules.subdir_mode if "/" in path else self.rules.directory_mode
        token = root.names.before_change(parent)
        with contextlib.suppress(FileExistsError):
            os.mkdir(name, mode, dir_fd=parent)
            root.names.changed(token, parent, added=name)
        made = os.open(name, _DIRECTORY, dir_fd=parent)
        try:
            if mode & stat.S_ISGID:
                with contextlib.suppress(PermissionError):  # somebody else was faster
                    set_group_id(made)
        except BaseException:
            os.close(made)
            raise
        return made

    def _move(self, root: ShareRoot, source: Name, directory: int) -> str | None:
        """The name that the file has got; None if it is there already, by another link."""
        name = source.name
        if not self.rules.versions or self._replaces(name):
            if _is_at(directory, name, source.stat):
                return None  # rename(2) would leave both
            with (
                contextlib.suppress(IsADirectoryError),
                moving.replaced(root, directory, name),
            ):
                moving.move(root, source.parent, name, directory, name, replace=True)
                return name
        for last in (False,) * (_TRIES - 1) + (True,):
            free = _free(directory, name)
            try:
                moving.move(root, source.parent, name, directory, free, replace=False)
                return free
            except FileExistsError:
                if last:
                    raise
        raise AssertionError("the last try returns or raises")

    def _touch(self, handle: Handle) -> None:
        """As the server itself: who may delete a file need not be its owner, who sets times."""
        now = handle.root.clock()
        write = now if self.rules.touch_mtime else os.fstat(handle.fd).st_mtime_ns
        with credentials.privileged():
            os.utime(handle.item, ns=(now, write))


def _free(directory: int, name: str) -> str:
    """*name*, or the first of ``Copy #1 of`` it and so on that nobody has.

    Thousands may be there: numbers are doubled until one is free, and then halved back.
    """
    if not _is_taken(directory, name):
        return name
    taken, free = 0, 1
    while _is_taken(directory, _copy(free, name)):
        taken, free = free, free * 2
    while free - taken > 1:
        middle = (taken + free) // 2
        if _is_taken(directory, _copy(middle, name)):
            taken = middle
        else:
            free = middle
    return _copy(free, name)


def _copy(number: int, name: str) -> str:
    """Of a name that is too long the end is cut off."""
    return f"Copy #{number} of {name}".encode()[:MAX_COMPONENT_BYTES].decode(errors="ignore")


def _is_at(directory: int, name: str, st: os.stat_result) -> bool:
    """Whether *name* is a link of the file *st* is of."""
    try:
        return os.path.samestat(os.stat(name, dir_fd=directory, follow_symlinks=False), st)
    except FileNotFoundError:
        return False


def _is_taken(directory: int, name: str) -> bool:
    try:
        os.stat(name, dir_fd=directory, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return True


def _nothing(_name: str) -> bool:
    return False
