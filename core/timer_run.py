"""A file of timers in the order of their times, written once and never changed.

    | magic "RMQT" (4) | version (4) | number of timers n (4) | CRC of the block table (4) |
    | block table: per block of 256 timers, key of its first (16), CRC of the block (4)  ...
    | n entries: key (16), size in the log (4), owner (4)                                ...

A key is a fire time (8) and a log offset (8), so that keys sort as the timers fire. The file is
derived data: a checkpoint names it, and says how much of it is used up and what was cancelled.
"""

from __future__ import annotations

import os
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from struct import Struct, error
from typing import TypeAlias
from zlib import crc32

from core.errors import CorruptRecordError, StoreFormatError

BLOCK_COUNT = 256
OWNER_MASK = (1 << 32) - 1  # Of a value.
_HEAD = Struct(">4sIII")
_BLOCK = Struct(">16sI")
_ENTRY_SIZE = 24
_KEY_SIZE = 16
_MAGIC = b"RMQT"
_VERSION = 1

# Fire time << 64 | log offset: one number is compared faster than a pair.
Key: TypeAlias = int
# Size in the log << 32 | owner.
Value: TypeAlias = int
Entry: TypeAlias = "tuple[Key, Value]"


def encode_entries(entries: Sequence[Entry]) -> bytes:
    """Entries as they stand in a file, and in a checkpoint."""
    return b"".join(
        [key.to_bytes(_KEY_SIZE, "big") + value.to_bytes(8, "big") for key, value in entries]
    )


def decode_entries(data: bytes, first: int = 0) -> Iterator[Entry]:
    """Read back what `encode_entries` wrote, from the `first` one on."""
    number = int.from_bytes
    for at in range(first * _ENTRY_SIZE, len(data), _ENTRY_SIZE):
        end = at + _KEY_SIZE
        yield number(data[at:end], "big"), number(data[end : end + 8], "big")


class TimerRun:
    """One file. Blocks before `position` were loaded by the caller, and are no longer its own."""

    def __init__(self, path: Path, position: int = 0, cancelled: bytes = b"") -> None:
        """Open a file. Raises `StoreFormatError` if it is missing or damaged."""
        self.path = path
        self.number = int(path.name)
        self.position = position
        self._cancelled = bytearray(cancelled)  # A bit per timer, once one was cancelled.
        try:
            with path.open("rb") as file:
                magic, version, self._count, checksum = _HEAD.unpack(file.read(_HEAD.size))
                table = file.read(-(-self._count // BLOCK_COUNT) * _BLOCK.size)
        except (OSError, error) as reason:
            raise StoreFormatError(f"{path}: timers cannot be read: {reason}") from reason
        self._start = _HEAD.size + len(table)
        if magic != _MAGIC or version != _VERSION or crc32(table) != checksum:
            raise StoreFormatError(f"{path}: the file of timers is damaged")
        self._firsts: list[Key] = []
        self._checksums: list[int] = []
        for first, block_checksum in _BLOCK.iter_unpack(table):
            self._firsts.append(int.from_bytes(first, "big"))
            self._checksums.append(block_checksum)

    @classmethod
    def write(cls, path: Path, entries: Sequence[Entry]) -> TimerRun:
        """Make a file of these entries, which are sorted; it is not flushed."""
        blocks = [
            encode_entries(entries[start : start + BLOCK_COUNT])
            for start in range(0, len(entries), BLOCK_COUNT)
        ]
        table = b"".join(_BLOCK.pack(block[:_KEY_SIZE], crc32(block)) for block in blocks)
        head = _HEAD.pack(_MAGIC, _VERSION, len(entries), crc32(table))
        path.write_bytes(b"".join((head, table, *blocks)))
        return cls(path)

    @property
    def next_key(self) -> Key | None:
        """Nothing that is left comes before it; None if nothing is left."""
        return self._firsts[self.position] if self.position < len(self._firsts) else None

    @property
    def cancelled(self) -> bytes:
        """Which timers were cancelled, for a checkpoint."""
        return bytes(self._cancelled)

    def load(self) -> list[Entry]:
        """The next block: from now on the caller's. Raises `CorruptRecordError`."""
        self.position += 1
        return list(self._live(self.position - 1))

    def find(self, key: Key) -> tuple[int, Value] | None:
        """Which timer, counted from the first, has this key, and its value; None if none does.

        Raises `CorruptRecordError`.
        """
        block = bisect_right(self._firsts, key) - 1
        if block < self.position:
            return None
        data = self._read(block)
        wanted = key.to_bytes(_KEY_SIZE, "big")
        index = _find(data, wanted, bisect_left)
        number = block * BLOCK_COUNT + index
        if _key_bytes(data, index) != wanted or self._is_cancelled(number):
            return None
        at = index * _ENTRY_SIZE + _KEY_SIZE
        return number, int.from_bytes(data[at : at + 8], "big")

    def cancel(self, number: int) -> None:
        """Cancel a timer that `find` has found."""
        if not self._cancelled:
            self._cancelled = bytearray(self._count // 8 + 1)
        self._cancelled[number >> 3] |= 1 << (number & 7)

    def entries(self, after: Key) -> Iterator[Entry]:
        """What is left behind this key, in order; for looking at."""
        block = max(self.position, bisect_right(self._firsts, after) - 1)
        # One by one: whoever merges many files wants few of each.
        for number in range(block, len(self._firsts)):
            yield from self._live(number, after)
            after = -1

    def delete(self) -> None:
        """Remove the file."""
        os.unlink(self.path)

    def _live(self, block: int, after: Key = -1) -> Iterator[Entry]:
        data = self._read(block)
        first = 0
        if after >= 0:
            first = _find(data, after.to_bytes(_KEY_SIZE, "big"), bisect_right)
        entries = decode_entries(data, first)
        if not self._cancelled:
            return entries
        return (
            entry
            for number, entry in enumerate(entries, block * BLOCK_COUNT + first)
            if not self._is_cancelled(number)
        )

    def _is_cancelled(self, number: int) -> bool:
        return bool(self._cancelled) and bool(self._cancelled[number >> 3] & 1 << (number & 7))

    def _read(self, block: int) -> bytes:
        """The bytes of a block. The file is opened each time: there may be thousands of them."""
        size = BLOCK_COUNT * _ENTRY_SIZE
        with self.path.open("rb") as file:
            file.seek(self._start + block * size)
            data = file.read(size)
        if crc32(data) != self._checksums[block]:
            raise CorruptRecordError(f"{self.path}: block {block} of the timers is damaged")
        return data


def _find(data: bytes, key: bytes, bisect: Callable[..., int]) -> int:
    """Where in a block a key is, or would be."""
    return bisect(range(len(data) // _ENTRY_SIZE), key, key=lambda index: _key_bytes(data, index))


def _key_bytes(data: bytes, index: int) -> bytes:
    return data[index * _ENTRY_SIZE : index * _ENTRY_SIZE + _KEY_SIZE]
