"""The consumers of one queue, in line for its messages: whose turn it is, and who has to wait.

The order is RabbitMQ's: each in turn gets one message and goes to the end of the line; whoever has
no credit when it is his turn is held, and gets in line again when he has some. Those of a lower
priority get what the others have no credit for.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from gateway.queues.consumer import PLAIN_TERMS, Consumer, Terms
from gateway.queues.selective_consumers import SelectiveConsumers

if TYPE_CHECKING:
    from gateway.queues.queue import Queue


class Line:
    """All consumers of one queue: some in line, some held; the choosers out of their turn.

    Nothing here takes longer because there are many of them but for those who are passed by.
    """

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self.consumers: dict[Consumer, int] = {}  # With their priorities, as they came.
        self.counted = 0  # Of them, those who do not only wait for one answer.
        self.members: dict[Consumer, None] = {}  # In line, in their order.
        self.held: dict[Consumer, None] = {}  # Had no credit when it was their turn.
        self.choosers: SelectiveConsumers | None = None  # Who want only some messages.
        self.active: Consumer | None = None  # The only one to get anything, if only one may.
        self.exclusive: Consumer | None = None  # Wants to be alone.
        self._waiting: dict[Consumer, None] = {}  # To be the active one, as they came.
        self._has_priorities = False

    def add(self, consumer: Consumer, terms: Terms = PLAIN_TERMS, *, waits: bool = False) -> None:
        """One more, at the end. If it `waits`, only one of those who do is active."""
        self.consumers[consumer] = terms.priority
        self.counted += consumer.counted
        self._has_priorities = self._has_priorities or terms.priority != 0
        if terms.chooses:
            self.choosers = self.choosers or SelectiveConsumers(self._queue)
            self.choosers.add(consumer, terms)
        else:
            self.members[consumer] = None
        if waits:
            self._waiting[consumer] = None
            self.active = self.active or consumer
        if terms.exclusive:
            self.exclusive = consumer

    def remove(self, consumer: Consumer) -> bool:
        """One less; is another one active now?"""
        del self.consumers[consumer]
        self.counted -= consumer.counted
        self.members.pop(consumer, None)
        self.held.pop(consumer, None)
        self._waiting.pop(consumer, None)
        if self.choosers is not None:
            self.choosers.remove(consumer)
            self.choosers = self.choosers or None
        if self.exclusive is consumer:
            self.exclusive = None
        if self.active is not consumer:
            return False
        # The first of the highest priority is next.
        self.active = max(self._waiting, key=self.consumers.__getitem__, default=None)
        return True

    def takers(self, count: int) -> list[tuple[Consumer, int]]:
        """Who takes messages now, and how many, beginning with the one whose turn it is.

        At most `count` of them: no more are needed, and if it is one, the others have no credit.
        """
        members: Collection[Consumer] = self.members
        if self.active is not None:
            members = [self.active] if self.active in members else []
        takers: list[tuple[Consumer, int]] = []
        for each in members:
            if (credit := each.credit()) > 0:
                takers.append((each, credit))
                if len(takers) == count and not self._has_priorities:
                    break
        if not takers and len(members) > 1:
            self._hold(list(members))
        elif self._has_priorities:
            priority = self.consumers
            highest = max((priority[each] for each, _ in takers), default=0)
            takers = [taker for taker in takers if priority[taker[0]] == highest]
        return takers

    @property
    def credit(self) -> int:
        """How many messages can be handed out now; what several share counts once."""
        members = [*self.members, *self.held] if self.active is None else [self.active]
        shared = [each.credit() for each in members if each.shares_credit]
        own = sum(max(0, each.credit()) for each in members if not each.shares_credit)
        return own + max(0, *shared) if shared else own

    def deal(self, takers: list[tuple[Consumer, int]], count_max: int) -> None:
        """Give each in turn one message: as many rounds as all of them have credit for."""
        priority = self.consumers[takers[0][0]]
        rounds = min(credit for _, credit in takers)
        rounds = max(1, min(rounds, count_max // len(takers)))
        if any(consumer.shares_credit for consumer, _ in takers):
            takers, rounds = takers[:1], 1  # Then all are asked again.
        queue, turn = self._queue, 0
        for first_offset, messages, redelivered in queue.take_spans(rounds * len(takers)):
            for offset, message in enumerate(messages, first_offset):
                consumer = takers[turn % len(takers)][0]
                turn += 1
                consumer.deliver(queue, offset, [message], redelivered)
                if consumer.no_ack:
                    queue.light.settle(offset, offset + 1)
        if turn:
            self._rotate(priority, [consumer for consumer, _ in takers], turn)

    def _rotate(self, priority: int, takers: list[Consumer], turn: int) -> None:
        """Those who got the last `turn` messages go to the end of the line, as in RabbitMQ.

        They are of this priority. Whoever had no credit when it was his turn is held: he gets in
        line again, at its end, as soon as he has credit.
        """
        served = takers[turn % len(takers) :] + takers[: turn % len(takers)]
        last: Consumer | None = None  # The line was gone through to its end.
        if turn <= len(takers):
            served, last = takers[:turn], takers[turn - 1]
        passed = []
        for each in self.members:
            if self.consumers[each] == priority:
                passed.append(each)
            if each is last:
                break
        if len(passed) > len(served):
            gone_past = set(passed).difference(served)
            self._hold([each for each in passed if each in gone_past])
        for each in served:
            if each in self.members:  # He may have gone meanwhile.
                del self.members[each]
                self.members[each] = None

    def let_go(self) -> None:
        """Those who were held, and have credit now, get in line."""
        for consumer in list(self.held):
            if consumer.credit() > 0:
                del self.held[consumer]
                self.members[consumer] = None

    def _hold(self, consumers: Sequence[Consumer]) -> None:
        for each in consumers:
            del self.members[each]
            self.held[each] = None
