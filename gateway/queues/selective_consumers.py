"""The consumers of one queue that want only some of its messages.

Each looks through what is ready, in order, and takes what it wants out of the middle; the rest
stays where it is. It remembers how far it has looked, so that every message is looked at once, and
again only when it comes back. A turn looks at a bounded number of messages; then all others have
their turn before the looking goes on.

They are asked before the other consumers, each in turn for one message, those of a higher priority
first.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from core.cursor import Cursor
from core.lanes import AnyQueue
from gateway.messages import Message

if TYPE_CHECKING:
    from gateway.queues.consumer import Consumer, Terms
    from gateway.queues.queue import Queue

LOOK_COUNT_MAX = 512  # Messages that one turn looks at.
_LOOK_COUNT = 32  # Of these, one after the other.


class _Selective:
    """One of them."""

    def __init__(self, light: AnyQueue, consumer: Consumer, terms: Terms) -> None:
        self.consumer = consumer
        self.selects = terms.selects
        self.priority = terms.priority
        self._light = light
        self._level = terms.level
        self.look_again()

    def look_again(self) -> None:
        """Nothing was looked at yet."""
        self.cursor = Cursor(self._light, self._level)

    def wants(self, message: Message) -> bool:
        """Is this one for it?"""
        return self.selects is None or self.selects(message)


class SelectiveConsumers:
    """All of one queue. There is such an object only while there is such a consumer."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._light = queue.light
        self._clock = queue.virtual_host.clock
        self._line: list[_Selective] = []
        self._pause: IDelayedCall | None = None  # Others have their turn.

    def __bool__(self) -> bool:
        return bool(self._line)

    @property
    def consumers(self) -> list[Consumer]:
        """They themselves."""
        return [each.consumer for each in self._line]

    def add(self, consumer: Consumer, terms: Terms) -> None:
        """One more, which has looked at nothing yet."""
        selective = _Selective(self._light, consumer, terms)
        self._line = sorted([*self._line, selective], key=_rank)

    def remove(self, consumer: Consumer) -> None:
        """One less; does nothing if it is not there."""
        self._line = [each for each in self._line if each.consumer is not consumer]
        if not self._line:
            self.stop()

    def stop(self) -> None:
        """Wait for nothing any more."""
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.cancel()

    def returned(self, offsets: Sequence[int]) -> None:
        """Messages are ready again."""
        for each in self._line:
            each.cursor.returned(offsets)

    def look_again(self) -> None:
        """Everything that is ready may be new to them."""
        for each in self._line:
            each.look_again()

    def deliver(self, only: Consumer | None) -> None:
        """Hand out what they want and have credit for, as far as one turn may look.

        If there is an `only` one, it alone gets anything.
        """
        if self._pause is not None:
            return
        left = LOOK_COUNT_MAX
        asked: dict[_Selective, None] = {}  # In the order in which they had their turn last.
        for _, group in groupby(self._line, _rank):
            takers = [each for each in group if only is None or each.consumer is only]
            while takers and left > 0:
                left = self._deliver_round(takers, left, asked)
        for each in asked:
            each.cursor.forget()
        waiting = [each for each in self._line if each not in asked]
        self._line = sorted([*waiting, *asked], key=_rank)
        if left <= 0:
            self._pause = self._clock.callLater(0, self._go_on)

    def _deliver_round(
        self, takers: list[_Selective], left: int, asked: dict[_Selective, None]
    ) -> int:
        """Give each one message, if one is found soon; drop from the takers who takes no more.

        Returns how many messages may still be looked at.
        """
        for taker in list(takers):
            if left <= 0:
                break
            asked.pop(taker, None)
            asked[taker] = None
            if taker.consumer.credit() <= 0:
                takers.remove(taker)
                continue
            for _ in range(min(left, _LOOK_COUNT)):
                left -= 1
                entry = taker.cursor.look()
                if entry is None:
                    takers.remove(taker)
                    break
                if taker.wants(entry[1]) and self._queue.is_deliverable(*entry):
                    self._hand_out(taker.consumer, *entry)
                    break
        return left

    def _hand_out(self, consumer: Consumer, offset: int, message: Message) -> None:
        redelivered = self._queue.take_at(offset, message)
        consumer.deliver(self._queue, offset, [message], redelivered)
        if consumer.no_ack:
            self._light.settle(offset, offset + 1)

    def _go_on(self) -> None:
        self._pause = None
        self._queue.work()


def _rank(selective: _Selective) -> int:
    return -selective.priority
