"""What of a stream one reader wants: messages whose publisher gave them one of some values."""

from __future__ import annotations

from gateway.exchanges.bindings import Arguments
from gateway.messages import Message
from gateway.queues.selectors import Selects

_VALUE_HEADER = "x-stream-filter-value"


def parse_filter(arguments: Arguments) -> Selects | None:
    """What a consumer's arguments ask for: a text, or an array of them; else nothing is left out.

    RabbitMQ's filter is a Bloom filter of whole chunks, after which clients filter again; this one
    is exact.
    """
    wanted = arguments.get("x-stream-filter")
    if isinstance(wanted, str):
        values = {wanted}
    elif isinstance(wanted, list):
        values = {value for value in wanted if isinstance(value, str)}
    else:
        return None
    match_unfiltered = arguments.get("x-stream-match-unfiltered") is True

    def wants(message: Message) -> bool:
        value = message[1].properties.headers.get(_VALUE_HEADER)
        return value in values if isinstance(value, str) else match_unfiltered

    return wants
