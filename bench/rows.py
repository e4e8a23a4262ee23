"""What is measured: one row of the report each."""

from __future__ import annotations

from typing import Final, NamedTuple


class Row(NamedTuple):
    """One measurement: an operation of the load generator with its options."""

    name: str
    unit: str  # 'op/s' or 'MB/s'
    arguments: tuple[str, ...]  # options, then the operation; {file_mib} is filled in

    def command(self, file_mib: int) -> list[str]:
        return [word.format(file_mib=file_mib) for word in self.arguments]


FILE: Final = ("-S", "{file_mib}")
MANY: Final = ("-n", "8")
SMALL: Final = ("-b", "4096")
SEQUENTIAL: Final = ("-b", "65536", "-q", "4")
LARGE: Final = ("-b", "1048576", "-q", "4")
LARGEST: Final = ("-b", "8388608", "-q", "2")

ROWS: Final = (
    Row("echo", "op/s", ("echo",)),
    Row("echo, 8 connections of 4", "op/s", (*MANY, "-q", "4", "echo")),
    Row("query-info", "op/s", ("qinfo",)),
    Row("query-info, 8 connections of 4", "op/s", (*MANY, "-q", "4", "qinfo")),
    Row("stat (create, query, close)", "op/s", ("stat",)),
    Row("stat, 8 connections", "op/s", (*MANY, "stat")),
    Row("open and close", "op/s", ("open",)),
    Row("open and close, 8 connections", "op/s", (*MANY, "open")),
    Row("create and close", "op/s", ("-L", "4000", "create")),
    Row("rename", "op/s", ("rename",)),
    Row("create and delete", "op/s", ("delete",)),
    Row("office mix, 8 connections", "op/s", ("-S", "1", *SMALL, *MANY, "office")),
    Row("random 4 KiB read", "op/s", (*FILE, *SMALL, "randread")),
    Row(
        "random 4 KiB read, 8 connections of 4",
        "op/s",
        (*FILE, *SMALL, *MANY, "-q", "4", "randread"),
    ),
    Row("random 4 KiB write", "op/s", ("-S", "16", *SMALL, "randwrite")),
    Row("random 4 KiB write, 8 connections", "op/s", ("-S", "16", *SMALL, *MANY, "randwrite")),
    Row("sequential 64 KiB read", "MB/s", (*FILE, *SEQUENTIAL, "read")),
    Row("sequential 64 KiB write", "MB/s", (*FILE, *SEQUENTIAL, "write")),
    Row("sequential 1 MiB read", "MB/s", (*FILE, *LARGE, "read")),
    Row("sequential 1 MiB read, 8 connections", "MB/s", (*FILE, *LARGE, *MANY, "read")),
    Row("sequential 1 MiB write", "MB/s", (*FILE, *LARGE, "write")),
    Row("sequential 8 MiB read", "MB/s", (*FILE, *LARGEST, "read")),
    Row("sequential 8 MiB write", "MB/s", ("-S", "64", *LARGEST, "write")),
    Row("sequential 1 MiB read, signed", "MB/s", (*FILE, *LARGE, "-G", "read")),
    Row("sequential 1 MiB write, signed", "MB/s", (*FILE, *LARGE, "-G", "write")),
    Row("sequential 1 MiB read, sealed", "MB/s", (*FILE, *LARGE, "-E", "read")),
    Row("sequential 1 MiB write, sealed", "MB/s", (*FILE, *LARGE, "-E", "write")),
    Row("listing of a large folder", "op/s", ("list",)),
    Row("session set-up and log-off", "op/s", ("connect",)),
)
