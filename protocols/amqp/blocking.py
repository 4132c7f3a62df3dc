"""Why nothing is read from a publisher, and whether it was told (connection.blocked).

There are two reasons. The disk is behind: more was appended than it has flushed; mostly that is
over in a moment, of which nobody needs to hear. Or it is full: then what could not be stored waits,
as it came, and is tried again every second.
"""

from __future__ import annotations

from collections.abc import Callable
from math import inf
from typing import TYPE_CHECKING

from protocols.amqp.codec import encode_method
from protocols.amqp.fields import encode_short

if TYPE_CHECKING:
    from protocols.transport import Throttle, WhenRelieved

_MOMENT_S = 1.0  # What lasts longer is told.
_RETRY_INTERVAL_S = 1.0
_BEHIND = "waiting for the disk"
_FULL = "low on disk"  # RabbitMQ's words.


class Blocking:
    """Whether one connection is read, and what its peer knows of that."""

    def __init__(
        self,
        throttle: Throttle,
        when_relieved: WhenRelieved,
        output: list[bytes],
        wake: Callable[[], None],
    ) -> None:
        self.is_full = False
        self.tell_at = inf
        self.retry_at = inf
        self._throttle = throttle
        self._when_relieved = when_relieved
        self._output = output
        self._wake = wake
        self._is_behind = False
        self._told = False
        self._waiting: list[Callable[[], None]] = []  # Who reads when there is room again.

    @property
    def blocked(self) -> bool:
        """Is nothing read?"""
        return self._is_behind or self.is_full

    def behind(self, now: float) -> None:
        """The disk is behind."""
        if not self._is_behind:
            self._is_behind = True
            if not self._told:
                self.tell_at = min(self.tell_at, now + _MOMENT_S)
            self._throttle()
            self._when_relieved(self._caught_up)

    def full(self, now: float) -> None:
        """The disk is full; something waits to be stored."""
        self.retry_at = now + _RETRY_INTERVAL_S
        if not self.is_full:
            self.is_full = True
            if not self._told:
                self.tell_at = now
            self._throttle(self._when_room)

    def stored(self) -> None:
        """What waited is stored, or needs to be no more."""
        self.is_full = False
        self.retry_at = inf
        waiting, self._waiting = self._waiting, []
        for callback in waiting:
            callback()
        self._end()

    def tell(self, wanted: bool) -> None:
        """Say connection.blocked, if the client wants to hear that."""
        self.tell_at = inf
        if wanted:
            self._told = True
            reason = _FULL if self.is_full else _BEHIND
            self._send(encode_method(0, 10, 60, encode_short(reason)))

    def _when_room(self, callback: Callable[[], None]) -> None:
        self._waiting.append(callback)

    def _caught_up(self) -> None:
        self._is_behind = False
        self._end()

    def _end(self) -> None:
        if self.blocked:
            return
        self.tell_at = inf
        if self._told:
            self._told = False
            self._send(encode_method(0, 10, 61))

    def _send(self, frame: bytes) -> None:
        self._output.append(frame)
        self._wake()
