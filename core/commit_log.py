"""The commit log: one sequence of segment files, appended to by one writer.

A log offset is a byte position in the sequence; a segment file is named by its first one. A record
never spans two segments: one ends where the next one begins, or once began (segments that nothing
refers to any more are deleted, and leave holes). Behind
the end of the last one the file is preallocated, which makes appending faster than growing a file
(and its bytes there mean nothing). Not thread-safe.
"""

from __future__ import annotations

import errno
import os
from bisect import bisect_right
from collections.abc import Iterator
from pathlib import Path

from core.errors import CorruptRecordError, MessageTooLargeError
from core.group_commit import open_directory
from core.record import HEADER_SIZE, RECORD_SIZE_MAX, Buffer, RecordHeader, decode_header

PREALLOCATION_SIZE = 64 << 20
_PIECES_MAX = 512  # Below IOV_MAX, which is 1,024 on Linux.


class Segment:
    """One file of the log: bytes `base` to `end` of it."""

    def __init__(self, path: Path, base: int) -> None:
        self.path = path
        self.base = base
        self.end = base
        self.fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        status = os.fstat(self.fd)
        self.allocated_size = status.st_size
        self.modified_at = status.st_mtime  # Seconds since 1970, when opened or full.

    def preallocate(self, size: int) -> None:
        """Make the file `size` bytes long, if the file system can do so cheaply."""
        try:
            os.posix_fallocate(self.fd, self.allocated_size, size - self.allocated_size)
        except OSError as error:
            if error.errno not in (errno.EOPNOTSUPP, errno.EINVAL, errno.ENOSPC):
                raise
        self.allocated_size = size

    def truncate(self) -> None:
        """Cut off everything behind the end."""
        os.ftruncate(self.fd, self.end - self.base)
        self.allocated_size = self.end - self.base


