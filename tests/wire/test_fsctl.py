"""FSCTL codes and buffers."""

from __future__ import annotations

import struct

import pytest

from ksmbd.wire import fsctl
from ksmbd.wire.base import Wire, WireError
from ksmbd.wire.fsctl import (
    CompressionState,
    DuplicateExtentsData,
    DuplicateExtentsDataEx,
    FileAllocatedRange,
    FileLevelTrim,
    FileLevelTrimOutput,
    FileObjectIdBuffer,
    FileRegionInfo,
    FileRegionInput,
    FileRegionOutput,
    FileZeroDataInformation,
    GetIntegrityInformation,
    NetworkInterfaceInfo,
    NetworkResiliencyRequest,
    NtfsVolumeData,
    PipePeekResponse,
    PipeWaitRequest,
    SetIntegrityInformation,
    SetObjectIdExtended,
    SrvCopychunk,
    SrvCopychunkCopy,
    SrvCopychunkResponse,
    SrvRequestResumeKeyResponse,
    TrimRange,
    ValidateNegotiateInfoRequest,
    ValidateNegotiateInfoResponse,
    VolumeDirty,
    pack_interfaces,
    pack_snapshots,
    pack_sockaddr,
    unpack_copychunk,
    unpack_pipe_wait,
    unpack_sparse,
    unpack_trim,
)
from tests.wire.vectors import check, name

GUID = bytes(range(16))
GUIDH = "000102030405060708090a0b0c0d0e0f"
KEYH = "000102030405060708090a0b0c0d0e0f1011121314151617"
OFFSETS = {"source_file_offset": 1, "target_file_offset": 2, "byte_count": 3}
OFFSETSH = "0100000000000000 0200000000000000 0300000000000000"
IPV4 = "0200 0000 c0a80001 0000000000000000"

VECTORS = [
    (
        ValidateNegotiateInfoRequest(
            capabilities=0x7F, guid=GUID, security_mode=1, dialect_count=4
        ),
        f"7f000000 {GUIDH} 0100 0400",
    ),
    (
        ValidateNegotiateInfoResponse(capabilities=0x2F, guid=GUID, security_mode=1, dialect=0x302),
        f"2f000000 {GUIDH} 0100 0203",
    ),
    (SrvRequestResumeKeyResponse(resume_key=bytes(range(24))), f"{KEYH} 00000000 00000000"),
    (SrvCopychunkCopy(source_key=bytes(range(24)), chunk_count=2), f"{KEYH} 02000000 00000000"),
    (
        SrvCopychunk(source_offset=1, target_offset=2, length=0x100000),
        "0100000000000000 0200000000000000 00001000 00000000",
    ),
    (
        SrvCopychunkResponse(
            chunks_written=256, chunk_bytes_written=0x100000, total_bytes_written=0x1000000
        ),
        "00010000 00001000 00000001",
    ),
    (
        NetworkInterfaceInfo(
            if_index=2,
            capability=1,
            link_speed=10**9,
            sock_addr_storage=bytes.fromhex(IPV4).ljust(128, b"\0"),
        ),
        f"00000000 02000000 01000000 00000000 00ca9a3b00000000 {IPV4}" + " 00" * 112,
    ),
    (NetworkResiliencyRequest(timeout=60000), "60ea0000 00000000"),
    (FileObjectIdBuffer(object_id=GUID), GUIDH + " 00" * 48),
    (SetObjectIdExtended(extended_info=GUID * 3), GUIDH * 3),
    (FileZeroDataInformation(file_offset=-1, beyond_final_zero=2), "ff" * 8 + " 0200000000000000"),
    (FileAllocatedRange(file_offset=1, length=2), "0100000000000000 0200000000000000"),
    (
        PipeWaitRequest(timeout=-1, name_length=12, timeout_specified=1),
        "ffffffffffffffff 0c000000 01 00",
    ),
    (PipePeekResponse(read_data_available=5), "03000000 05000000 00000000 00000000"),
    (CompressionState(compression_state=2), "0200"),
    (VolumeDirty(), "00000000"),
    (
        NtfsVolumeData(
            volume_serial_number=1,
            number_sectors=2,
            total_clusters=3,
            free_clusters=4,
            bytes_per_sector=512,
            bytes_per_cluster=4096,
        ),
        "0100000000000000 0200000000000000 0300000000000000 0400000000000000 0000000000000000"
        " 00020000 00100000 00040000 00000000" + " 00" * 40,
    ),
    (FileLevelTrim(num_ranges=2), "00000000 02000000"),
    (FileLevelTrimOutput(num_ranges_processed=2), "02000000"),
    (
        DuplicateExtentsData(source_persistent_id=5, source_volatile_id=6, **OFFSETS),
        f"0500000000000000 0600000000000000 {OFFSETSH}",
    ),
    (
        DuplicateExtentsDataEx(source_persistent_id=5, source_volatile_id=6, flags=1, **OFFSETS),
        f"3000000000000000 0500000000000000 0600000000000000 {OFFSETSH} 01000000 00000000",
    ),
    (
        FileRegionInput(file_offset=1, length=2, desired_usage=1),
        "0100000000000000 0200000000000000 01000000 00000000",
    ),
    (
        FileRegionOutput(total_region_entry_count=2, region_entry_count=1),
        "00000000 02000000 01000000 00000000",
    ),
    (
        FileRegionInfo(file_offset=1, length=2, usage=1),
        "0100000000000000 0200000000000000 01000000 00000000",
    ),
    (
        GetIntegrityInformation(checksum_chunk_size_in_bytes=1, cluster_size_in_bytes=4096),
        "0000 0000 00000000 01000000 00100000",
    ),
    (SetIntegrityInformation(checksum_algorithm=2, flags=1), "0200 0000 01000000"),
]


