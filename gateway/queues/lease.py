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
    """The time of one queue; without `time_ms` it never ends."""

    __slots__ = ("_clock", "_queue", "_time_ms", "_timer")

    def __init__(self, queue: Leased, clock: IReactorTime, time_ms: int | None) -> None:
        self._queue = queue
        self._clock = clock
        self._time_ms = time_ms
        self._timer: IDelayedCall | None = None

    def change(self, time_ms: int | None) -> None:
        """The time is another one, and begins anew; if it is the same, nothing happens."""
        if time_ms != self._time_ms:
            self.stop()
            self._time_ms = time_ms
            self.renew()

    def renew(self) -> None:
        """Begin anew; consumers stop the time."""
        if self._time_ms is None:
            return
        self.stop()
        if not self._queue.is_consumed:
            self._timer = self._clock.callLater(self._time_ms / 1000, self._ended)

    def stop(self) -> None:
        """The time does not run."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    def _ended(self) -> None:
        self._timer = None
        self._queue.expire()
