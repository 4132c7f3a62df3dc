"""Which indexes are spilled to files, and when: all of them together have a budget of memory.

A run of an index takes 24 bytes. When there are more of them in memory than the budget allows, the
longest indexes go to files, until half of it is free; short ones never do, for a queue takes more
memory than they. So nothing is spilled while backlogs are short, and memory is bounded however long
they are. What is appended from then on is in memory again.

A checkpoint names what is in files, and writes the rest: so what is long goes to files before it.

Counting is left to whoever enters runs: `make_room` is asked for only now and then.
"""

from __future__ import annotations

from collections.abc import Mapping

from twisted.logger import Logger

from core.index_log import IndexLog
from core.light_queue import LightQueue

_SHORTEST_SHARE = 16  # An index of less than a 16th of a stretch stays in memory.


class Spilling:
    """The budget of all queues of a broker."""

    _log = Logger()

    def __init__(
        self, index_log: IndexLog, queues: Mapping[int, LightQueue], run_count_max: int
    ) -> None:
        self._index_log = index_log
        self._queues = queues
        self._run_count_max = run_count_max
        self._shortest = max(1, index_log.run_count_max // _SHORTEST_SHARE)

    def make_room(self) -> int:
        """Spill if need be; return how many runs may be entered until this is called again."""
        half = self._run_count_max // 2
        in_memory = self._run_counts()
        total = sum(count for count, _ in in_memory)
        if total > self._run_count_max:
            longest_last = sorted(each for each in in_memory if each[0] >= self._shortest)
            while total > half and longest_last:
                count, id = longest_last.pop()
                if not self._spill(id):
                    break
                total -= count
        return max(half, self._run_count_max - total, 1)

    def spill_long(self) -> None:
        """Spill what fills stretches, so that no checkpoint has to write it."""
        for count, id in self._run_counts():
            if count >= self._index_log.run_count_max and not self._spill(id):
                break

    def _run_counts(self) -> list[tuple[int, int]]:
        return [(queue.run_count, id) for id, queue in self._queues.items()]

    def _spill(self, id: int) -> bool:
        try:
            self._queues[id].spill(self._index_log)
        except OSError as error:
            self._log.error("indexes stay in memory: {error}", error=error)
            return False
        return True
