"""Captures: blocks as their draft has them, packets whose sums are right."""

from __future__ import annotations

import struct
from ipaddress import ip_address

import pytest

from ksmbd.wire import pcapng
from ksmbd.wire.base import WireError
from ksmbd.wire.pcapng import INBOUND, OUTBOUND, Endpoint, Flow, Statistics, checksum

NS = 1_700_000_000_123_456_789


def flow(client: str = "192.0.2.7", server: str = "192.0.2.1") -> Flow:
    return Flow(Endpoint(ip_address(client), 50000), Endpoint(ip_address(server), 445))


def test_a_packet_block_is_as_the_draft_has_it() -> None:
    made = pcapng.packet(b"abcde", NS, OUTBOUND)
    kind, size, number, high, low, have, was = struct.unpack_from("<7I", made)
    assert (kind, size, number, have, was) == (pcapng.PACKET, len(made), 0, 5, 5)
    assert high << 32 | low == NS
    assert made[28:36] == b"abcde\0\0\0"
    assert made[36:] == struct.pack("<HHIHHI", 2, 4, OUTBOUND, 0, 0, size)


def test_what_was_lost_before_a_packet_is_an_option_of_it() -> None:
    assert struct.pack("<HHQ", 4, 8, 3) in pcapng.packet(b"", NS, INBOUND, lost=3)


def test_the_figures_at_the_end_are_read_back() -> None:
    counted = Statistics(5, 1 << 40)
    assert pcapng.statistics_of(pcapng.statistics(counted, NS)) == counted
    with pytest.raises(WireError):
        pcapng.statistics_of(pcapng.interface("x"))


def test_only_whole_blocks_are_split_off() -> None:
    blocks = [pcapng.section("s", "c"), pcapng.interface("i"), pcapng.packet(b"x", NS, INBOUND)]
    data = b"".join(blocks)
    for end in range(len(data) + 1):
        found, used = pcapng.split(data[:end])
        assert found == blocks[: len(found)]
        assert used == sum(map(len, found)) <= end
    assert pcapng.split(data)[0] == blocks


@pytest.mark.parametrize("size", [0, 11, 13, pcapng.MAX_BLOCK + 4])
def test_what_is_no_block_is_refused(size: int) -> None:
    with pytest.raises(WireError):
        pcapng.split(struct.pack("<II", 6, size) + bytes(16))


def test_the_sum_is_that_of_rfc_1071() -> None:
    assert checksum(bytes.fromhex("0001f203f4f5f6f7")) == bytes.fromhex("220d")  # its section 3
    assert checksum(bytes.fromhex("0001f203"), bytes.fromhex("f4f5f6f7")) == bytes.fromhex("220d")
    assert checksum(b"\xff\xff") == b"\0\0"
    assert checksum(b"\x01") == b"\xfe\xff"


@pytest.mark.parametrize(
    ("client", "server", "head"), [("192.0.2.7", "192.0.2.1", 20), ("2001:db8::7", "::1", 40)]
)
@pytest.mark.parametrize("size", [1, 2, pcapng.MAX_SEGMENT, pcapng.MAX_SEGMENT * 2 + 1])
def test_packets_carry_all_of_it_in_order(client: str, server: str, head: int, size: int) -> None:
    data = bytes(range(256)) * (size // 256 + 1)
    data = data[:size]
    made = list(flow(client, server).packets(INBOUND, data))
    assert b"".join(packet[head + 20 :] for packet in made) == data
    sequence = 1
    for packet in made:
        source, target, number, ack = struct.unpack_from(">HHII", packet, head)
        assert (source, target, number, ack) == (50000, 445, sequence, 1)
        addresses = packet[head - 2 * ip_address(client).max_prefixlen // 8 : head]
        tcp = packet[head:]
        assert checksum(addresses, struct.pack(">HH", 6, len(tcp)), tcp) == b"\0\0"
        if head == 20:
            assert checksum(packet[:head]) == b"\0\0"
            assert int.from_bytes(packet[2:4], "big") == len(packet)
        else:
            assert int.from_bytes(packet[4:6], "big") == len(packet) - head
        sequence += len(packet) - head - 20


def test_each_direction_acknowledges_the_other() -> None:
    made = flow()
    list(made.packets(INBOUND, bytes(100)))
    made.skip(OUTBOUND, 1000)
    (answer,) = made.packets(OUTBOUND, bytes(10))
    assert struct.unpack_from(">HHII", answer, 20) == (445, 50000, 1001, 101)


def test_numbers_begin_again_behind_the_largest() -> None:
    made = flow()
    made.skip(INBOUND, (1 << 32) - 1)
    (packet,) = made.packets(INBOUND, b"x")
    assert struct.unpack_from(">I", packet, 24) == (0,)
