"""An append-only file of events, each with its length and checksum.

    | size (4) | CRC-32 of the event (4) | event (size bytes) |

A torn tail ends the replay: what was whole before it counts, and the next append cuts it off. No
event is empty: a tail of zeros, as power loss may leave it, is torn as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from struct import Struct
from zlib import crc32

_FRAME = Struct(">II")


def encode_event(event: bytes) -> bytes:
    """One event as it stands in the file."""
    return _FRAME.pack(len(event), crc32(event)) + event


def decode_events(data: bytes) -> Iterator[tuple[bytes, int]]:
    """The whole events in `data`, each with the position behind it."""
    position = 0
    while position + _FRAME.size <= len(data):
        size, checksum = _FRAME.unpack_from(data, position)
        start = position + _FRAME.size
        event = data[start : start + size]
        if not size or len(event) != size or crc32(event) != checksum:
            return
        position = start + size
        yield event, position


class Journal:
    """One journal file, open for appending once it has been replayed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.size = 0
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        self.is_dirty = False

    def replay(self) -> Iterator[bytes]:
        """Every whole event, oldest first; then the file is ready to append to."""
        data = self.path.read_bytes()
        for event, end in decode_events(data):
            self.size = end
            yield event
        os.ftruncate(self._fd, self.size)
        os.lseek(self._fd, self.size, os.SEEK_SET)

    def append(self, data: bytes) -> None:
        """Write already encoded events.

        Raises `OSError` if the disk is full or broken; the journal is then as it was before.
        """
        view = memoryview(data)
        try:
            while view:
                view = view[os.write(self._fd, view) :]
        except OSError:
            # Half an event would hide all that is appended behind it.
            os.ftruncate(self._fd, self.size)
            os.lseek(self._fd, self.size, os.SEEK_SET)
            raise
        self.size += len(data)
        self.is_dirty = True

    def begin_sync(self) -> list[int]:
        """A duplicate of the file descriptor, if there is something to flush."""
        if not self.is_dirty:
            return []
        self.is_dirty = False
        return [os.dup(self._fd)]

    def close(self) -> None:
        """Flush and close."""
        os.fsync(self._fd)
        os.close(self._fd)
