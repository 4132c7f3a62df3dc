"""What a queue with deadlines or limits does beside delivering.

Limits: when the consumers have taken what they can, no more is ready than the queue may hold; the
oldest goes first, or the newest is refused. Deadlines: nothing past its time is at the head.

Only the head is looked at, as in RabbitMQ's classic queues: what expires behind a message that does
not is held, and counted, until it gets there; unless the queue's options say otherwise. The head of
a queue with priorities is that of the highest one. A deadline is fixed when a message is stored, so
a restart does not move it. One timer at most waits for the head's.

A message that was just appended is offered to the consumers once, however short its time is. With a
time of 0 it is delivered at once or not at all; if the queue gives that time and has no dead
letters, even where the head has more time, since it came before that was so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger

from core.errors import is_disk_full
from core.lanes import AnyQueue, level_of, offset_of_lane
from core.readable_queue import Head, Span
from gateway.messages import Header, Message
from gateway.queues.arguments import QueueOptions
from gateway.queues.dead_letters import EXPIRED, MAXLEN
from gateway.queues.hidden_deadlines import HiddenDeadlines
from gateway.queues.ready_size import ReadySize
from gateway.queues.times_to_live import TimesToLive

if TYPE_CHECKING:
    from gateway.queues.queue import Queue

_COUNT_MAX = 512  # Messages that are buried at a time.
_ROUNDING_MS = 0.01  # The clock counts in fractions of a second, which are not exact.
_DELAY_MIN_S = 0.001
_RETRY_INTERVAL_MS = 1000  # So often a full disk is tried again.


class Upkeep:
    """The deadlines and limits of one queue."""

    _log = Logger()

    def __init__(
        self, queue: Queue, light: AnyQueue, clock: IReactorTime, times_to_live: TimesToLive
    ) -> None:
        self._queue = queue
        self._light = light
        self._clock = clock
        self._times_to_live = times_to_live
        self._size: ReadySize | None = None
        self._hidden: HiddenDeadlines | None = None
        self.follow(queue.options)
        self._offered_ends = light.ends()  # Behind them, nothing was offered to consumers yet.
        self._offered_count = light.appended_count
        self._timer: IDelayedCall | None = None
        self._timer_at_ms = 0
        self._busy = False

    def follow(self, options: QueueOptions) -> None:
        """These limits hold from now on; what is too much by then goes with the next `tidy`."""
        self._count_max = options.max_length
        self._size_max = options.max_length_bytes
        self._drops_head = options.overflow == "drop-head"
        if options.max_length_bytes is None:
            self._size = None
        elif self._size is None:
            self._size = ReadySize(self._light)
        if not options.expires_behind_head:
            self._hidden = None
        elif self._hidden is None:
            self._hidden = HiddenDeadlines(self._light, self._time_ms)

    def take(self, count: int) -> list[Span]:
        """At most `count` ready messages go in flight, none of which is past its time."""
        spans: list[Span] = []
        while count > 0 and (head := self._light.peek(min(count, _COUNT_MAX))) is not None:
            expired_count = self._count_expired(head)
            if expired_count:
                self._bury(self._take(expired_count), EXPIRED)
                continue
            taken = self._take(self._count_good(head))
            spans += taken
            count -= sum(len(messages) for _, messages, _ in taken)
        return spans

    def take_at(self, offset: int, message: Message) -> bool:
        """One ready message goes in flight out of its turn; was it delivered before?"""
        if self._size is not None:
            self._size.count_new()
            self._size.taken([(offset, [message], False)])
        return self._light.take_at(offset)

    def is_expired(self, offset: int, message: Message) -> bool:
        """Is a ready message past its time, wherever it is?"""
        if not message[1].may_expire and not self._times_to_live.has_any:
            return False
        stored_ms = self._light.location(offset)[1]
        return self._count_expired((offset, [message], stored_ms)) > 0

    def refresh(self) -> None:
        """Do now what the end of the turn would do, because somebody looks."""
        if self._busy:
            return
        if self._light.appended_count != self._offered_count:
            self._queue.dispatch()
        else:
            self.tidy()

    def has_room(self, count: int, size: int) -> bool:
        """May `count` messages of this size in all be ready, beside those that are?"""
        return self._excess(count, size) <= 0

    def returned(self, offsets: Sequence[int]) -> None:
        """These messages are ready again."""
        self._count_returned(offsets)
        self.tidy()

    def purged(self) -> None:
        """Nothing is ready."""
        if self._size is not None:
            self._size.purged()

    def tidy(self) -> None:
        """Bury what is too much, and past its time at the head; wait for what is next."""
        if self._busy:
            return
        self._busy = True
        try:
            offered_before, self._offered_ends = self._offered_ends, self._light.ends()
            self._offered_count = self._light.appended_count
            while self._drops_head and (excess := self._excess()) > 0:
                self._bury(self._take(min(excess, _COUNT_MAX)), MAXLEN)
            while (head := self._light.peek(_COUNT_MAX)) is not None:
                expired_count = self._count_expired(head)
                if not expired_count:
                    break
                self._bury(self._take(expired_count), EXPIRED)
            if head is not None:
                self._await_head(head)
                if self._queue.gives_no_time:
                    self._drop_new(offered_before)
            if self._hidden is not None:
                self._tidy_behind_head(self._hidden)
        finally:
            self._busy = False

    def stop(self) -> None:
        """Wait for nothing any more."""
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.cancel()

    # The rest is private

    def _bury(self, dead: Sequence[Span], reason: str) -> None:
        """Messages that were taken have died. Raises `OSError`: they are tried again soon."""
        try:
            self._queue.bury(dead, reason)
        except OSError:
            offsets = [start + at for start, messages, _ in dead for at in range(len(messages))]
            self._queue.give_back(offsets)
            self._count_returned(offsets)
            self._await(self._now_ms + _RETRY_INTERVAL_MS)
            raise

    def _count_returned(self, offsets: Sequence[int]) -> None:
        if self._size is not None:
            self._size.returned(offsets)
        if self._hidden is not None:
            self._hidden.returned(offsets)

    def _take(self, count: int) -> list[Span]:
        """At most `count` messages go in flight; with their size, if that counts."""
        if self._size is not None:
            self._size.count_new()
        spans = self._light.take(count)
        if self._size is not None:
            self._size.taken(spans)
        return spans

    def _excess(self, more_count: int = 0, more_size: int = 0) -> int:
        """How many messages at least are too many, with so much more."""
        ready_count = self._light.ready_count
        excess = 0 if self._count_max is None else ready_count + more_count - self._count_max
        if self._size is not None and self._size_max is not None:
            self._size.count_new()
            if self._size.value + more_size > self._size_max and ready_count + more_count:
                return max(1, excess)
        return excess

    @property
    def _now_ms(self) -> int:
        return int(self._clock.seconds() * 1000 + _ROUNDING_MS)

    def _tidy_behind_head(self, hidden: HiddenDeadlines) -> None:
        """Bury what is past its time anywhere, so many at a time; wait for what is next."""
        is_all = hidden.look()
        expired = []
        for offset in hidden.due(self._now_ms, _COUNT_MAX):
            for found, message in self._light.read(offset, 1):
                if found == offset and self._light.is_ready(offset):
                    expired.append((offset, [message], self.take_at(offset, message)))
        if expired:
            self._bury(expired, EXPIRED)
        next_ms = hidden.next_ms if is_all else self._now_ms
        if next_ms is not None:
            self._await(next_ms)

    def _drop_new(self, offered_before: Mapping[int, int]) -> None:
        """Nobody took what came since then, and it has no time to wait."""
        dead: list[Span] = []
        for level, end in self._offered_ends.items():
            offset = offered_before.get(level, offset_of_lane(level))
            while offset < end and (found := self._light.read(offset, end - offset)):
                for at, message in found:
                    if at < end and self._light.is_ready(at):
                        dead.append((at, [message], self.take_at(at, message)))
                offset = found[-1][0] + 1
        self._bury(dead, EXPIRED)

    def _time_ms(self, header: Header, stored_ms: int) -> int | None:
        """How long a message lasts that was stored then."""
        return self._shorter(header, self._times_to_live.at(stored_ms))

    def _shorter(self, header: Header, ttl_ms: int | None) -> int | None:
        """How long a message lasts, in a queue with this time to live."""
        if not header.may_expire or (own_ms := header.expiration_ms) is None:
            return ttl_ms
        return own_ms if ttl_ms is None else min(own_ms, ttl_ms)

    def _count_expired(self, head: Head) -> int:
        """How many of the head's messages, from the first on, are past their time."""
        return self._count(head, True)

    def _count_good(self, head: Head) -> int:
        """How many of them are not."""
        return self._count(head, False)

    def _count(self, head: Head, expired: bool) -> int:
        start, messages, stored_ms = head
        age_ms = self._now_ms - stored_ms
        ttl_ms = self._times_to_live.at(stored_ms)
        offered_end = self._offered_ends.get(level_of(start), 0)
        for count, (_, header, _) in enumerate(messages):
            time_ms = self._shorter(header, ttl_ms)
            is_past = time_ms is not None and age_ms >= time_ms
            if (is_past and start + count < offered_end) is not expired:
                return count
        return len(messages)

    def _await_head(self, head: Head) -> None:
        """Have the timer go off when the head is past its time."""
        _, messages, stored_ms = head
        time_ms = self._time_ms(messages[0][1], stored_ms)
        if time_ms is not None:
            self._await(stored_ms + time_ms)

    def _await(self, at_ms: int) -> None:
        """Have the timer go off at this time or, which does no harm, earlier."""
        if self._timer is not None:
            if self._timer_at_ms <= at_ms:
                return
            self._timer.cancel()
        self._timer_at_ms = at_ms
        delay_s = at_ms / 1000 - self._clock.seconds()
        self._timer = self._clock.callLater(max(_DELAY_MIN_S, delay_s), self._timed_out)

    def _timed_out(self) -> None:
        self._timer = None
        try:
            self._queue.work()
        except OSError as error:
            if not is_disk_full(error):
                raise
            self._log.error(
                "what is to go from {queue} waits for room on the disk: {error}",
                queue=self._queue,
                error=error,
            )
