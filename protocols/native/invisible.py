"""Popped messages: invisible to the others of the group until they are acknowledged, or too late.

They belong to no connection: a client may acknowledge over another one, and a lost connection
brings nothing back early. What is left of a pop when its time is over goes back.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.turn import Turn
from gateway.queues.lane import Lane
from rosettamq.remoting.codes import ResponseCode

from .progress import Progress
from .replies import RequestRefusedError

if TYPE_CHECKING:
    from twisted.internet.interfaces import IDelayedCall, IReactorTime

_TIME_MAX_MS = 12 * 60 * 60 * 1000

Key = tuple[Lane, str]  # With the group.


@dataclass(slots=True)
class _Pop:
    """What one pop took and is still in flight."""

    progress: Progress
    pop_time_ms: int
    offsets: set[int]
    timer: IDelayedCall | None = None


class InvisibleMessages:
    """All popped messages, by lane, group and offset."""

    def __init__(self, clock: IReactorTime, turn: Turn) -> None:
        self._clock = clock
        self._turn = turn
        self._pops: dict[Key, dict[int, _Pop]] = {}

    def hide(
        self,
        key: Key,
        progress: Progress,
        offsets: Collection[int],
        pop_time_ms: int,
        duration_s: float,
    ) -> None:
        """Keep these messages, just taken, invisible for a time."""
        pop = _Pop(progress, pop_time_ms, set(offsets))
        self._pops.setdefault(key, {}).update(dict.fromkeys(offsets, pop))
        pop.timer = self._clock.callLater(max(0.0, duration_s), self._expire, key, pop)

    def count(self, key: Key) -> int:
        """How many messages of a lane are invisible to a group."""
        return len(self._pops.get(key, ()))

    def settle(self, key: Key, offsets: Collection[int], pop_time_ms: int) -> int:
        """Acknowledge; return how many were still held by the pop of that time."""
        progress: Progress | None = None  # The same for all pops of the key.
        settled = []
        for offset in offsets:
            pop = self._take(key, offset, pop_time_ms)
            if pop is not None:
                progress = pop.progress
                settled.append(offset)
        if progress is not None:
            progress.settle(settled)
        return len(settled)

    def change(
        self, key: Key, offset: int, pop_time_ms: int, new_time_ms: int, duration_s: float
    ) -> bool:
        """Start the time anew for one message; return whether that pop still held it."""
        pop = self._take(key, offset, pop_time_ms)
        if pop is None:
            return False
        self.hide(key, pop.progress, [offset], new_time_ms, duration_s)
        return True

    def forget(self, key: Key) -> None:
        """The group was set to another offset: what it had in flight means nothing now."""
        for pop in self._pops.pop(key, {}).values():
            _cancel(pop)

    def stop(self) -> None:
        """Forget everything; the store gives it out again."""
        for key in list(self._pops):
            self.forget(key)

    def _take(self, key: Key, offset: int, pop_time_ms: int) -> _Pop | None:
        pops = self._pops.get(key, {})
        pop = pops.get(offset)
        if pop is None or pop.pop_time_ms != pop_time_ms:
            return None
        del pops[offset]
        pop.offsets.discard(offset)
        if not pop.offsets:
            _cancel(pop)
        if not pops:
            del self._pops[key]
        return pop

    def _expire(self, key: Key, pop: _Pop) -> None:
        pop.timer = None
        pops = self._pops.get(key, {})
        for offset in pop.offsets:
            del pops[offset]
        if not pops:
            self._pops.pop(key, None)
        pop.progress.release(sorted(pop.offsets))
        self._turn.end()


def check_invisible_time(invisible_time_ms: int) -> None:
    """Raise `RequestRefusedError` if messages cannot be invisible for so long."""
    if not 0 <= invisible_time_ms <= _TIME_MAX_MS:
        raise RequestRefusedError(
            ResponseCode.INVALID_PARAMETER, f"an invisible time of {invisible_time_ms} ms"
        )


def _cancel(pop: _Pop) -> None:
    timer, pop.timer = pop.timer, None
    if timer is not None:
        timer.cancel()
