"""The consumers of one queue, in line for its messages: whose turn it is, and who has to wait.

The order is RabbitMQ's: each in turn gets one message and goes to the end of the line; whoever has
no credit when it is his turn is held, and gets in line again when he has some. Those of a lower
priority get what the others have no credit for.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.queues.consumer import Consumer


class Line:
    """All consumers of one queue. `members` are in line; the others choose, out of their turn."""

    def __init__(self) -> None:
        self.consumers: dict[Consumer, int] = {}  # With their priorities, as they came.
        self.members: list[Consumer] = []  # Replaced, never changed.
        self.held: dict[Consumer, None] = {}  # Had no credit when it was their turn.
        self.active: Consumer | None = None  # The only one to get anything, if only one may.
        self.exclusive: Consumer | None = None  # Wants to be alone.
        self._waiting: dict[Consumer, None] = {}  # To be the active one, as they came.
        self._has_priorities = False

    def add(
        self,
        consumer: Consumer,
        priority: int = 0,
        is_exclusive: bool = False,
        waits: bool = False,
        chooses: bool = False,
    ) -> None:
        """One more, at the end. If it `waits`, only one of those who do is active."""
        self.consumers[consumer] = priority
        self._has_priorities = self._has_priorities or priority != 0
        if not chooses:
            self.members = [*self.members, consumer]
        if waits:
            self._waiting[consumer] = None
            self.active = self.active or consumer
        if is_exclusive:
            self.exclusive = consumer

    def remove(self, consumer: Consumer) -> bool:
        """One less; is another one active now?"""
        del self.consumers[consumer]
        self.members = [each for each in self.members if each is not consumer]
        self.held.pop(consumer, None)
        self._waiting.pop(consumer, None)
        if self.exclusive is consumer:
            self.exclusive = None
        if self.active is not consumer:
            return False
        # The first of the highest priority is next.
        self.active = max(self._waiting, key=self.consumers.__getitem__, default=None)
        return True

    def takers(self) -> list[tuple[Consumer, int]]:
        """Who takes messages now, and how many, beginning with the one whose turn it is."""
        members = self.members
        if self.active is not None:
            members = [each for each in members if each is self.active]
        if len(members) == 1:
            credit = members[0].credit()
            return [(members[0], credit)] if credit > 0 else []
        takers = [(each, credit) for each in members if (credit := each.credit()) > 0]
        if not takers:
            self.held = dict.fromkeys(members)
        elif self._has_priorities:
            priority = self.consumers
            highest = max(priority[each] for each, _ in takers)
            takers = [taker for taker in takers if priority[taker[0]] == highest]
        return takers

    @property
    def credit(self) -> int:
        """How many messages can be handed out now; what several share counts once."""
        members = self.members if self.active is None else [self.active]
        shared = [each.credit() for each in members if each.shares_credit]
        own = sum(max(0, each.credit()) for each in members if not each.shares_credit)
        return own + max(0, *shared) if shared else own

    def equals(self, consumer: Consumer) -> list[Consumer]:
        """The members of this one's priority."""
        if not self._has_priorities:
            return self.members
        priority = self.consumers
        return [each for each in self.members if priority[each] == priority[consumer]]

    def rotate(self, line: list[Consumer], takers: list[Consumer], turn: int) -> None:
        """Those who got the last `turn` messages go to the end of the line, as in RabbitMQ.

        `line` were the members of their priority. Whoever had no credit when it was his turn is
        held: he gets in line again, at its end, as soon as he has credit.
        """
        passed, waiting = line, line[:0]
        served = takers[turn % len(takers) :] + takers[: turn % len(takers)]
        if turn <= len(takers):
            position = line.index(takers[turn - 1]) + 1
            passed, waiting = line[:position], line[position:]
            served = takers[:turn]
        present = set(self.members)
        self.members = [
            consumer
            for consumer in dict.fromkeys([*waiting, *served, *passed, *self.members])
            if consumer in present
        ]
        if len(passed) > len(served):
            held = present.intersection(passed).difference(served)
            self.held.update((consumer, None) for consumer in passed if consumer in held)

    def let_go(self) -> None:
        """Those who were held, and have credit now, get in line."""
        for consumer in list(self.held):
            if consumer.credit() > 0:
                del self.held[consumer]
                others = [each for each in self.members if each is not consumer]
                self.members = [*others, consumer]
