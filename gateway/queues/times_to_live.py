"""How long the messages of a queue last: as its options said when they came.

A deadline is fixed when a message is stored. So when a policy gives the queue another time to live,
what it holds keeps the old one, after a restart too.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

_COUNT_MAX = 64  # Changes that are remembered; who changes more often moves the oldest deadlines.
_ALWAYS = (0,)


class TimesToLive:
    """The times to live of one queue, each with the time since when it holds."""

    __slots__ = ("_since_ms", "_times_ms", "latest_ms")

    def __init__(self, time_ms: int | None, history: Sequence[tuple[int, int | None]] = ()) -> None:
        self.latest_ms = time_ms
        self._since_ms = tuple(since for since, _ in history) if history else _ALWAYS
        self._times_ms = tuple(time for _, time in history) if history else (time_ms,)

    @property
    def history(self) -> list[tuple[int, int | None]]:
        """What a restart has to know, beside the options; nothing if nothing changed."""
        if len(self._since_ms) == 1:
            return []
        return list(zip(self._since_ms, self._times_ms, strict=True))

    @property
    def has_any(self) -> bool:
        """May a message last for a time only?"""
        return self.latest_ms is not None or len(self._since_ms) > 1

    def at(self, stored_ms: int) -> int | None:
        """The time to live of a message that was stored then; None is without."""
        if len(self._since_ms) == 1:
            return self.latest_ms
        return self._times_ms[max(0, bisect_right(self._since_ms, stored_ms) - 1)]

    def change(self, time_ms: int | None, now_ms: int, is_empty: bool) -> None:
        """Another time holds from now on; for an empty queue it is the only one."""
        self.latest_ms = time_ms
        if is_empty:
            self._since_ms, self._times_ms = _ALWAYS, (time_ms,)
        elif time_ms != self._times_ms[-1]:
            self._since_ms = (*self._since_ms, now_ms)[-_COUNT_MAX:]
            self._times_ms = (*self._times_ms, time_ms)[-_COUNT_MAX:]
