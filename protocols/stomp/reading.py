"""Subscriptions that take nothing away: a browser, and a reader that begins somewhere.

Both stand between a queue and a `Subscription`, which writes the frames and counts what is
unsettled: to it they are the queue. An acknowledgement only makes room for more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, ClassVar

from core.cursor import Cursor
from core.lanes import level_of, offset_in_lane, offset_of_lane
from gateway.messages import Message, Value
from gateway.queues.lane import Lane
from gateway.values import Long
from protocols.stomp.errors import processing_error

if TYPE_CHECKING:
    from gateway.queues.queue import Queue
    from gateway.queues.selectors import Selects
    from protocols.stomp.subscription import Subscription

_READ_COUNT_MAX = 512  # Messages per round; a turn goes on with the next round.
OFFSET_HEADER = "x-rosetta-offset"


class _Untouched:
    """What a subscription may do to its queue, and what does nothing here."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self.name = queue.name
        self._subscription: Subscription | None = None

    def subscribe(self, subscription: Subscription) -> None:
        """Begin to deliver to it, as far as it has credit."""
        self._subscription = subscription
        self.wake()

    def unsubscribe(self, subscription: Subscription) -> None:
        """Deliver nothing more."""
        self._subscription = None

    def wake(self) -> None:
        """The subscription has credit again."""
        raise NotImplementedError

    def settle(self, start: int, end: int) -> None:
        """Acknowledged: there is credit again, that is all."""

    def release(self, offsets: Iterable[int]) -> None:
        """Nothing is delivered twice to one reader."""

    def reject(self, offsets: Iterable[int]) -> None:
        """Nothing is a dead letter here."""


class Browser(_Untouched):
    """Shows what is ready, once, as far as it was there at the beginning, and then says so."""

    stamp: ClassVar[None] = None

    def __init__(
        self, queue: Queue, selects: Selects | None, on_end: Callable[[Subscription], None]
    ) -> None:
        super().__init__(queue)
        self._cursor = Cursor(queue.light)
        self._left = queue.ready_count
        self._selects = selects
        self._on_end = on_end

    def wake(self) -> None:
        """See above."""
        subscription = self._subscription
        while subscription is not None and subscription.credit() > 0:
            found = self._cursor.look() if self._left else None
            if found is None:
                self.unsubscribe(subscription)
                self._on_end(subscription)
                return
            self._left -= 1
            offset, message = found
            if self._selects is None or self._selects(message):
                subscription.deliver(self, offset, [message], redelivered=False)
        self._cursor.forget()


class Reader(_Untouched):
    """Shows everything from a place on, and what comes, with its offset."""

    def __init__(self, queue: Queue, start: str, selects: Selects | None) -> None:
        super().__init__(queue)
        self._positions = {lane: find_start(lane, start) for lane in Lane.all_of(queue)}
        self._selects = selects
        self._unwatch: Callable[[], None] | None = None

    @staticmethod
    def stamp(offset: int) -> Mapping[str, Value]:
        """What each MESSAGE says more."""
        return {OFFSET_HEADER: Long(offset)}

    def unsubscribe(self, subscription: Subscription) -> None:
        """See above."""
        super().unsubscribe(subscription)
        unwatch, self._unwatch = self._unwatch, None
        if unwatch is not None:
            unwatch()

    def wake(self) -> None:
        """See above."""
        subscription = self._subscription
        while subscription is not None and (credit := subscription.credit()) > 0:
            found = self._read(min(credit, _READ_COUNT_MAX))
            if not found:
                if self._unwatch is None:
                    self._unwatch = self.queue.watch(self._appended)
                return
            self._deliver(subscription, found)

    def _read(self, count: int) -> list[tuple[int, Message]]:
        """What comes next: of the highest priority that has something new."""
        for lane, position in self._positions.items():
            found = lane.read(position, count)
            if found:
                self._positions[lane] = found[-1][0] + 1
                base = offset_of_lane(lane.level)
                return [(base + offset, message) for offset, message in found]
        return []

    def _appended(self) -> None:
        """Something is new, or the queue is gone."""
        self._unwatch = None
        queue, subscription = self.queue, self._subscription
        if queue.virtual_host.queues.get(queue.name) is queue:
            self.wake()
        elif subscription is not None:
            self._subscription = None
            subscription.cancelled()

    def _deliver(self, subscription: Subscription, found: list[tuple[int, Message]]) -> None:
        """Runs of consecutive offsets, each at once."""
        run: list[Message] = []
        first = 0
        for offset, message in found:
            if self._selects is not None and not self._selects(message):
                continue
            if run and offset != first + len(run):
                subscription.deliver(self, first, run, redelivered=False)
                run = []
            if not run:
                first = offset
            run.append(message)
        if run:
            subscription.deliver(self, first, run, redelivered=False)


def find_start(lane: Lane, text: str) -> int:
    """The offset that `first`, `last`, `next`, `offset=n` or `timestamp=s` means, for now.

    An offset is one that was shown: it says the lane. The others begin with their first message.
    """
    match text.partition("="):
        case "first", "", "":
            return lane.min_offset
        case "last", "", "":
            return max(lane.min_offset, lane.max_offset - 1)
        case "next", "", "":
            return lane.max_offset
        case "offset", "=", number if _is_number(number):
            is_in_lane = level_of(int(number)) == lane.level
            return offset_in_lane(int(number)) if is_in_lane else lane.min_offset
        case "timestamp", "=", number if _is_number(number):
            return lane.search_timestamp(int(number) * 1000)
    raise processing_error()


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 16
