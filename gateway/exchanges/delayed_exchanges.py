"""The exchange type `x-delayed-message`: another type, behind a delay that each message asks for.

The words of the refusals are those of RabbitMQ's plugin.
"""

from __future__ import annotations

from collections.abc import Container
from typing import TYPE_CHECKING

from gateway.delays.schedules import Schedule, find_exchange_delay
from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import Arguments

if TYPE_CHECKING:
    from gateway.exchanges.exchange import Exchange
    from gateway.messages import Header

TYPE = "x-delayed-message"
_ARGUMENT = "x-delayed-type"


def matching_type(type: str, arguments: Arguments, types: Container[str]) -> str:
    """By the rules of which type an exchange finds its queues.

    Raises `PreconditionFailedError` if it does not say so properly.
    """
    if type != TYPE:
        return type
    behind = arguments.get(_ARGUMENT)
    if behind == TYPE:
        raise PreconditionFailedError(f"Invalid argument, '{TYPE}' can't be used for '{_ARGUMENT}'")
    if not isinstance(behind, str) or behind not in types:
        raise PreconditionFailedError(
            f"Invalid argument, '{_ARGUMENT}' must be an existing exchange type"
        )
    return behind


def find_delay(exchange: Exchange, header: Header | None) -> Schedule | None:
    """For how long an exchange keeps a message, if it does."""
    if exchange.type != TYPE or header is None or not header.may_delay:
        return None
    return find_exchange_delay(header.properties.headers)
