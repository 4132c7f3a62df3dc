"""What a subscription wants of a topic: tags, or an SQL92 condition over the properties."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from core.errors import SelectorError
from core.filters.selector import Dialect, Selector, parse_selector
from gateway.messages import Message
from rosettamq.remoting.codes import ResponseCode

from .language import message_tag, message_texts
from .replies import RequestRefusedError

TAG = "TAG"
SQL92 = "SQL92"


class MessageFilter(Protocol):
    """Decides on each message of a topic."""

    def matches(self, message: Message) -> bool:
        """Whether the subscription wants this message."""


@dataclass(frozen=True, slots=True)
class TagFilter:
    """Which tags a subscription wants; None means all."""

    tags: frozenset[str] | None = None

    def matches(self, message: Message) -> bool:
        """Whether the subscription wants this message."""
        return self.tags is None or message_tag(message) in self.tags


@dataclass(frozen=True, slots=True)
class SqlFilter:
    """A condition over a message's properties as a native reader sees them: texts, one and all."""

    selector: Selector

    def matches(self, message: Message) -> bool:
        """Whether the subscription wants this message."""
        return self.selector.matches(message_texts(message))


def parse_filter(expression: str, expression_type: str | None) -> MessageFilter:
    """Read the expression of a subscription; raises `RequestRefusedError`."""
    if (expression_type or TAG) == TAG:
        return parse_tag_filter(expression)
    if expression_type != SQL92:
        raise RequestRefusedError(
            ResponseCode.SYSTEM_ERROR,
            f"The broker does not support consumer to filter message by {expression_type}",
        )
    try:
        return SqlFilter(parse_selector(expression, Dialect.ROCKETMQ))
    except SelectorError as error:
        raise RequestRefusedError(
            ResponseCode.SUBSCRIPTION_PARSE_FAILED,
            f"parse the consumer's subscription failed: {error}",
        ) from error


@lru_cache(maxsize=1024)
def parse_tag_filter(expression: str) -> TagFilter:
    """Read `*` or `a || b`; nothing at all means `*`, as in Java."""
    tags = frozenset(tag.strip() for tag in expression.split("||")) - {""}
    return TagFilter(None if not tags or "*" in tags else tags)
