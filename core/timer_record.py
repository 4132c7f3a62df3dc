"""A timer in the commit log: what is to be done with a message later, and the message.

    | CRC of all behind (4) | fire time, ms since 1970 (8) | owner (4) | origin (2) | flags (2) |
    | if flag 1: fire time (8) and log offset (8) of the timer that this one replaces |
    | the message, in the form of its origin                                          ...

A record of timers is one of the log as any other, of the origin `TIMERS`, with routes of 0: it
belongs to no queue. Each timer has a checksum of its own, so that it can be read alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from struct import Struct
from typing import NamedTuple
from zlib import crc32

from core.errors import CorruptRecordError
from core.record import HEADER_SIZE, ROW_SIZE, Record

TIMERS = 0xFFFF  # The origin of records of timers.
FIRE_MS_MAX = (1 << 63) - 1

_HEAD = Struct(">IQIHH")  # Checksum, fire time, owner, origin, flags.
_REPLACED = Struct(">QQ")  # Fire time, log offset.
_CHECKSUM_SIZE = 4
_REPLACES = 1


class TimerId(NamedTuple):
    """What a timer is called: when it fires, and where in the log it begins. Never used twice."""

    fire_ms: int
    log_offset: int

    def __str__(self) -> str:
        return f"{self.fire_ms}-{self.log_offset}"

    @classmethod
    def parse(cls, text: str) -> TimerId | None:
        """Read what `str` wrote; None for anything else."""
        parts = text.split("-")
        if len(parts) != 2 or not all(
            part.isascii() and part.isdigit() and len(part) < 20 for part in parts
        ):
            return None
        id = cls(int(parts[0]), int(parts[1]))
        return id if max(id) <= FIRE_MS_MAX else None


class Timer(NamedTuple):
    """A message that waits for its time.

    `owner` is whose it is, a number of the layer above: a timer goes with its owner. `replaces` is
    the timer that is settled by this one being in the log.
    """

    fire_ms: int
    owner: int
    origin: int
    stored: bytes
    replaces: TimerId | None = None


def encode_timer(timer: Timer) -> bytes:
    """A timer as it stands in the log."""
    fire_ms, owner, origin, stored, replaces = timer
    flags, more = 0, b""
    if replaces is not None:
        flags, more = _REPLACES, _REPLACED.pack(*replaces)
    data = _HEAD.pack(0, fire_ms, owner, origin, flags) + more + stored
    return crc32(data[_CHECKSUM_SIZE:]).to_bytes(_CHECKSUM_SIZE, "big") + data[_CHECKSUM_SIZE:]


def decode_timer(data: bytes) -> Timer:
    """Read back a timer. Raises `CorruptRecordError`."""
    if len(data) < _HEAD.size:
        raise CorruptRecordError("a timer is cut short")
    checksum, fire_ms, owner, origin, flags = _HEAD.unpack_from(data)
    if crc32(memoryview(data)[_CHECKSUM_SIZE:]) != checksum:
        raise CorruptRecordError("a timer has a wrong checksum")
    if not flags & _REPLACES:
        return Timer(fire_ms, owner, origin, data[_HEAD.size :])
    end = _HEAD.size + _REPLACED.size
    if len(data) < end:
        raise CorruptRecordError("a timer is cut short")
    replaces = TimerId(*_REPLACED.unpack_from(data, _HEAD.size))
    return Timer(fire_ms, owner, origin, data[end:], replaces)


def locate_timers(log_offset: int, sizes: list[int]) -> list[int]:
    """The log offset of each timer of a record that begins at `log_offset`."""
    places = []
    place = log_offset + HEADER_SIZE + ROW_SIZE * len(sizes)
    for size in sizes:
        places.append(place)
        place += size
    return places


def iterate_timers(record: Record) -> Iterator[tuple[TimerId, int, Timer]]:
    """The timers of a record: id, size in the log, and what each is."""
    sizes = list(map(len, record.messages))
    places = locate_timers(record.header.log_offset, sizes)
    for place, size, message in zip(places, sizes, record.messages, strict=True):
        timer = decode_timer(message)
        yield TimerId(timer.fire_ms, place), size, timer
