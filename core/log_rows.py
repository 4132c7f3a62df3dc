"""Finding records in the commit log, and reading whose their messages are without reading those."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from core.commit_log import CommitLog
from core.errors import CorruptRecordError
from core.record import (
    HEADER_SIZE,
    MAGIC,
    ROW_SIZE,
    RecordHeader,
    decode,
    decode_header,
    decode_rows,
)

# The durable queues of each route in a row.
QueueIds: TypeAlias = "Callable[[int], tuple[int, ...]]"

_MAGIC = MAGIC.to_bytes(4, "big")
_MAGIC_POSITION = 4  # Of the magic within a record.
_CHUNK_SIZE = 4 << 20
_PIECE_SIZE = 256 << 10


class LogRows:
    """Reads the log from a position on, a piece at a time, while it grows."""

    def __init__(
        self,
        log: CommitLog,
        queue_ids: QueueIds,
        position: int,
        wants: Callable[[RecordHeader], bool],
    ) -> None:
        self.position = position  # All records before it were read.
        self._log = log
        self._queue_ids = queue_ids
        self._wants = wants

    def read_piece(self) -> Iterator[tuple[int, int, int, int]]:
        """What queues got of the records in the next piece that are wanted, in order.

        The id of a queue, the log offset of the record, and there the first message and how many.
        """
        for log_offset, route_ids in self._read_records():
            for route_id, first, count in equal_runs(route_ids):
                for id in self._queue_ids(route_id):
                    yield id, log_offset, first, count

    def _read_records(self) -> list[tuple[int, Sequence[int]]]:
        position, end = self.position, self._log.end
        data = self._log.read(position, _PIECE_SIZE)
        found: list[tuple[int, Sequence[int]]] = []
        at = 0
        while (header := decode_header(data, at)) is not None:
            if header.log_offset != position + at:
                break
            rows_end = at + HEADER_SIZE + header.message_count * ROW_SIZE
            if rows_end > len(data):
                if at:
                    break
                data = self._log.read(position, rows_end)
            if self._wants(header):
                found.append((header.log_offset, decode_rows(data, header, at)[0]))
            at += header.size
        if at == 0 and position < end:
            # A segment is gone, or damaged: go on where a record begins.
            following = find_record(self._log, position + 1, end)
            at = (end if following is None else following) - position
        self.position = position + at
        return found


def equal_runs(route_ids: Sequence[int]) -> Iterator[tuple[int, int, int]]:
    """Each run of equal route ids: which it is, its first message, and how many."""
    first, count = 0, len(route_ids)
    while first < count:
        route_id = route_ids[first]
        end = first + 1
        while end < count and route_ids[end] == route_id:
            end += 1
        yield route_id, first, end - first
        first = end


def find_record(log: CommitLog, start: int, stop: int) -> int | None:
    """The log offset of the first whole record that begins at `start` to `stop`, if any does."""
    position = start
    while position <= stop:
        chunk = log.read(position, _CHUNK_SIZE)
        if not chunk:  # A segment may be gone, or shorter than it was.
            following = log.next_segment_base(position)
            if following is None:
                return None
            position = following
            continue
        at = chunk.find(_MAGIC)
        while at >= 0:
            found = position + at - _MAGIC_POSITION
            if start <= found <= stop and _is_whole_record(log, found):
                return found
            at = chunk.find(_MAGIC, at + 1)
        position += max(1, len(chunk) - HEADER_SIZE) if len(chunk) > HEADER_SIZE else len(chunk)
    return None


def _is_whole_record(log: CommitLog, log_offset: int) -> bool:
    header = decode_header(log.read(log_offset, HEADER_SIZE))
    if header is None or header.log_offset != log_offset:
        return False
    try:
        decode(log.read(log_offset, header.size), header)
    except CorruptRecordError:
        return False
    return True
