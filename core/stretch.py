"""A stretch of a queue's index: some hundred runs, in a file (see `index_log`).

What must be known of it without reading it is one row of 72 bytes, in memory and in a checkpoint:

    | queue offset of its first message (8) | behind its last (8) | place in the index log (8) |
    | runs (8) | messages (8) | messages that a restart brings back (8)                        |
    | of its first run in the commit log: record (8), message (8) | of its last: record (8)    |
"""

from __future__ import annotations

from array import array
from typing import NamedTuple

from core.consume_queue import RUN_SIZE, RUN_WIDTH, TRANSIENT, VOLATILE_BASE, message_count

ROW_WIDTH = 9


class Stretch(NamedTuple):
    """One row. Without a run in the commit log, the last three numbers are -1."""

    start: int
    end: int
    position: int
    run_count: int
    held_count: int
    kept_count: int
    log_first: int
    first: int
    log_last: int

    @property
    def size(self) -> int:
        """How many bytes its runs are."""
        return self.run_count * RUN_SIZE

    @property
    def has_gaps(self) -> bool:
        """Is there an offset at which a restart finds no message?"""
        return self.end - self.start != self.kept_count

    @property
    def is_mixed(self) -> bool:
        """Was it spilled with runs that no restart brings back?"""
        return self.held_count != self.kept_count


def describe(runs: array[int], position: int, has_transient: bool) -> Stretch:
    """The row of these runs, which are at this place; may some be marked as transient?"""
    start, end = runs[0], runs[-RUN_WIDTH] + message_count(runs[-1])
    run_count = len(runs) // RUN_WIDTH
    places = runs[2::RUN_WIDTH]
    # Most are of one message each.
    held_count = run_count if end - start == run_count else sum(map(message_count, places))
    offsets = runs[1::RUN_WIDTH]
    if not has_transient and max(offsets) < VOLATILE_BASE:
        row = (start, end, position, run_count, held_count, held_count)
        return Stretch(*row, offsets[0], places[0] >> 32, offsets[-1])
    in_log = [
        (offset, place)
        for offset, place in zip(offsets, places, strict=True)
        if offset < VOLATILE_BASE
    ]
    kept_count = sum(message_count(place) for _, place in in_log if not place & TRANSIENT)
    row = (start, end, position, run_count, held_count, kept_count)
    if not in_log:
        return Stretch(*row, -1, -1, -1)
    return Stretch(*row, in_log[0][0], in_log[0][1] >> 32, in_log[-1][0])


def decode_stretches(rows: bytes) -> list[Stretch]:
    """The rows in a checkpoint."""
    numbers = array("q", rows)
    return [Stretch(*numbers[at : at + ROW_WIDTH]) for at in range(0, len(numbers), ROW_WIDTH)]
