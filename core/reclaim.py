"""Reclaim: which segments of the log may go.

A segment goes when no queue and no timer refers to anything in it, and it is old enough, or the log
larger than it should be. A message that nobody consumes, or whose time is far off, keeps its own
segment, not those behind it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Protocol

from core.commit_log import Segment


class Index(Protocol):
    """What refers to places in the log: a queue's index, or that of the timers."""

    def refers_to(self, start: int, end: int) -> bool:
        """Does it refer to anything in the log between these offsets?"""


def find_reclaimable(
    segments: Sequence[Segment],
    safe_end: int,
    indexes: Iterable[Index],
    age_max_s: float,
    size_max: int,
    now_s: float,
) -> list[Segment]:
    """The segments that may be deleted, oldest first.

    Only what ends before `safe_end` is considered: recovery will not read it again. `segments` are
    all of the log; the last one is never among the answer.
    """
    size = sum(segment.end - segment.base for segment in segments)
    referring = list(indexes)
    reclaimable = []
    for segment in segments[:-1]:
        if segment.end > safe_end:
            break
        is_old = now_s - segment.modified_at >= age_max_s
        if not is_old and size <= size_max:
            continue
        if not any(index.refers_to(segment.base, segment.end) for index in referring):
            reclaimable.append(segment)
            size -= segment.end - segment.base
    return reclaimable
