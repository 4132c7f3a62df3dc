"""Where messages are: the commit log for durable ones, memory for the rest.

A batch that was appended stays in memory in the form in which the front ends use it, as long as
the memory allows; later it is read back from the file and parsed again. Transient batches never
touch a disk, unless they outgrow their memory: then the newest go to a spill file, which does not
survive a restart and is not meant to.
"""

from __future__ import annotations

import shutil
from collections import Counter, deque
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from twisted.logger import Logger

from core.commit_log import CommitLog
from core.consume_queue import VOLATILE_BASE
from core.errors import CorruptRecordError
from core.record import (
    HEADER_SIZE,
    ROW_SIZE,
    Buffer,
    RecordHeader,
    decode,
    decode_header,
    decode_rows,
    encode_head,
    verify,
)

_READ_AHEAD_BITS = 20
_READ_AHEAD_SIZE = 1 << _READ_AHEAD_BITS
_NEAR_SIZE = 16 << 10
_READERS_COUNT_MAX = 8
_AHEAD_COUNT_MAX = 1024
_HEAD_READ_SIZE = 4096  # The header and the rows of most records.
_MESSAGE_OVERHEAD = 200  # What a message costs in memory beside its bytes, about.
_BATCH_OVERHEAD = 400  # The same of a batch: many are of one message.
_VERIFIED_COUNT_MAX = 1 << 16
_ALONE_COST = 32  # Reading a message alone takes as long as parsing so many of its record.
_SPILL_SEGMENT_SIZE = 64 << 20
# The log offset of a transient batch that was spilled is this and its place in the spill files.
_SPILLED_BASE = VOLATILE_BASE | 1 << 61


class Batch:
    """The messages of one record, parsed; `size` is about what they cost in memory."""

    __slots__ = ("log_offset", "messages", "references", "size", "sizes", "timestamp_ms")

    def __init__(
        self,
        log_offset: int,
        messages: Sequence[Any],
        sizes: Sequence[int],
        size: int,
        timestamp_ms: int,
    ) -> None:
        self.log_offset = log_offset
        self.messages = messages
        self.sizes = sizes  # Of the messages as they are stored.
        self.size = size
        self.timestamp_ms = timestamp_ms
        self.references = 1  # Runs that point here; only counted for transient batches.


