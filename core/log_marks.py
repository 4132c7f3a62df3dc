"""Where records of the log begin, one in about every MiB: where a search through it may start."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from typing import NamedTuple

from core.errors import CorruptRecordError
from core.record import HEADER_SIZE, decode, decode_header
from core.store import Store

MARK_DISTANCE = 1 << 20  # A search scans at most about so many bytes.


class LoggedMessage(NamedTuple):
    """A message as it lies in the log."""

    origin: int
    stored: bytes
    timestamp_ms: int
    route_id: int


class LogMarks:
    """The marks of one log; `due_at` is from where on the next record gets one."""

    def __init__(self, store: Store) -> None:
        self.offsets: list[int] = []
        self.due_at = 0
        self._store = store
        self._log = store.commit_log

    def restore(self, offsets: list[int]) -> None:
        """These were there before a restart."""
        self.offsets = list(offsets)
        if offsets:
            self.due_at = offsets[-1] + MARK_DISTANCE

    def add(self, log_offset: int) -> None:
        """A record begins here, behind all that have a mark."""
        self.offsets.append(log_offset)
        self.due_at = log_offset + MARK_DISTANCE

    def forget_reclaimed(self) -> None:
        """Segments are gone: so are the marks in them."""
        self.offsets = [offset for offset in self.offsets if self._log.holds(offset)]
        if not self.offsets:
            self.due_at = 0

    def before(self, timestamp_ms: int) -> int:
        """The log offset of a record that was stored before this time; the log's start if none."""
        offsets = self.offsets
        at = bisect_left(offsets, timestamp_ms, key=self._store.timestamp_ms)
        return max(self._log.start, offsets[at - 1]) if at else self._log.start

    def read_message(self, log_offset: int) -> LoggedMessage | None:
        """The message that begins here, if one does."""
        log = self._log
        if not log.holds(log_offset):
            return None
        position = log.segment_at(log_offset).base  # What lies before that may be gone.
        if at := bisect_right(self.offsets, log_offset):
            position = max(position, self.offsets[at - 1])
        while position < log_offset:
            header = decode_header(log.read(position, HEADER_SIZE))
            if header is None or header.log_offset != position:
                return None
            if position + header.size > log_offset:
                return _message_at(log.read(position, header.size), position, log_offset)
            position += header.size
        return None


def _message_at(data: bytes, position: int, log_offset: int) -> LoggedMessage | None:
    header = decode_header(data)
    assert header is not None
    try:
        record = decode(data, header)
    except CorruptRecordError:
        return None
    at = position + header.size - sum(map(len, record.messages))
    for route_id, message in zip(record.route_ids, record.messages, strict=True):
        if at == log_offset:
            return LoggedMessage(header.origin, message, header.timestamp_ms, route_id)
        at += len(message)
    return None
