"""How long a queue may be unused (`x-expires`): then it goes, whatever it holds."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.interfaces import IDelayedCall, IReactorTime


class Leased(Protocol):
    """What goes when its time is over."""

    @property
    def is_consumed(self) -> bool:
        """Has it consumers? Then its time does not run."""

    def expire(self) -> None:
        """Its time is over."""


class Lease:
    """The time of one queue; without `time_ms` it never ends.

    It knows the queue only while the time runs: a queue that is gone needs no garbage collector.
    """

    __slots__ = ("_clock", "_time_ms", "_timer")

    def __init__(self, clock: IReactorTime, time_ms: int | None) -> None:
        self._clock = clock
        self._time_ms = time_ms
        self._timer: IDelayedCall | None = None

    def change(self, queue: Leased, time_ms: int | None) -> None:
        """The time is another one, and begins anew; if it is the same, nothing happens."""
        if time_ms != self._time_ms:
            self.stop()
            self._time_ms = time_ms
            self.renew(queue)

    def renew(self, queue: Leased) -> None:
        """Begin anew; consumers stop the time."""
        if self._time_ms is None:
            return
        self.stop()
        if not queue.is_consumed:
            self._timer = self._clock.callLater(self._time_ms / 1000, self._ended, queue)

    def stop(self) -> None:
        """The time does not run."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _ended(self, queue: Leased) -> None:
        self._timer = None
        queue.expire()
