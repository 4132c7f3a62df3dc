"""What an example draws beside the basics: features of queues and channels that change much.

An example has few of them, so that each is seen alone as well as together. Times are none at all
or an hour: nothing depends on how fast anybody is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from tests.differential import wire

T = TypeVar("T")

_HOUR_MS = 3_600_000

_TIMES: tuple[wire.Field, ...] = (("I", 0), ("I", 0), ("I", _HOUR_MS), ("I", -1), ("S", "0"))
_LENGTHS: tuple[wire.Field, ...] = (("I", 1), ("I", 2), ("l", 3), ("I", -1), ("S", "1"))
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx", "drop-tail")
_EXPIRATIONS = ("0", "0", str(_HOUR_MS), "-1", "soon")
_DEAD_LETTER_KEYS = ("~q1", "~q2", "~q3", "a", "~none")
_PRIORITIES: tuple[wire.Field, ...] = (("I", 1), ("I", 2), ("b", -5), ("S", "1"), ("d", 1.0))


class Author(Protocol):
    """Who draws."""

    def pick(self, choices: Sequence[T]) -> T: ...

    def happens(self, percentage: int) -> bool: ...


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

    def queue_arguments(self, author: Author) -> list[tuple[str, wire.Field]]:
        """For a queue that is declared."""
        drawn: list[tuple[str, wire.Field]] = []
        if self.dead_letters and author.happens(70):
            exchange = author.pick(("", "", "amq.fanout", "~x1", "~none"))
            drawn.append(("x-dead-letter-exchange", ("S", exchange)))
            if author.happens(70):
                key = author.pick(_DEAD_LETTER_KEYS)
                drawn.append(("x-dead-letter-routing-key", ("S", key)))
        if self.times and author.happens(50):
            drawn.append(("x-message-ttl", author.pick(_TIMES)))
        if self.times and author.happens(20):
            drawn.append(("x-expires", ("I", author.pick((_HOUR_MS, _HOUR_MS, 0)))))
        if self.lengths and author.happens(60):
            name = author.pick(("x-max-length", "x-max-length", "x-max-length-bytes"))
            drawn.append((name, author.pick(_LENGTHS)))
            if author.happens(60):
                drawn.append(("x-overflow", ("S", author.pick(_OVERFLOWS))))
        if self.single_active and author.happens(60):
            value: wire.Field = author.pick((("t", True), ("t", True), ("t", False), ("S", "yes")))
            drawn.append(("x-single-active-consumer", value))
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

    def consumer_arguments(self, author: Author) -> wire.Table:
        """For basic.consume."""
        if self.consumer_priorities and author.happens(60):
            return (("x-priority", author.pick(_PRIORITIES)),)
        return ()


def draw(author: Author) -> Features:
    """Most examples have one or two, some have none."""
    names = tuple(Features.__dataclass_fields__)
    count = author.pick((0, 1, 1, 1, 2, 2, 3))
    return Features(**{author.pick(names): True for _ in range(count)})
