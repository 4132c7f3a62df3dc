"""Selectors over messages: which name stands for what.

A name is a header of the application. If the message has none of that name, it may be one of the
fields that JMS lets a selector name; every message has a priority and a delivery mode there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from core.errors import SelectorError
from core.filters.selector import Dialect, Selector, parse_selector
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments
from gateway.messages import Header, Message
from gateway.values import type_name

SELECTOR_ARGUMENT = "x-rosetta-selector"  # Of a consumer.

# Says whether a consumer wants a message.
Selects: TypeAlias = "Callable[[Message], bool]"

_PRIORITY_DEFAULT = 4  # JMS 2.0, 3.4.10.


def message_selector(text: str, *, converts_text: bool = False) -> Selects | None:
    """A function that says whether a message matches; None if everything does: `text` is blank.

    With `converts_text`, headers are texts, and are numbers where a number is wanted. Raises
    `SelectorError`.
    """
    if not text.strip():
        return None
    selector = parse_selector(text, Dialect.TEXTUAL if converts_text else Dialect.STANDARD)
    return lambda message: selects(selector, message[1])


def selects(selector: Selector, header: Header) -> bool:
    """Does a message with this header match?"""
    return selector.matches(lambda name: find(header, name))


def find(header: Header, name: str) -> object:
    """What a name in a selector stands for; None if the message has nothing of that name."""
    value = header.properties.headers.get(name)
    if value is None and name[:3] == "JMS" and name in _FIELDS:
        return _FIELDS[name](header)
    return value


def consumer_selector(arguments: Arguments, owner: str) -> Selects | None:
    """What a consumer's argument asks for. Raises `PreconditionFailedError`."""
    text = arguments.get(SELECTOR_ARGUMENT)
    if text is None:
        return None
    if not isinstance(text, str):
        raise PreconditionFailedError(
            f"invalid type '{type_name(text)}' for arg '{SELECTOR_ARGUMENT}' in {owner}"
        )
    try:
        return message_selector(text)
    except SelectorError as error:
        raise PreconditionFailedError(
            f"invalid arg '{SELECTOR_ARGUMENT}' for {owner}: {error}"
        ) from error


def _priority(header: Header) -> object:
    priority = header.properties.priority
    return _PRIORITY_DEFAULT if priority is None else priority


def _timestamp_ms(header: Header) -> object:
    timestamp = header.properties.timestamp
    return None if timestamp is None else timestamp * 1000


_FIELDS: dict[str, Callable[[Header], object]] = {
    "JMSCorrelationID": lambda header: header.properties.correlation_id,
    "JMSDeliveryMode": lambda header: "PERSISTENT" if header.persistent else "NON_PERSISTENT",
    "JMSMessageID": lambda header: header.properties.message_id,
    "JMSPriority": _priority,
    "JMSTimestamp": _timestamp_ms,
    "JMSType": lambda header: header.properties.type,
}
