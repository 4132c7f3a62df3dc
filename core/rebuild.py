"""What a damaged or missing file of the indexes held is found again in the commit log.

The log says which messages a queue got, and in which order. Which offsets between them went to
messages that no restart brings back, it does not say: if there are such in a stretch, its messages
move up to its end, and so none comes to lie below where it was. Those that are not in the log any
more, or not readable, keep an offset each, at which nothing is found.
"""

from __future__ import annotations

from array import array
from collections import deque
from collections.abc import Iterator, Mapping, Sequence

from core.commit_log import CommitLog
from core.log_rows import LogRows, QueueIds
from core.stretch import Stretch


class _Search:
    """The runs of one stretch, as far as they were found."""

    def __init__(self, stretch: Stretch) -> None:
        self.stretch = stretch
        self.left = stretch.kept_count
        self._places: list[tuple[int, int, int]] = []

    def add(self, log_offset: int, first: int, count: int) -> int:
        """Messages of the queue, in the order of the log; how many of them come too late for it."""
        stretch = self.stretch
        end = first + count
        if (log_offset, end) <= (stretch.log_first, stretch.first):
            return 0
        if log_offset > stretch.log_last:
            self.left = 0
            return count
        if log_offset == stretch.log_first:
            first = max(first, stretch.first)
        taken = min(end - first, self.left)
        if taken:
            self._places.append((log_offset, first, taken))
            self.left -= taken
        return end - first - taken

    def runs(self) -> array[int]:
        """As many messages as the stretch held."""
        stretch = self.stretch
        missing_count = stretch.held_count - sum(count for _, _, count in self._places)
        places = self._places
        if missing_count:
            nowhere = max(0, stretch.log_first) + 1  # No record begins there.
            places = [(nowhere, 0, missing_count), *places]
        runs = array("q")
        queue_offset = stretch.end - stretch.held_count
        for log_offset, first, count in places:
            runs.extend((queue_offset, log_offset, first << 32 | count))
            queue_offset += count
        return runs


def rebuild(
    log: CommitLog, queue_ids: QueueIds, lost: Mapping[int, Sequence[Stretch]]
) -> Iterator[tuple[int, Stretch, array[int]]]:
    """The runs of lost stretches, of which each queue's are in their order; reads the log once.

    `queue_ids` gives the queues of each route id.
    """
    searches = {id: deque(map(_Search, stretches)) for id, stretches in lost.items()}
    all_lost = [stretch for stretches in lost.values() for stretch in stretches]
    start = max(log.start, min(each.log_first for each in all_lost))
    rows = LogRows(log, queue_ids, start, lambda header: True)
    end = max(each.log_last for each in all_lost)
    while rows.position <= end and rows.position < log.end:
        for id, log_offset, first, count in rows.read_piece():
            waiting, left = searches.get(id), count
            while waiting and left:
                search = waiting[0]
                left = search.add(log_offset, first + count - left, left)
                if not search.left:
                    yield id, search.stretch, waiting.popleft().runs()
    for id, waiting in searches.items():
        for search in waiting:
            yield id, search.stretch, search.runs()


def rebuild_one(log: CommitLog, queue_ids: QueueIds, queue_id: int, lost: Stretch) -> array[int]:
    """The same of one stretch."""
    ((_, _, runs),) = rebuild(log, queue_ids, {queue_id: [lost]})
    return runs
