"""The part of a queue's index that was spilled to files: stretches, oldest first.

The first one, and the one that is read just then, are in memory while somebody reads. One that
cannot be read any more is found again in the commit log (see `rebuild`).

Runs of messages that no restart brings back are in the files, too; a restart passes over them.
"""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Iterator

from twisted.logger import Logger

from core.consume_queue import RUN_WIDTH, ConsumeQueue, Run, moved_runs, without_transient
from core.errors import CorruptRecordError
from core.index_log import IndexLog
from core.stretch import ROW_WIDTH, Stretch

_log = Logger()


class Stretches:
    """The stretches of one queue, oldest first; there is at least one but while it is changed."""

    __slots__ = (
        "_floor",
        "_head",
        "_index_log",
        "_page",
        "_page_end",
        "_page_start",
        "_queue_id",
        "_rows",
    )

    def __init__(self, index_log: IndexLog, queue_id: int, rows: bytes = b"") -> None:
        self._index_log = index_log
        self._queue_id = queue_id
        self._rows = array("q", rows)
        self._floor = 0  # What lies below it in the first stretch was dropped.
        self._head: ConsumeQueue | None = None  # The first stretch, if it is in memory.
        self._page: ConsumeQueue | None = None  # The one that is read, if it is in memory.
        self._page_start = self._page_end = -1

    def __bool__(self) -> bool:
        return bool(self._rows)

    @property
    def run_count_max(self) -> int:
        """How many runs a stretch may have."""
        return self._index_log.run_count_max

    @property
    def start(self) -> int:
        """The queue offset of the oldest message."""
        rows = self._rows
        if self._head is None and self._floor <= rows[0] and rows[4] == rows[5]:
            return rows[0]
        return self._first_page().min_offset

    @property
    def end(self) -> int:
        """Behind the newest message."""
        return self._rows[1 - ROW_WIDTH]

    @property
    def last_run_offset(self) -> int:
        """The queue offset at which the newest run begins."""
        return self._page_at(len(self._rows) - ROW_WIDTH).last_run_offset

    def append(self, runs: array[int], has_transient: bool) -> None:
        """Spill runs, which come behind all others. Raises `OSError` if the disk refuses.

        `has_transient` says that some may be marked as transient.
        """
        self._rows.extend(self._index_log.append(self._queue_id, runs, has_transient))

    def prepend(self, runs: array[int]) -> None:
        """Put runs before all others. Raises `OSError`: nothing is done then.

        What was dropped of the first stretch is gone for good.
        """
        first, step = self._row(0), self.run_count_max * RUN_WIDTH
        runs = runs + self._first_page().runs
        rows = array("q")
        try:
            for at in range(0, len(runs), step):
                rows.extend(self._index_log.append(self._queue_id, runs[at : at + step], True))
        except OSError:
            for position in rows[2::ROW_WIDTH]:
                self._index_log.release(position)
            raise
        self._index_log.release(first.position)
        self._rows = rows + self._rows[ROW_WIDTH:]
        self._floor = 0
        self.forget()

    def take_over(self, older: Stretches, ahead: int) -> None:
        """Put the stretches of another index before all others; their offsets grow by `ahead`.

        All that was dropped of the first one here is gone for good already.
        """
        older.move(ahead)
        self._rows = older._rows + self._rows
        self._floor = older._floor
        self.forget()

    def move(self, ahead: int) -> None:
        """All offsets grow by so much; what is in the files stays as it is."""
        for column in (0, 1):
            moved = [offset + ahead for offset in self._rows[column::ROW_WIDTH]]
            self._rows[column::ROW_WIDTH] = array("q", moved)
        self._floor = max(0, self._floor + ahead)
        self.forget()
        self._index_log.has_ended(self)

    def cut(self, end: int) -> array[int]:
        """Let go of the stretches that end behind `end`; return the runs of the first of them."""
        first = self._find(end)
        runs = self._page_at(first).runs
        for position in self._rows[first + 2 :: ROW_WIDTH]:
            self._index_log.release(position)
        del self._rows[first:]
        self.forget()
        return runs

    def run_at(self, queue_offset: int) -> Run | None:
        """See `ConsumeQueue`; None behind the last run."""
        page = self._page
        if page is None or not self._page_start <= queue_offset < self._page_end:
            at = self._find(queue_offset)
            if at >= len(self._rows):
                return None
            self._page = None
            page = self._page = self._page_at(at)
            self._page_start, self._page_end = self._rows[at : at + 2]
        # At the end of one may be what no restart has brought back.
        return page.run_at(queue_offset) or self.run_at(self._page_end)

    def drop_before(self, queue_offset: int) -> list[int]:
        """Drop the runs that lie wholly below `queue_offset`; return the log offsets of some.

        All those of transient batches are among them.
        """
        dropped: list[int] = []
        rows = self._rows
        while rows and rows[1] <= queue_offset:
            if rows[4] != rows[5]:
                dropped += self._first_page().drop_before(queue_offset)
            self._drop_first()
        if rows and rows[0] < queue_offset:
            dropped += self._first_page().drop_before(queue_offset)
            self._floor = queue_offset
            if not self._first_page():  # The rest of it is what no restart has brought back.
                self._drop_first()
        return dropped

    def first_kept(self) -> tuple[int, int] | None:
        """See `ConsumeQueue`."""
        for at in range(0, len(self._rows), ROW_WIDTH):
            stretch = self._row(at)
            if at and not stretch.is_mixed:
                return stretch.log_first, stretch.first
            if stretch.kept_count and (found := self._page_at(at).first_kept()) is not None:
                return found
        return None

    def refers_to(self, start: int, end: int) -> bool:
        """See `ConsumeQueue`."""
        rows = self._rows
        for index, (first, last) in enumerate(
            zip(rows[6::ROW_WIDTH], rows[8::ROW_WIDTH], strict=True)
        ):
            if first < end and start <= last:
                if index and (start <= first or last < end):
                    return True
                if self._page_at(index * ROW_WIDTH).refers_to(start, end):
                    return True
        return False

    def gaps(self, start: int) -> Iterator[tuple[int, int]]:
        """See `ConsumeQueue`, but for what comes behind the last run."""
        rows = self._rows
        for at in range(self._find(start), len(rows), ROW_WIDTH):
            stretch = self._row(at)
            if self._held_count(stretch) == stretch.end - stretch.start:
                if start < stretch.start:
                    yield start, stretch.start
            else:
                yield from self._page_at(at).gaps(start)
            start = stretch.end

    def passing(self, start: int) -> Iterator[tuple[int, int]]:
        """See `ConsumeQueue`."""
        for at in range(self._find(start), len(self._rows), ROW_WIDTH):
            stretch = self._row(at)
            if stretch.is_mixed and not self._is_restored(stretch):
                yield from self._page_at(at).passing(start)

    def to_bytes(self) -> bytes:
        """The rows, for a checkpoint: but those of which a restart brings nothing back."""
        rows = self._rows
        if min(rows[5::ROW_WIDTH]):
            return rows.tobytes()
        kept = array("q")
        for at in range(0, len(rows), ROW_WIDTH):
            if rows[at + 5]:
                kept.extend(rows[at : at + ROW_WIDTH])
        return kept.tobytes()

    def replace(self, lost: Stretch, runs: array[int]) -> None:
        """Write a stretch again, that was lost; if the disk refuses, it stays so."""
        try:
            fresh = self._index_log.append(self._queue_id, runs, False)
        except OSError as error:
            _log.error("the index of a queue cannot be written: {error}", error=error)
            return
        self._index_log.release(lost.position)
        at = self._find(lost.start)
        self._rows[at : at + ROW_WIDTH] = array("q", fresh)

    def forget(self) -> None:
        """Have nothing in memory."""
        self._head = self._page = None
        self._page_start = self._page_end = -1

    # The rest is private

    def _row(self, at: int) -> Stretch:
        return Stretch(*self._rows[at : at + ROW_WIDTH])

    def _find(self, queue_offset: int) -> int:
        """The row of the first stretch that ends behind `queue_offset`."""
        return bisect_right(self._rows[1::ROW_WIDTH], queue_offset) * ROW_WIDTH

    def _held_count(self, stretch: Stretch) -> int:
        """How many messages a stretch has: after a restart, only those that were kept."""
        return stretch.kept_count if self._is_restored(stretch) else stretch.held_count

    def _is_restored(self, stretch: Stretch) -> bool:
        return stretch.position < self._index_log.restored_end

    def _drop_first(self) -> None:
        rows = self._rows
        self._index_log.release(rows[2])
        del rows[:ROW_WIDTH]
        # Whoever reads in order has read the next one already.
        self._head = self._page if rows and rows[0] == self._page_start else None
        if not rows:
            self.forget()
            self._index_log.has_ended(self)

    def _first_page(self) -> ConsumeQueue:
        if self._head is None:
            self._head = self._read(0)
        return self._head

    def _page_at(self, at: int) -> ConsumeQueue:
        if at == 0:
            return self._first_page()
        if self._page is not None and self._page_start == self._rows[at]:
            return self._page
        return self._read(at)

    def _read(self, at: int) -> ConsumeQueue:
        """Bring a stretch to memory."""
        stretch = self._row(at)
        self._index_log.is_reading(self)
        try:
            runs = self._index_log.read(self._queue_id, stretch)
        except CorruptRecordError as error:
            _log.error("the index of a queue is damaged, and found again: {error}", error=error)
            lost = stretch._replace(held_count=self._held_count(stretch))
            runs = self._index_log.rebuild(self._queue_id, lost)
            self.replace(lost, runs)
        if stretch.start != runs[0]:  # It was moved.
            runs = moved_runs(runs, stretch.start - runs[0])
        if stretch.is_mixed and self._is_restored(stretch):
            runs = without_transient(runs)
        page = ConsumeQueue(stretch.end, runs.tobytes())
        page.drop_before(self._floor)
        return page
