"""What an example draws beside the basics: features of queues and channels that change much.

An example has few of them, so that each is seen alone as well as together. Times are none at all
or an hour: nothing depends on how fast anybody is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from tests.differential import administration, wire
from tests.differential.author import Author
from tests.differential.definitions import (
    HOUR_MS,
    INCAPABLE,
    LIMITED,
    NO_POLICIES,
    POLICIES,
    STRANGER,
)
from tests.differential.operations import Manage

_TIMES: tuple[wire.Field, ...] = (("I", 0), ("I", 0), ("I", HOUR_MS), ("I", -1), ("S", "0"))
_LENGTHS: tuple[wire.Field, ...] = (("I", 1), ("I", 2), ("l", 3), ("I", -1), ("S", "1"))
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx", "drop-tail")
_EXPIRATIONS = ("0", "0", str(HOUR_MS), "-1", "soon")
_DEAD_LETTER_KEYS = ("~q1", "~q2", "~q3", "a", "~none")
_NOT_FOR_QUORUM: tuple[tuple[str, wire.Field], ...] = (
    ("x-max-priority", ("I", 5)),
    ("x-queue-mode", ("S", "lazy")),
    ("x-max-age", ("S", "1h")),
    ("x-overflow", ("S", "drop-tail")),
    ("x-quorum-initial-group-size", ("I", 0)),
    ("x-dead-letter-strategy", ("S", "sometimes")),
    ("x-max-in-memory-length", ("I", -1)),
    ("x-single-active-consumer", ("S", "yes")),
)
# Where versions of quorum queues differ, or do later what a test cannot wait for.
_NOT_WITH_QUORUM = ("consumer_priorities", "single_active")
_PRIORITIES: tuple[wire.Field, ...] = (("I", 1), ("I", 2), ("b", -5), ("S", "1"), ("d", 1.0))


@dataclass(frozen=True)
class Features:
    """Those that one example has."""

    transactions: bool = False
    copies: bool = False
    dead_letters: bool = False
    times: bool = False
    lengths: bool = False
    single_active: bool = False
    consumer_priorities: bool = False
    locks: bool = False
    permissions: bool = False
    policies: bool = False
    plugin_types: bool = False
    quorum_queues: bool = False
    replies: bool = False
    incapable_client: bool = False
    changing_policies: bool = False
    changing_rights: bool = False
    limits: bool = False
    virtual_hosts: bool = False
    deaths: bool = False
    chains: bool = False
    cycles: bool = False

    def queue_arguments(self, author: Author) -> list[tuple[str, wire.Field]]:
        """For a queue that is declared."""
        drawn: list[tuple[str, wire.Field]] = []
        if self.quorum_queues and author.happens(75):
            drawn.append(("x-queue-type", ("S", "quorum")))
            # Without a limit 3.10 puts back what returns at another place.
            drawn.append(("x-delivery-limit", ("I", author.pick((1, 2, 20)))))
            if author.happens(12):
                drawn.append(author.pick(_NOT_FOR_QUORUM))
        drawn += self._dead_letter_arguments(author)
        if self.times and author.happens(50):
            drawn.append(("x-message-ttl", author.pick(_TIMES)))
        if self.times and author.happens(20):
            drawn.append(("x-expires", ("I", author.pick((HOUR_MS, HOUR_MS, 0)))))
        if self.lengths and author.happens(60):
            name = author.pick(("x-max-length", "x-max-length", "x-max-length-bytes"))
            drawn.append((name, author.pick(_LENGTHS)))
            if author.happens(60):
                overflows = _OVERFLOWS[:1] if self.quorum_queues else _OVERFLOWS
                drawn.append(("x-overflow", ("S", author.pick(overflows))))
        if self.single_active and author.happens(60):
            value: wire.Field = author.pick((("t", True), ("t", True), ("t", False), ("S", "yes")))
            drawn.append(("x-single-active-consumer", value))
        return drawn

    def _dead_letter_arguments(self, author: Author) -> list[tuple[str, wire.Field]]:
        """In cycles every queue's dead letters go to another one, or to itself."""
        if not self.cycles and not (self.dead_letters and author.happens(70)):
            return []
        exchange = "" if self.cycles else author.pick(("", "", "amq.fanout", "~x1", "~none"))
        drawn: list[tuple[str, wire.Field]] = [("x-dead-letter-exchange", ("S", exchange))]
        if self.cycles or author.happens(70):
            keys = _DEAD_LETTER_KEYS[:3] if self.cycles else _DEAD_LETTER_KEYS
            drawn.append(("x-dead-letter-routing-key", ("S", author.pick(keys))))
        return drawn

    def properties(self, author: Author) -> dict[str, Any]:
        """For a message."""
        drawn: dict[str, Any] = {}
        if self.times and author.happens(40):
            drawn["expiration"] = author.pick(_EXPIRATIONS)
        if self.copies and author.happens(60):
            drawn["headers"] = tuple(
                (name, self._keys(author)) for name in ("CC", "BCC") if author.happens(60)
            )
        return drawn

    def _keys(self, author: Author) -> wire.Field:
        """Routing keys besides the message's own; now and then something else."""
        if author.happens(10):
            return ("S", "~q1")
        count = author.pick((0, 1, 1, 2))
        keys = [("S", author.pick(("~q1", "~q2", "~q3", "a", "a.b"))) for _ in range(count)]
        return ("A", tuple(keys))

    def queue_flags(self, author: Author) -> dict[str, bool]:
        """For a queue that is declared."""
        flags = {}
        if self.locks and author.happens(60):
            flags["exclusive"] = True
        if self.quorum_queues and author.happens(90):
            flags |= {"durable": True, "exclusive": False, "auto_delete": False}
        return flags

    def policy_set(self, author: Author) -> str:
        """Which policies there are."""
        if not self.policies:
            return NO_POLICIES
        if self.quorum_queues:
            return "returns"
        return author.pick(POLICIES)

    def changes(self) -> list[Callable[[Author], Manage]]:
        """What an administrator may do meanwhile."""
        draw_policy = partial(administration.draw_policy, refuses=not self.quorum_queues)
        drawn = {
            draw_policy: self.changing_policies,
            administration.draw_right: self.changing_rights,
            administration.draw_limit: self.limits,
        }
        return [draw for draw, is_on in drawn.items() if is_on]

    def channels(self) -> tuple[int, ...]:
        """Those that each connection uses.

        What a channel gives back to a quorum queue when its connection ends may go to the next
        one in RabbitMQ, which ends as well: it counts as another delivery. See `differences`.
        """
        return (1,) if self.quorum_queues else (1, 1, 1, 2)

    def connections(self) -> list[int]:
        """Those that are used as often as all others."""
        drawn = {
            LIMITED: self.permissions or self.changing_rights or self.limits,
            INCAPABLE: self.incapable_client,
            STRANGER: self.virtual_hosts or self.limits,
        }
        return [slot for slot, is_on in drawn.items() if is_on]

    def consumer_arguments(self, author: Author) -> wire.Table:
        """For basic.consume."""
        if self.consumer_priorities and author.happens(60):
            return (("x-priority", author.pick(_PRIORITIES)),)
        return ()


def draw(author: Author) -> Features:
    """Most examples have one or two, some have none."""
    names = tuple(Features.__dataclass_fields__)
    count = author.pick((0, 1, 1, 1, 2, 2, 3))
    return settle(Features(**{author.pick(names): True for _ in range(count)}))


def settle(features: Features) -> Features:
    """Without what does not go together."""
    if features.changing_policies:
        features = replace(features, policies=False)
    if features.limits:
        # What is locked is looked at on channels of its owner's: they would count.
        features = replace(features, locks=False)
    if features.quorum_queues:
        return replace(features, **dict.fromkeys(_NOT_WITH_QUORUM, False))
    return features
