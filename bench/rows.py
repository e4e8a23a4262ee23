"""What is measured: one row of the report each."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from bench.bulk import WAYS


class Row(NamedTuple):
    """One measurement: an operation of ``smb2load.c`` with its options."""

    name: str
    unit: str  # 'op/s' or 'MB/s'
    arguments: tuple[str, ...]  # options, then the operation; {file_mib} is filled in

    def command(self, file_mib: int) -> list[str]:
        return [word.format(file_mib=file_mib) for word in self.arguments]


class Bulk(NamedTuple):
    """One measurement of ``bulk.py``: 1 MiB at a time, protected as its table WAYS says."""

    name: str
    way: str
    writing: bool = False
    clients: int = 1
    unit: str = "MB/s"


def bulk_rows() -> Iterator[Bulk]:
    for way in WAYS:
        for verb in ("read", "write"):
            if way != "unsigned":
                yield Bulk(f"1 MiB {verb}, {way}", way, verb == "write")
    for way in ("unsigned", "CMAC", "GMAC", "AES-128-GCM", "AES-256-GCM"):
        for verb in ("read", "write"):
            yield Bulk(f"1 MiB {verb}, {way}, 2 clients", way, verb == "write", clients=2)


FILE: Final = ("-S", "{file_mib}")
MANY: Final = ("-n", "8")
SMALL: Final = ("-b", "4096")
SEQUENTIAL: Final = ("-b", "65536", "-q", "4")
LARGE: Final = ("-b", "1048576", "-q", "4")
LARGEST: Final = ("-b", "8388608", "-q", "2")
HUGE: Final = "listing of 100,000"

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
    *bulk_rows(),
    Row("lock and unlock", "op/s", ("lock",)),
    Row("lock and unlock, 8 connections of 4", "op/s", (*MANY, "-q", "4", "lock")),
    Row("lease break and both closes", "op/s", ("lease",)),
    Row("listing of 10,000", "op/s", ("list",)),
    Row(HUGE, "op/s", ("-L", "3", "-f", "bench_huge", "list")),
    Row("session set-up and log-off", "op/s", ("connect",)),
)
