"""The files to which the indexes of long queues are spilled, which all queues share.

They are a log like that of the messages, of records of which each holds one stretch of one index:
see `stretches`. A file goes when nothing in it is live any more, and a checkpoint that does not
refer to it is on the disk.

Whoever reads a queue has one stretch of it in memory. So many may, of all queues; beyond that those
who read longest ago have to read theirs again.
"""

from __future__ import annotations

import os
import shutil
from array import array
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

from core.commit_log import CommitLog
from core.errors import CorruptRecordError
from core.group_commit import open_directory
from core.record import HEADER_SIZE, ROW_SIZE, decode, decode_header, encode_head
from core.stretch import Stretch, describe

ORIGIN = 65534  # Of the records here; those of messages have other ones.
_SEGMENT_SIZE = 16 << 20
_READER_COUNT_MAX = 256

# Finds the runs of a stretch of a queue again, which cannot be read any more.
Rebuild: TypeAlias = "Callable[[int, Stretch], array[int]]"


class Reader(Protocol):
    """Somebody who has a stretch in memory."""

    def forget(self) -> None:
        """Let go of it."""


class IndexLog:
    """The files of one data folder. They come to be with the first stretch."""

    def __init__(self, directory: Path, run_count_max: int, rebuild: Rebuild) -> None:
        self.run_count_max = run_count_max  # Of a stretch.
        self.rebuild = rebuild
        self._directory = directory
        self._log: CommitLog | None = None
        self._live: Counter[int] = Counter()  # Stretches, by the first byte of their file.
        self._synced_to = 0
        self._readers: OrderedDict[Reader, None] = OrderedDict()
        self.restored_end = 0  # Below it, all was written before a restart.

    def open(self, named: Mapping[int, Sequence[Stretch]]) -> dict[int, list[Stretch]]:
        """Begin after a restart: nothing is live but these, by queue, which the checkpoint names.

        Returns those that are not there, less what no restart brings back. If only the file tells
        which offsets have a message, it is read, too; damage to the others is no matter until then.
        """
        stretches = [stretch for of_queue in named.values() for stretch in of_queue]
        if not stretches:
            shutil.rmtree(self._directory, ignore_errors=True)
            return {}
        log = self._log = CommitLog(self._directory, _SEGMENT_SIZE)
        missing: dict[int, list[Stretch]] = {}
        for id, of_queue in named.items():
            for stretch in of_queue:
                if not self._is_there(id, stretch):
                    lost = stretch._replace(held_count=stretch.kept_count)
                    missing.setdefault(id, []).append(lost)
        end = max(log.segments[-1].base, *map(_end, stretches))
        log.open_at(end)  # What is missing is not written over: it is asked for, and not found.
        self.restored_end = self._synced_to = end
        for stretch in stretches:
            self._count(stretch.position, 1)
        self.drop(self.dead())
        return missing

    def append(self, queue_id: int, runs: array[int], has_transient: bool) -> Stretch:
        """Write a stretch; may some runs be marked as transient? Raises `OSError`."""
        log = self._log
        if log is None:
            log = self._log = CommitLog(self._directory, _SEGMENT_SIZE)
            log.open_at(0)
        data = runs.tobytes()
        position = log.prepare(_record_size(len(data)))
        head = encode_head(ORIGIN, position, 0, [queue_id], [len(data)], [data])
        log.append([head, data], len(head) + len(data))
        self._count(position, 1)
        return describe(runs, position, has_transient)

    def read(self, queue_id: int, stretch: Stretch) -> array[int]:
        """The runs of a stretch. Raises `CorruptRecordError` if they are not there."""
        assert self._log is not None
        data = self._log.read(stretch.position, _record_size(stretch.size))
        header = decode_header(data)
        if header is None or header.log_offset != stretch.position:
            raise CorruptRecordError(f"no stretch at {stretch.position}")
        record = decode(data, header)
        if record.route_ids != (queue_id,) or len(record.messages[0]) != stretch.size:
            raise CorruptRecordError(f"the stretch at {stretch.position} is another one")
        return array("q", record.messages[0])

    def release(self, position: int) -> None:
        """A stretch is needed no more."""
        self._count(position, -1)

    def is_reading(self, reader: Reader) -> None:
        """Somebody has a stretch in memory; others may lose theirs."""
        self._readers[reader] = None
        self._readers.move_to_end(reader)
        if len(self._readers) > _READER_COUNT_MAX:
            self._readers.popitem(last=False)[0].forget()

    def has_ended(self, reader: Reader) -> None:
        """Somebody has no stretch in memory any more."""
        self._readers.pop(reader, None)

    # Files

    def begin_sync(self) -> tuple[list[int], int]:
        """Descriptors to flush before a checkpoint, and where what they hold ends."""
        log = self._log
        if log is None or log.end == self._synced_to:
            return [], self._synced_to
        unsynced = [segment for segment in log.segments if segment.end > self._synced_to]
        descriptors = [os.dup(segment.fd) for segment in unsynced]
        return [*descriptors, open_directory(self._directory)], log.end

    def synced(self, end: int) -> None:
        """All below `end` is on the disk."""
        self._synced_to = max(self._synced_to, end)

    def dead(self) -> list[int]:
        """The files that hold nothing live; to be dropped when the next checkpoint is on the disk.

        Nothing in them comes to life again: only the last one is written to.
        """
        if self._log is None:
            return []
        return [each.base for each in self._log.segments[:-1] if not self._live[each.base]]

    def drop(self, dead: Sequence[int]) -> None:
        """Delete these files, of which no checkpoint speaks any more."""
        if self._log is not None:
            for segment in [each for each in self._log.segments if each.base in dead]:
                self._log.drop(segment)
                del self._live[segment.base]

    def close(self) -> None:
        """Flush and close."""
        if self._log is not None:
            self._log.close()

    def _is_there(self, queue_id: int, stretch: Stretch) -> bool:
        assert self._log is not None
        if not stretch.has_gaps:
            return self._log.holds(_end(stretch) - 1)
        try:
            self.read(queue_id, stretch)
        except CorruptRecordError:
            return False
        return True

    def _count(self, position: int, change: int) -> None:
        assert self._log is not None
        if self._log.holds(position):
            self._live[self._log.segment_at(position).base] += change


def _end(stretch: Stretch) -> int:
    """Behind the record of a stretch."""
    return stretch.position + _record_size(stretch.size)


def _record_size(size: int) -> int:
    """How large the record of a stretch of so many bytes is."""
    return HEADER_SIZE + ROW_SIZE + size
