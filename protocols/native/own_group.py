"""The group of the queue's own name: a queue *is* it (design.md, 2, rule 2)."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from gateway.messages import Message
from gateway.queues.consumer import Terms
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue

from .filters import MessageFilter
from .progress import SCAN_COUNT_MAX, Taken


class OwnLane:
    """What becomes of the messages of one lane; nothing, once the queue is deleted."""

    def __init__(self, lane: Lane) -> None:
        self._lane = lane

    def settle(self, offsets: Collection[int]) -> None:
        """Acknowledge, for the whole group."""
        for first, end in runs(offsets):
            self._lane.settle(first, end)

    def release(self, offsets: Collection[int]) -> None:
        """Requeue."""
        if offsets and not self._lane.queue.light.deleted:
            self._lane.release(sorted(offsets))


class OwnGroup:
    """Takes what is ready in a queue, or in one lane of it."""

    has_more = False  # Whoever waits gets at once what is ready.

    def __init__(self, queue: Queue, lane: Lane | None = None) -> None:
        self._queue = queue
        self._lane = None if lane is None or lane.is_only else lane
        self._arrived: list[Taken] = []

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """Take what is ready; what the filter does not want the group has consumed by that."""
        wanted: list[Taken] = []
        passed_over: list[Taken] = []
        while len(wanted) < count:
            taken = self._take(count - len(wanted))
            if not taken:
                break
            for entry in taken:
                is_wanted = message_filter.matches(entry.message)
                (wanted if is_wanted else passed_over).append(entry)
            if len(passed_over) >= SCAN_COUNT_MAX:
                break
        for lane, offsets in by_lane(passed_over).items():
            OwnLane(lane).settle(offsets)
        return wanted

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait as a consumer among the others; what it gets is given by the next `take`."""
        consumer = _WaitingConsumer(count, self._arrived, stir)
        level = None if self._lane is None else self._lane.level
        self._queue.subscribe(consumer, Terms(level=level))

        def cancel() -> None:
            self._queue.unsubscribe(consumer)

        return cancel

    def give_back(self) -> None:
        """Nobody will take what is left of what arrived while waiting."""
        arrived = self._arrived[:]
        self._arrived.clear()
        for lane, offsets in by_lane(arrived).items():
            OwnLane(lane).release(offsets)

    def _take(self, count: int) -> list[Taken]:
        """Take what arrived while waiting first, then what is ready."""
        taken = self._arrived[:count]
        del self._arrived[:count]
        if len(taken) < count:
            wanted = count - len(taken)
            source = self._queue if self._lane is None else self._lane
            taken += [
                Taken(
                    *Lane.find(self._queue, delivery.offset),
                    delivery.message,
                    delivery.delivery_count,
                )
                for delivery in source.take(wanted)
            ]
        return taken


class _WaitingConsumer:
    """A long poll as a consumer of the queue: it takes one helping, and is not counted."""

    no_ack = False
    counted = False
    taker = None
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
        lane, first = Lane.find(queue, first_offset)
        self._arrived.extend(
            Taken(lane, first + index, message, int(redelivered))
            for index, message in enumerate(messages)
        )
        self._stir()

    def cancelled(self) -> None:
        self._credit = 0
        self._stir()


def by_lane(taken: Iterable[Taken]) -> dict[Lane, list[int]]:
    """The offsets of what was taken, lane by lane."""
    found: dict[Lane, list[int]] = {}
    for entry in taken:
        found.setdefault(entry.lane, []).append(entry.offset)
    return found


def runs(offsets: Iterable[int]) -> list[tuple[int, int]]:
    """Join offsets into ranges (first, end), since a queue settles by range."""
    joined: list[tuple[int, int]] = []
    for offset in sorted(offsets):
        if joined and joined[-1][1] == offset:
            joined[-1] = (joined[-1][0], offset + 1)
        else:
            joined.append((offset, offset + 1))
    return joined
