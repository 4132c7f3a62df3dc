"""An append-only file of events, each with its length and checksum.

    | size (4) | CRC-32 of the event (4) | event (size bytes) |

A torn tail ends the replay: what was whole before it counts, and the next append cuts it off. No
event is empty: a tail of zeros, as power loss may leave it, is torn as well.

Between events stand marks: up to which position the file was flushed when the next event was
written. What is not whole below such a position is no torn tail but damage, and is told.

    | 0x80000008 (4) | CRC-32 of the position (4) | position (8) |
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

_FRAME = Struct(">II")
_POSITION = Struct(">Q")
_MARK = 0x80000000 | _POSITION.size
_MARK_SIZE = _FRAME.size + _POSITION.size


def encode_event(event: bytes) -> bytes:
    """One event as it stands in the file."""
    return _FRAME.pack(len(event), crc32(event)) + event


def decode_events(data: bytes) -> Iterator[bytes]:
    """The whole events in `data`, up to the first that is not."""
    position = 0
    while (part := _part_at(data, position)) is not None:
        is_event, content = part
        position += _FRAME.size + len(content)
        if is_event:
            yield content


def encode_mark(position: int) -> bytes:
    """The mark that all below `position` was flushed."""
    content = _POSITION.pack(position)
    return _FRAME.pack(_MARK, crc32(content)) + content


def _part_at(data: bytes, position: int) -> tuple[bool, bytes] | None:
    """The event (or else the mark) that is whole at `position`, if any is."""
    if position + _FRAME.size > len(data):
        return None
    size, checksum = _FRAME.unpack_from(data, position)
    is_event = size != _MARK
    start = position + _FRAME.size
    end = start + (size if is_event else _POSITION.size)
    if not size or end > len(data):
        return None
    content = data[start:end]
    return (is_event, content) if crc32(content) == checksum else None


def _flushed_end(data: bytes, position: int) -> int:
    """The furthest position that a whole mark in `data`, from `position` on, says was flushed."""
    end = 0
    pattern = _FRAME.pack(_MARK, 0)[:4]
    while (position := data.find(pattern, position)) >= 0:
        part = _part_at(data, position)
        if part is not None and not part[0]:
            end = max(end, _POSITION.unpack(part[1])[0])
        position += 1
    return end


def _next_whole(data: bytes, position: int) -> int:
    """The first position from `position` on at which an event or mark is whole, or the end."""
    while position < len(data) and _part_at(data, position) is None:
        position += 1
    return position


class Journal:
    """One journal file, open for appending once it has been replayed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self.damage: list[tuple[int, int]] = []  # From where to where, as the replay found it.
        self.is_torn = False  # Did the replay end before the file did?
        self._flushing = 0  # The flush that began last covers so much,
        self._flushed = 0  # the one before it, which has ended, so much,
        self._marked = 0  # and the last mark says so much.
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.is_dirty = False

    def replay(self, skip_damage: bool = False) -> Iterator[bytes]:
        """Every whole event, oldest first; then the file can be appended to, once it was `cut`.

        It ends at the first that is not whole. With `skip_damage` that is a torn tail only, and
        the replay goes on behind what is damaged. `damage` is known when the replay has ended.
        """
        data = self.path.read_bytes()
        position = 0
        while True:
            while (part := _part_at(data, position)) is not None:
                is_event, content = part
                position += _FRAME.size + len(content)
                if is_event:
                    yield content
            if _flushed_end(data, position) <= position:
                break
            whole = _next_whole(data, position + 1)
            self.damage.append((position, whole))
            if not skip_damage:
                break
            position = whole
        self.size = position
        self.is_torn = position < len(data)
        os.lseek(self._fd, position, os.SEEK_SET)

    def cut(self) -> None:
        """Cut off what the replay did not reach."""
        self.retract(self.size)

    def append(self, data: bytes) -> None:
        """Write already encoded events, behind a mark if more is flushed than the last one says.

        Raises `OSError` if the disk is full or broken; the journal is then as it was before.
        """
        if self._flushed > self._marked:
            data = encode_mark(self._flushed) + data
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            self.retract(self.size)  # Half an event would hide all that is appended behind it.
            raise
        self._marked = self._flushed
        self.size += len(data)
        self.is_dirty = True

    def retract(self, size: int) -> None:
        """Take back the last append, before which the journal had this size."""
        os.ftruncate(self._fd, size)
        os.lseek(self._fd, size, os.SEEK_SET)
        self.size = size

    def begin_sync(self) -> list[int]:
        """A duplicate of the file descriptor, if there is something to flush.

        The flush before this one has ended.
        """
        self._flushed, self._flushing = self._flushing, self.size
        if not self.is_dirty:
            return []
        self.is_dirty = False
        return [os.dup(self._fd)]

    def leave(self) -> list[int]:
        """Close the file; what is to be flushed of it, as `begin_sync`."""
        descriptors = self.begin_sync()
        os.close(self._fd)
        return descriptors

    def close(self) -> None:
        """Flush and close."""
        os.fsync(self._fd)
        os.close(self._fd)
