"""One record of the log <-> bytes: a batch of messages that was appended at once.

     0                   4                   8                   12        14        16
    +-------------------+-------------------+-------------------+---------+---------+
    | size              | magic             | checksum          | version | origin  |
    +-------------------+-------------------+-------------------+---------+---------+
    | log offset of this record             | store timestamp, ms since 1970        |
    +-------------------+-------------------+---------------------------------------+
    | message count n   | n rows: route id (4), message size (4)                  ...
    +-------------------+-------------------------------------------------------- ...
    | n messages, back to back, each in the form of its origin                    ...

All integers are unsigned and big-endian. `size` counts the whole record; the checksum is CRC-32
over everything behind it, so it covers the log offset too: what an earlier life of a recycled or
truncated file left behind is never mistaken for a record.
"""

from __future__ import annotations

from collections.abc import Iterable
from struct import Struct, pack, unpack_from
from typing import NamedTuple, TypeAlias
from zlib import crc32

from core.errors import CorruptRecordError

Buffer: TypeAlias = "bytes | memoryview"

MAGIC = 0x524D5131  # "RMQ1"
VERSION = 1
RECORD_SIZE_MAX = 1 << 30

_PREFIX = Struct(">III")  # Size, magic, checksum.
_REST = Struct(">HHQQI")  # Version, origin, log offset, store timestamp, message count.
HEADER_SIZE = _PREFIX.size + _REST.size
assert HEADER_SIZE == 36
ROW_SIZE = 8


class RecordHeader(NamedTuple):
    """The fixed part of a record."""

    size: int
    checksum: int
    origin: int
    log_offset: int
    timestamp_ms: int
    message_count: int


class Record(NamedTuple):
    """A whole record: route ids and messages belong together, one of each per message."""

    header: RecordHeader
    route_ids: tuple[int, ...]
    messages: list[bytes]


def encode_head(
    origin: int,
    log_offset: int,
    timestamp_ms: int,
    route_ids: list[int],
    sizes: list[int],
    payload: Iterable[Buffer],
) -> bytes:
    """Everything of a record that goes before its messages, `payload` being all of them."""
    count = len(sizes)
    rows = [0] * (2 * count)
    rows[::2] = route_ids
    rows[1::2] = sizes
    rest = _REST.pack(VERSION, origin, log_offset, timestamp_ms, count)
    rest += pack(f">{2 * count}I", *rows)
    checksum = crc32(rest)
    for piece in payload:
        checksum = crc32(piece, checksum)
    return _PREFIX.pack(_PREFIX.size + len(rest) + sum(sizes), MAGIC, checksum) + rest


def decode_header(data: Buffer, position: int = 0) -> RecordHeader | None:
    """Read the fixed part at `position`; None if no record can begin there.

    Nothing is verified but the magic and plain impossibilities.
    """
    if len(data) - position < HEADER_SIZE:
        return None
    size, magic, checksum = _PREFIX.unpack_from(data, position)
    if magic != MAGIC:
        return None
    version, origin, log_offset, timestamp_ms, count = _REST.unpack_from(
        data, position + _PREFIX.size
    )
    if version != VERSION or not HEADER_SIZE + count * ROW_SIZE <= size <= RECORD_SIZE_MAX:
        return None
    return RecordHeader(size, checksum, origin, log_offset, timestamp_ms, count)


def decode(data: Buffer, header: RecordHeader, position: int = 0) -> Record:
    """Read the whole record at `position`, whose `header` was read there before.

    Raises `CorruptRecordError` if the checksum or the sizes are wrong.
    """
    verify(data, header, position)
    end = position + header.size
    route_ids, sizes = decode_rows(data, header, position)
    start = position + HEADER_SIZE + ROW_SIZE * header.message_count
    messages = []
    for size in sizes:
        messages.append(bytes(data[start : start + size]))
        start += size
    if start != end:
        raise CorruptRecordError(f"record at {header.log_offset} has sizes that do not add up")
    return Record(header, route_ids, messages)


def verify(data: Buffer, header: RecordHeader, position: int = 0) -> None:
    """Raise `CorruptRecordError` unless the record at `position` is whole, with its checksum."""
    end = position + header.size
    if end > len(data):
        raise CorruptRecordError(f"record at {header.log_offset} is cut short")
    if crc32(memoryview(data)[position + _PREFIX.size : end]) != header.checksum:
        raise CorruptRecordError(f"record at {header.log_offset} has a wrong checksum")


def decode_rows(
    data: Buffer, header: RecordHeader, position: int = 0
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The route ids and the sizes of a record's messages."""
    rows = unpack_from(f">{2 * header.message_count}I", data, position + HEADER_SIZE)
    return rows[::2], rows[1::2]