class Store:
    """Append and fetch batches of messages.

    `parsers` gives, for each origin, how to read a stored message.
    """

    _log = Logger()

    def __init__(
        self,
        directory: Path,
        segment_size: int,
        cache_size: int,
        volatile_size: int,
        now_ms: Callable[[], int],
    ) -> None:
        self.commit_log = CommitLog(directory / "commitlog", segment_size)
        self.parsers: dict[int, Callable[[bytes], Any]] = {}
        self._now_ms = now_ms
        self._cache: dict[int, Batch] = {}
        self._cache_order: deque[Batch] = deque()
        self._cache_size = 0
        self._cache_size_max = cache_size
        self._read_ends: deque[int] = deque(maxlen=_READERS_COUNT_MAX)  # Where reading may go on.
        self._ahead: set[int] = set()  # The MiB of the log that were read ahead.
        self._verified: set[int] = set()  # Records whose checksum was right, of which some is read.
        self._alone_at = -1  # Of this record of the log, the last reads were of a part alone,
        self._alone_count = 0  # so many one after the other.
        self._volatile: dict[int, Batch] = {}
        self._volatile_next = VOLATILE_BASE
        self._volatile_size = 0
        self._volatile_size_max = volatile_size
        self._spill_directory = directory / "volatile"
        shutil.rmtree(self._spill_directory, ignore_errors=True)
        self._spill: CommitLog | None = None
        self._spill_references: Counter[int] = Counter()  # By the first byte of a spill file.

    def append_durable(
        self,
        origin: int,
        route_ids: list[int],
        sizes: list[int],
        payload: list[Buffer],
        messages: Sequence[Any],
    ) -> int:
        """Append one record to the commit log and return its log offset.

        Raises `OSError` if the disk refuses; nothing is appended then.
        """
        timestamp_ms = self._now_ms()
        log_offset = _append(self.commit_log, origin, route_ids, sizes, payload, timestamp_ms)
        size = _BATCH_OVERHEAD + _MESSAGE_OVERHEAD * len(sizes) + sum(sizes)
        self._remember(Batch(log_offset, messages, sizes, size, timestamp_ms))
        return log_offset

    def append_aside(self, origin: int, sizes: list[int], payload: list[Buffer]) -> int:
        """Append one record to the commit log of what no queue gets; return its log offset.

        It is not kept in memory. Raises `OSError` if the disk refuses; nothing is appended then.
        """
        return _append(self.commit_log, origin, [0] * len(sizes), sizes, payload, self._now_ms())

    def append_volatile(
        self, origin: int, sizes: list[int], payload: list[Buffer], messages: Sequence[Any]
    ) -> int:
        """Keep one batch until nothing refers to it any more; return its log offset."""
        size = _BATCH_OVERHEAD + _MESSAGE_OVERHEAD * len(sizes) + sum(sizes)
        if self._volatile_size + size > self._volatile_size_max:
            return self._spill_batch(origin, sizes, payload)
        log_offset = self._volatile_next
        self._volatile_next += len(sizes)
        self._volatile_size += size
        self._volatile[log_offset] = Batch(log_offset, messages, sizes, size, self._now_ms())
        return log_offset

    def refer(self, log_offset: int, count: int) -> None:
        """One reference to a transient batch becomes so many; if there is none left, it goes.

        Whoever has just appended it holds one.
        """
        batch = self._volatile.get(log_offset)
        if batch is None:
            self._count_references(log_offset, count - 1)
            return
        batch.references += count - 1
        if not batch.references:
            del self._volatile[log_offset]
            self._volatile_size -= batch.size

    def refer_if_transient(self, log_offset: int, count: int) -> None:
        """The same, if the batch is a transient one."""
        if log_offset >= VOLATILE_BASE:
            self.refer(log_offset, count)

    def release(self, log_offset: int) -> None:
        """One reference less to a transient batch."""
        self.refer(log_offset, 0)

    def fetch(self, log_offset: int, first: int, count: int) -> tuple[Sequence[Any], int]:
        """Messages of a batch, and about how many bytes they are.

        A record that cannot be read is reported, and yields none.
        """
        batch = self._cache.get(log_offset) or self._volatile.get(log_offset)
        if batch is None:
            if log_offset >= VOLATILE_BASE:
                assert self._spill is not None
                return self._fetch_cold(self._spill, log_offset - _SPILLED_BASE, first, count)
            return self._fetch_cold(self.commit_log, log_offset, first, count)
        messages = batch.messages
        if len(messages) == count:
            return messages, batch.size
        return messages[first : first + count], batch.size * count // (len(messages) or 1)

    def timestamp_ms(self, log_offset: int) -> int:
        """When a batch was stored; 0 if it cannot be read."""
        batch = self._cache.get(log_offset) or self._volatile.get(log_offset)
        if batch is not None:
            return batch.timestamp_ms
        if log_offset >= VOLATILE_BASE:
            assert self._spill is not None
            data = self._spill.read(log_offset - _SPILLED_BASE, HEADER_SIZE)
        else:
            data = self.commit_log.read(log_offset, HEADER_SIZE)
        header = decode_header(data)
        return header.timestamp_ms if header is not None else 0

    def size(self, log_offset: int, first: int, count: int) -> int:
        """How many bytes messages of a durable batch are, as stored; 0 if it cannot be read."""
        return sum(self._stored_sizes(log_offset)[first : first + count])

    def message_offset(self, log_offset: int, index: int) -> int:
        """The log offset of one message's own bytes; a serial number for a transient one."""
        if log_offset >= VOLATILE_BASE:
            return log_offset + index
        sizes = self._stored_sizes(log_offset)
        if not sizes:
            raise CorruptRecordError(f"no record at {log_offset}")
        return log_offset + HEADER_SIZE + ROW_SIZE * len(sizes) + sum(sizes[:index])

    def close(self) -> None:
        """Flush, close, and forget what was transient."""
        self.commit_log.close()
        if self._spill is not None:
            self._spill.close()
        shutil.rmtree(self._spill_directory, ignore_errors=True)

    def _stored_sizes(self, log_offset: int) -> Sequence[int]:
        """The sizes of a durable batch's messages; none if it cannot be read."""
        batch = self._cache.get(log_offset)
        if batch is not None:
            return batch.sizes
        head = self.commit_log.read(log_offset, _HEAD_READ_SIZE)
        header = decode_header(head)
        if header is None or header.log_offset != log_offset:
            return ()
        rows_end = HEADER_SIZE + ROW_SIZE * header.message_count
        if rows_end > len(head):
            head = self.commit_log.read(log_offset, rows_end)
        return decode_rows(head, header)[1] if rows_end <= len(head) else ()

    def _remember(self, batch: Batch) -> None:
        """Keep a batch in memory while it is young."""
        self._cache[batch.log_offset] = batch
        self._cache_order.append(batch)
        self._cache_size += batch.size
        while self._cache_size > self._cache_size_max and len(self._cache_order) > 1:
            oldest = self._cache_order.popleft()
            self._cache_size -= oldest.size
            if self._cache.get(oldest.log_offset) is oldest:
                del self._cache[oldest.log_offset]

    def _fetch_cold(
        self, log: CommitLog, position: int, first: int, count: int
    ) -> tuple[Sequence[Any], int]:
        """Read messages back: with all that follows if most of it is wanted, else alone.

        So both a queue that is drained and one of a thousand that share the log read little more
        than they need. Who takes a record piece by piece gets all of it when that had been cheaper.
        """
        try:
            head = log.read(position, _HEAD_READ_SIZE)
            header = decode_header(head)
            if header is None or header.log_offset != position:
                raise CorruptRecordError(f"no record at log offset {position}")
            if count * 2 >= header.message_count and self._is_ahead_wanted(log, header):
                batch = self._read_ahead(log, header)
            elif log is self.commit_log and self._is_in_pieces(header):
                batch = self._parse(log.read(position, header.size), 0, header)
                self._remember(batch)
            else:
                return self._read_alone(log, header, head, first, count)
            size = batch.size * count // header.message_count
            return batch.messages[first : first + count], size
        except CorruptRecordError as error:
            self._log.error("skipping messages: {error}", error=error)
            return (), 0

    def _is_ahead_wanted(self, log: CommitLog, header: RecordHeader) -> bool:
        """Is the log read in order here, and was what follows not read ahead before, in vain?"""
        if log is not self.commit_log:
            return True
        start, ends = header.log_offset, self._read_ends
        part = start >> _READ_AHEAD_BITS
        is_wanted = part not in self._ahead and any(0 <= start - e <= _NEAR_SIZE for e in ends)
        if is_wanted:
            if len(self._ahead) >= _AHEAD_COUNT_MAX:
                self._ahead.clear()
            self._ahead.add(part)
        else:
            ends.append(start + header.size)
        return is_wanted

    def _is_in_pieces(self, header: RecordHeader) -> bool:
        """Were so many parts of this record read alone that all of it had been read as soon?"""
        if header.log_offset != self._alone_at:
            self._alone_at, self._alone_count = header.log_offset, 0
        self._alone_count += 1
        return self._alone_count * _ALONE_COST > header.message_count + _ALONE_COST

    def _read_alone(
        self, log: CommitLog, header: RecordHeader, head: bytes, first: int, count: int
    ) -> tuple[list[Any], int]:
        """Just these messages; but the first time the whole record, for the checksum covers it."""
        if header.size <= len(head):
            verify(head, header)
        elif log is self.commit_log and header.log_offset not in self._verified:
            verify(log.read(header.log_offset, header.size), header)
            if len(self._verified) >= _VERIFIED_COUNT_MAX:
                self._verified.clear()
            self._verified.add(header.log_offset)
        rows_size = ROW_SIZE * header.message_count
        if HEADER_SIZE + rows_size > len(head):
            head = log.read(header.log_offset, HEADER_SIZE + rows_size)
        sizes = decode_rows(head, header)[1]
        at = HEADER_SIZE + rows_size + sum(sizes[:first])
        wanted = sizes[first : first + count]
        data = head
        if at + sum(wanted) > len(head):
            data, at = log.read(header.log_offset + at, sum(wanted)), 0
        parser = self._parser(header)
        messages = []
        for size in wanted:
            messages.append(parser(data[at : at + size]))
            at += size
        return messages, sum(wanted) + _MESSAGE_OVERHEAD * count

    def _read_ahead(self, log: CommitLog, header: RecordHeader) -> Batch:
        """The whole record; those of the commit log that follow it are remembered as well."""
        start = header.log_offset
        is_durable = log is self.commit_log  # What was spilled is not remembered, nor read ahead.
        data = log.read(start, max(_READ_AHEAD_SIZE, header.size) if is_durable else header.size)
        wanted = self._parse(data, 0, header)
        at = header.size
        if is_durable:
            self._remember(wanted)
            while (following := decode_header(data, at)) is not None:
                if following.size > len(data) - at or following.log_offset != start + at:
                    break
                is_wanted = following.origin in self.parsers  # Timers, for one, are not.
                if is_wanted and following.log_offset not in self._cache:
                    try:
                        self._remember(self._parse(data, at, following))
                    except CorruptRecordError:
                        break  # Whoever comes to read it reports it.
                at += following.size
            self._read_ends.append(start + at)
        return wanted

    def _parse(self, data: bytes, at: int, header: RecordHeader) -> Batch:
        record = decode(data, header, at)
        parser = self._parser(header)
        messages = [parser(message) for message in record.messages]
        size = _BATCH_OVERHEAD + _MESSAGE_OVERHEAD * header.message_count + header.size
        sizes = list(map(len, record.messages))
        return Batch(header.log_offset, messages, sizes, size, header.timestamp_ms)

    def _parser(self, header: RecordHeader) -> Callable[[bytes], Any]:
        parser = self.parsers.get(header.origin)
        if parser is None:
            raise CorruptRecordError(
                f"record at {header.log_offset} is of unknown origin {header.origin}"
            )
        return parser

    def _spill_batch(self, origin: int, sizes: list[int], payload: list[Buffer]) -> int:
        if self._spill is None:
            self._spill = CommitLog(self._spill_directory, _SPILL_SEGMENT_SIZE)
        spill, last = self._spill, self._spill.segments[-1]
        position = _append(spill, origin, [0] * len(sizes), sizes, payload, self._now_ms())
        if spill.segments[-1] is not last and not self._spill_references[last.base]:
            spill.drop(last)
        self._spill_references[spill.segments[-1].base] += 1  # Until it is known who refers to it.
        return _SPILLED_BASE + position

    def _count_references(self, log_offset: int, change: int) -> None:
        """So many more runs point to a batch that was spilled; a file goes with the last one."""
        spill = self._spill
        assert spill is not None
        segment = spill.segment_at(log_offset - _SPILLED_BASE)
        self._spill_references[segment.base] += change
        if not self._spill_references[segment.base] and segment is not spill.segments[-1]:
            spill.drop(segment)
            del self._spill_references[segment.base]


def _append(
    log: CommitLog,
    origin: int,
    route_ids: list[int],
    sizes: list[int],
    payload: list[Buffer],
    timestamp_ms: int,
) -> int:
    size = HEADER_SIZE + ROW_SIZE * len(sizes) + sum(sizes)
    log_offset = log.prepare(size)
    head = encode_head(origin, log_offset, timestamp_ms, route_ids, sizes, payload)
    log.append([head, *payload], size)
    return log_offset
