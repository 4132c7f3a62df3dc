"""How far a group has come on a queue, in one shape for both kinds of group.

The queue's own group (of the same name) takes what is ready, in competition with AMQP and STOMP.
Any other group reads along in a window of its own and takes nothing from anyone.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple, Protocol

from gateway.messages import Message
from gateway.queues.queue import Queue

from .filters import MessageFilter

# How many entries one take looks at before it answers with what it has.
SCAN_COUNT_MAX = 1024


class Taken(NamedTuple):
    """A message that is now in flight; `times` is how often it was delivered before."""

    offset: int
    message: Message
    times: int


class Progress(Protocol):
    """What pop needs of a group on a queue."""

    queue: Queue

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """Put at most `count` messages in flight."""

    def settle(self, offsets: Collection[int]) -> None:
        """These are done; they must be in flight."""

    def release(self, offsets: Collection[int]) -> None:
        """These go back, to be delivered again; they must be in flight."""

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Call `stir` when there may be something to take; return what ends that."""


def runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Join offsets into ranges (first, end), since a queue settles by range."""
    joined: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if joined and joined[-1][1] == offset:
            joined[-1] = (joined[-1][0], offset + 1)
        else:
            joined.append((offset, offset + 1))
    return joined


class OwnGroup:
    """The group of the queue's own name: a queue *is* it (design.md, 2, rule 2)."""

    def __init__(self, queue: Queue) -> None:
        self.queue = queue
        self._arrived: list[Taken] = []

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """Take what is ready; what the filter does not want the group has consumed by that."""
        wanted: list[Taken] = []
        passed_over: list[int] = []
        while len(wanted) < count:
            taken = self._take(count - len(wanted))
            if not taken:
                break
            for entry in taken:
                if message_filter.matches(entry.message):
                    wanted.append(entry)
                else:
                    passed_over.append(entry.offset)
            if len(passed_over) >= SCAN_COUNT_MAX:
                break
        self.settle(passed_over)
        return wanted

    def settle(self, offsets: Collection[int]) -> None:
        """Acknowledge, for the whole group."""
        for first, end in runs(offsets):
            self.queue.settle(first, end)

    def release(self, offsets: Collection[int]) -> None:
        """Requeue."""
        if offsets:
            self.queue.release(offsets)

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait as a consumer among the others; what it gets is given by the next `take`."""
        consumer = _WaitingConsumer(count, self._arrived, stir)
        self.queue.subscribe(consumer)

        def cancel() -> None:
            self.queue.unsubscribe(consumer)

        return cancel

    def give_back_arrived(self) -> None:
        """Nobody will take what is left of what arrived while waiting."""
        arrived = self._arrived[:]
        self._arrived.clear()
        self.release([entry.offset for entry in arrived])

    def _take(self, count: int) -> list[Taken]:
        """Take what arrived while waiting first, then what is ready."""
        taken = self._arrived[:count]
        del self._arrived[:count]
        if len(taken) < count:
            taken += [
                Taken(delivery.offset, delivery.message, delivery.delivery_count)
                for delivery in self.queue.take(count - len(taken))
            ]
        return taken


class _WaitingConsumer:
    """A long poll as a consumer of the queue: it takes one helping, and is not counted."""

    no_ack = False
    counted = False
    shares_credit = False

    def __init__(self, count: int, arrived: list[Taken], stir: Callable[[], None]) -> None:
        self.prefetch = count
        self._credit = count
        self._arrived = arrived
        self._stir = stir

    def credit(self) -> int:
        return self._credit

    def deliver(
        self, queue: Queue, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        self._credit -= len(messages)
        self._arrived.extend(
            Taken(first_offset + index, message, int(redelivered))
            for index, message in enumerate(messages)
        )
        self._stir()

    def cancelled(self) -> None:
        self._credit = 0
        self._stir()


class GroupWindow:
    """Another group's pops on a queue: what is in flight, what came back, what comes next.

    The committed offset is the lowest that is not settled, so after a restart nothing is lost and
    only what was not acknowledged, or above it, is delivered again.
    """

    def __init__(self, queue: Queue, group: str, start: int, in_flight_max: int) -> None:
        self.queue = queue
        self._group = group
        self._next = start
        self._committed = start
        self._in_flight_max = in_flight_max
        self._times: dict[int, int] = {}  # All that is in flight or returned: deliveries before.
        self._lowest: list[int] = []  # A heap of the same offsets, and of settled ones.
        self._returned: list[int] = []  # A heap.
        self._watchers: dict[Callable[[], None], None] = {}

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """What came back first, then what comes next."""
        taken = self._take_returned(count)
        scanned = 0
        while len(taken) < count and scanned < SCAN_COUNT_MAX and self._has_next():
            entries = self.queue.read(self._next, count - len(taken))
            if not entries:
                self._next = self.queue.max_offset
            for offset, message in entries:
                scanned += 1
                self._next = offset + 1
                if message_filter.matches(message):
                    taken.append(Taken(offset, message, 0))
                    self._times[offset] = 0
                    heapq.heappush(self._lowest, offset)
        self._commit()
        return taken

    def settle(self, offsets: Collection[int]) -> None:
        """Done: the committed offset moves when the lowest are."""
        for offset in offsets:
            self._times.pop(offset, None)
        self._commit()

    def release(self, offsets: Collection[int]) -> None:
        """Deliver these again, before anything new."""
        for offset in offsets:
            if offset in self._times:
                self._times[offset] += 1
                heapq.heappush(self._returned, offset)
        watchers, self._watchers = self._watchers, {}
        for stir in watchers:
            stir()

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait for an append, or for something to come back."""
        self._watchers[stir] = None
        cancel_append = self.queue.watch(stir)

        def cancel() -> None:
            self._watchers.pop(stir, None)
            cancel_append()

        return cancel

    def reset(self, offset: int) -> None:
        """Go on from `offset`, wherever the group was."""
        self._times.clear()
        self._lowest.clear()
        self._returned.clear()
        self._next = self._committed = offset

    def _has_next(self) -> bool:
        return self._next < self.queue.max_offset and len(self._times) < self._in_flight_max

    def _take_returned(self, count: int) -> list[Taken]:
        taken: list[Taken] = []
        while self._returned and len(taken) < count:
            offset = heapq.heappop(self._returned)
            found = self.queue.read(offset, 1)
            if offset not in self._times:
                continue
            if found and found[0][0] == offset:
                taken.append(Taken(offset, found[0][1], self._times[offset]))
            else:
                del self._times[offset]  # The queue no longer has it.
        return taken

    def _commit(self) -> None:
        while self._lowest and self._lowest[0] not in self._times:
            heapq.heappop(self._lowest)
        floor = self._lowest[0] if self._lowest else self._next
        if floor != self._committed:
            self._committed = floor
            self.queue.commit_group_offset(self._group, floor)
