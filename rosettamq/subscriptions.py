"""What a consumer wants of a topic, and which queues each member of a group reads."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rosettamq.errors import SubscriptionError
from rosettamq.message import MessageQueue

ALL_TAGS = "*"
TAG = "TAG"
SQL92 = "SQL92"


@dataclass(frozen=True, slots=True)
class Sql:
    """A condition over a message's properties, evaluated by the broker: `Sql("price > 10")`."""

    condition: str


@dataclass(frozen=True, slots=True)
class Subscription:
    """A tag expression: `*`, or tags joined by `||`; or a condition in SQL92."""

    topic: str
    expression: str = ALL_TAGS
    expression_type: str = TAG

    @property
    def tags(self) -> frozenset[str] | None:
        """The tags that are wanted; None for all."""
        if self.expression_type != TAG:
            return None
        tags = frozenset(tag.strip() for tag in self.expression.split("||"))
        return None if ALL_TAGS in tags else tags

    def matches(self, tag: str) -> bool:
        """The broker may compare hashes only, so the client compares the tag itself."""
        return self.tags is None or tag in self.tags


def parse_subscription(topic: str, expression: str | Sql) -> Subscription:
    """Check a tag expression; raises `SubscriptionError`. Only the broker can check SQL92."""
    if not topic:
        raise SubscriptionError("a subscription needs a topic")
    if isinstance(expression, Sql):
        return Subscription(topic, expression.condition, SQL92)
    tags = [tag.strip() for tag in expression.split("||")]
    if not all(tags) or any("|" in tag for tag in tags):
        raise SubscriptionError(f"not a tag expression like 'a || b': {expression!r}")
    return Subscription(topic, expression)


def allocate_averagely(
    queues: Sequence[MessageQueue], client_ids: Sequence[str], client_id: str
) -> list[MessageQueue]:
    """Give one member its share: consecutive queues, as evenly as possible (Java's AVG).

    All members compute this for themselves, from the same sorted lists.
    """
    members = sorted(set(client_ids))
    if client_id not in members:
        return []
    index = members.index(client_id)
    share, remainder = divmod(len(queues), len(members))
    start = index * share + min(index, remainder)
    return sorted(queues)[start : start + share + (index < remainder)]