class CommitLog:
    """The segments of one folder, opened at `end`, which recovery finds with `scan`."""

    def __init__(self, directory: Path, segment_size: int) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._segment_size = segment_size
        bases = sorted(int(path.name) for path in directory.iterdir() if path.name.isdigit())
        self._segments = [Segment(self._path(base), base) for base in bases]
        for segment, following in zip(self._segments, self._segments[1:], strict=False):
            segment.end = min(segment.base + segment.allocated_size, following.base)
        if not self._segments:
            self._segments.append(Segment(self._path(0), 0))
        self._bases = [segment.base for segment in self._segments]
        self._last = self._segments[-1]
        self._last.end = self._last.base + self._last.allocated_size
        self._unsynced: dict[int, None] = {}
        self._is_segment_new = True  # Is the name of the last segment not durable yet?
        self.record_count = 0  # So many were scanned or appended since it was opened.

    @property
    def start(self) -> int:
        """The log offset of the first byte that is kept."""
        return self._bases[0]

    @property
    def end(self) -> int:
        """The log offset that the next record gets."""
        return self._last.end

    @property
    def segments(self) -> list[Segment]:
        """The segments, oldest first; for looking at."""
        return self._segments

    def open_at(self, end: int) -> None:
        """Begin appending at `end`; whatever stands behind it is cut off."""
        while len(self._segments) > 1 and self._last.base >= end:
            os.close(self._last.fd)
            os.unlink(self._last.path)
            self._segments.pop()
            self._bases.pop()
            self._last = self._segments[-1]
        self._last.end = end
        self._last.truncate()
        os.lseek(self._last.fd, end - self._last.base, os.SEEK_SET)
        self._unsynced[self._last.fd] = None

    def prepare(self, size: int) -> int:
        """Make room for a record of `size` bytes; return the log offset that it will get.

        Raises `MessageTooLargeError` if no record may be so large.
        """
        if size > RECORD_SIZE_MAX:
            raise MessageTooLargeError(
                f"{size} bytes are too many for one record of the log; {RECORD_SIZE_MAX} are not"
            )
        last = self._last
        used = last.end - last.base
        if used and used + size > self._segment_size:
            last.truncate()
            last.modified_at = os.fstat(last.fd).st_mtime
            self._append_segment(last.end)
            last, used = self._last, 0
        if used + size > last.allocated_size:
            wanted = max(min(used + PREALLOCATION_SIZE, self._segment_size), used + size)
            last.preallocate(wanted)
        return last.end

    def append(self, pieces: list[Buffer], size: int) -> None:
        """Write one record, `size` bytes in `pieces`, where `prepare` said.

        Raises `OSError` if the disk is full or broken; the log is then as it was before.
        """
        last = self._last
        if len(pieces) > _PIECES_MAX:
            pieces = [b"".join(pieces)]
        written = os.writev(last.fd, pieces)
        if written != size:
            self._append_rest(b"".join(pieces), written)
        last.end += size
        self.record_count += 1
        self._unsynced[last.fd] = None

    def read(self, log_offset: int, size: int) -> bytes:
        """At most `size` bytes from `log_offset` on, never past the end of a segment."""
        index = bisect_right(self._bases, log_offset) - 1
        if index < 0:
            raise CorruptRecordError(f"log offset {log_offset} is before the log's start")
        segment = self._segments[index]
        size = min(size, segment.end - log_offset)
        return os.pread(segment.fd, size, log_offset - segment.base) if size > 0 else b""

    def segment_at(self, log_offset: int) -> Segment:
        """The segment that this log offset lies in."""
        return self._segments[bisect_right(self._bases, log_offset) - 1]

    def next_segment_base(self, log_offset: int) -> int | None:
        """Where the first segment behind this log offset begins, if there is one."""
        index = bisect_right(self._bases, log_offset)
        return self._bases[index] if index < len(self._bases) else None

    def holds(self, log_offset: int) -> bool:
        """Is the byte at this log offset still there?"""
        index = bisect_right(self._bases, log_offset) - 1
        return index >= 0 and log_offset < self._segments[index].end

    def scan(self, start: int, chunk_size: int = 4 << 20) -> Iterator[tuple[RecordHeader, bytes]]:
        """Every record from `start` on: its header, and its bytes, not yet verified.

        Ends where no record begins; what that means, the caller decides.
        """
        position = start
        for segment in self._segments:
            chunk, at = b"", 0
            while segment.base <= position < segment.end:
                header = decode_header(chunk, at)
                if header is None:
                    chunk, at = self.read(position, max(chunk_size, HEADER_SIZE)), 0
                    header = decode_header(chunk)
                if header is not None and at + header.size > len(chunk):
                    chunk, at = self.read(position, max(chunk_size, header.size)), 0
                if header is None or header.log_offset != position:
                    return
                if header.size > len(chunk) - at:
                    return
                self.record_count += 1
                yield header, chunk[at : at + header.size]
                at += header.size
                position += header.size

    def begin_sync(self) -> list[int]:
        """Duplicates of the file descriptors to flush for all that was appended so far."""
        unsynced, self._unsynced = self._unsynced, {}
        descriptors = [os.dup(descriptor) for descriptor in unsynced]
        if self._is_segment_new:
            self._is_segment_new = False
            descriptors.append(open_directory(self._directory))
        return descriptors

    def drop_before(self, log_offset: int) -> int:
        """Delete the segments that lie wholly before `log_offset`; return how many."""
        doomed = [segment for segment in self._segments[:-1] if segment.end <= log_offset]
        for segment in doomed:
            self.drop(segment)
        return len(doomed)

    def drop(self, segment: Segment) -> None:
        """Delete a segment, which must not be the last one; it leaves a hole in the log."""
        assert segment is not self._last
        index = self._segments.index(segment)
        del self._segments[index], self._bases[index]
        self._unsynced.pop(segment.fd, None)
        os.close(segment.fd)
        os.unlink(segment.path)

    def close(self) -> None:
        """Cut off what was preallocated, flush and close."""
        self._last.truncate()
        os.fsync(self._last.fd)
        for segment in self._segments:
            os.close(segment.fd)
        self._segments.clear()

    def _append_segment(self, base: int) -> None:
        self._last = Segment(self._path(base), base)
        self._segments.append(self._last)
        self._bases.append(base)
        self._is_segment_new = True

    def _append_rest(self, data: bytes, written: int) -> None:
        """A write was cut short: write the rest, or take back what was written."""
        last = self._last
        try:
            while written < len(data):
                written += os.write(last.fd, memoryview(data)[written:])
        except OSError:
            os.lseek(last.fd, last.end - last.base, os.SEEK_SET)
            raise

    def _path(self, base: int) -> Path:
        return self._directory / f"{base:020d}"
