"""What a queue with deadlines does beside delivering: nothing past its time is ever at its head.

Only the head is looked at, as in RabbitMQ's classic queues: what expires behind a message that does
not is held, and counted, until it gets there. A deadline is fixed when a message is stored, so a
restart does not move it. One timer at most waits for the head's.

A message that was just appended is offered to the consumers once, however short its time is: with
a time of 0 it is delivered at once or not at all.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from core.light_queue import Head, LightQueue, Span
from gateway.dead_letters import EXPIRED
from gateway.messages import Header

if TYPE_CHECKING:
    from gateway.queues import Queue

_COUNT_MAX = 512  # Messages that are buried at a time.
_ROUNDING_MS = 0.01  # The clock counts in fractions of a second, which are not exact.
_DELAY_MIN_S = 0.001


class Upkeep:
    """The deadlines of one queue."""

    def __init__(self, queue: Queue, light: LightQueue, clock: IReactorTime) -> None:
        self._queue = queue
        self._light = light
        self._clock = clock
        self._ttl_ms = queue.options.message_ttl_ms
        self._offered_end = light.max_offset  # Behind it, nothing was offered to consumers yet.
        self._timer: IDelayedCall | None = None
        self._timer_at_ms = 0
        self._busy = False

    def take(self, count: int) -> list[Span]:
        """At most `count` ready messages go in flight, none of which is past its time."""
        light = self._light
        spans: list[Span] = []
        while count > 0 and (head := light.peek(min(count, _COUNT_MAX))) is not None:
            expired_count = self._count_expired(head)
            if expired_count:
                self._queue.bury(light.take(expired_count), EXPIRED)
                continue
            taken = light.take(self._count_good(head))
            spans += taken
            count -= sum(len(messages) for _, messages, _ in taken)
        return spans

    def refresh(self) -> None:
        """Do now what the end of the turn would do, because somebody looks."""
        if self._busy:
            return
        if self._light.max_offset != self._offered_end:
            self._queue.dispatch()
        else:
            self.tidy()

    def tidy(self) -> None:
        """Bury what is past its time at the head, and wait for what is next."""
        if self._busy:
            return
        self._busy = True
        try:
            self._offered_end = self._light.max_offset
            while (head := self._light.peek(_COUNT_MAX)) is not None:
                expired_count = self._count_expired(head)
                if not expired_count:
                    break
                self._queue.bury(self._light.take(expired_count), EXPIRED)
            if head is not None:
                self._await(head)
        finally:
            self._busy = False

    def stop(self) -> None:
        """Wait for nothing any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # The rest is private

    @property
    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000 + _ROUNDING_MS)

    def _time_ms(self, header: Header) -> int | None:
        """How long a message lasts."""
        if not header.may_expire or (own_ms := header.expiration_ms) is None:
            return self._ttl_ms
        return own_ms if self._ttl_ms is None else min(own_ms, self._ttl_ms)

    def _count_expired(self, head: Head) -> int:
        """How many of the head's messages, from the first on, are past their time."""
        return self._count(head, True)

    def _count_good(self, head: Head) -> int:
        """How many of them are not."""
        return self._count(head, False)

    def _count(self, head: Head, expired: bool) -> int:
        start, messages, stored_ms = head
        age_ms = self._now_ms - stored_ms
        for count, (_, header, _) in enumerate(messages):
            time_ms = self._time_ms(header)
            is_past = time_ms is not None and age_ms >= time_ms
            if (is_past and start + count < self._offered_end) is not expired:
                return count
        return len(messages)

    def _await(self, head: Head) -> None:
        """Have the timer go off when the head is past its time; too early does no harm."""
        time_ms = self._time_ms(head[1][0][1])
        if time_ms is None:
            return
        at_ms = head[2] + time_ms
        if self._timer is not None:
            if self._timer_at_ms <= at_ms:
                return
            self._timer.cancel()
        self._timer_at_ms = at_ms
        delay_s = at_ms / 1000 - self._clock.seconds()
        self._timer = self._clock.callLater(max(_DELAY_MIN_S, delay_s), self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        self._queue.work()