@pytest.mark.parametrize(("value", "hexbytes"), VECTORS, ids=name)
def test_vectors(value: Wire, hexbytes: str) -> None:
    check(value, hexbytes)


def test_no_two_codes_are_the_same() -> None:
    codes = [
        value
        for key, value in vars(fsctl).items()
        if key.isupper() and isinstance(value, int) and value > 0xFFFF
    ]
    assert len(codes) == len(set(codes)) == 48


def test_a_code_tells_the_access_it_needs() -> None:
    assert fsctl.SET_ZERO_DATA & fsctl.ACCESS_MASK == fsctl.ACCESS_WRITE
    assert fsctl.QUERY_ALLOCATED_RANGES & fsctl.ACCESS_MASK == fsctl.ACCESS_READ
    assert fsctl.PIPE_TRANSCEIVE & fsctl.ACCESS_MASK == fsctl.ACCESS_MASK
    assert fsctl.SET_SPARSE & fsctl.ACCESS_MASK == 0


def test_copychunk_reads_its_chunks() -> None:
    head = SrvCopychunkCopy(source_key=bytes(24), chunk_count=2)
    chunks = [SrvCopychunk(source_offset=n, target_offset=n, length=n) for n in (1, 2)]
    raw = head.pack() + b"".join(chunk.pack() for chunk in chunks)
    assert unpack_copychunk(raw) == (head, chunks)
    assert unpack_copychunk(raw + b"tail") == (head, chunks)
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_copychunk(raw[:length])
    with pytest.raises(WireError):
        unpack_copychunk(SrvCopychunkCopy(source_key=bytes(24), chunk_count=0xFFFFFFFF).pack())


def test_socket_addresses() -> None:
    assert pack_sockaddr("192.168.0.1") == bytes.fromhex(IPV4)
    assert pack_sockaddr("fe80::1", 3) == bytes.fromhex(
        "1700 0000 00000000 fe800000000000000000000000000001 03000000"
    )


def test_interfaces_are_152_bytes_apart() -> None:
    one = NetworkInterfaceInfo(
        if_index=1, link_speed=1, sock_addr_storage=pack_sockaddr("10.0.0.1")
    )
    raw = pack_interfaces([one, one])
    assert len(raw) == 304
    assert struct.unpack_from("<I148xI", raw) == (152, 0)


SNAPSHOT = "@GMT-2024.01.02-03.04.05"


def test_snapshots_are_a_list_that_ends_with_an_empty_name() -> None:
    raw = pack_snapshots([SNAPSHOT], 1024)
    assert raw[:12] == bytes.fromhex("01000000 01000000 34000000")
    assert raw[12:].decode("utf-16-le") == SNAPSHOT + "\0\0"
    assert pack_snapshots([SNAPSHOT], len(raw)) == raw


@pytest.mark.parametrize("limit", [16, 12 + 0x33])
def test_snapshots_that_do_not_fit_are_only_counted(limit: int) -> None:
    assert pack_snapshots([SNAPSHOT], limit) == bytes.fromhex("01000000 00000000 34000000 00000000")


def test_no_snapshots_take_sixteen_bytes() -> None:
    assert pack_snapshots([], 1024) == bytes.fromhex("00000000 00000000 02000000 00000000")


@pytest.mark.parametrize(("hexbytes", "sparse"), [("", True), ("01", True), ("00", False)])
def test_an_empty_sparse_buffer_means_true(hexbytes: str, sparse: bool) -> None:
    assert unpack_sparse(bytes.fromhex(hexbytes)) is sparse


def test_pipe_wait_names_a_pipe() -> None:
    raw = bytes.fromhex("0000000000000000 04000000 00 00 61006200")
    head, pipe = unpack_pipe_wait(raw)
    assert (head.timeout_specified, pipe) == (0, "ab")
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_pipe_wait(raw[:length])


def test_trim_reads_its_ranges() -> None:
    raw = bytes.fromhex("00000000 02000000") + struct.pack("<QQQQ", 1, 2, 3, 4)
    assert unpack_trim(raw) == [TrimRange(1, 2), TrimRange(3, 4)]
    for length in range(len(raw)):
        with pytest.raises(WireError):
            unpack_trim(raw[:length])
