"""The headers that delay a message, in the octets of its properties.

All else stays as it is, octet for octet.
"""

from __future__ import annotations

from gateway.delays.schedules import (
    DELAY,
    DELIVER_AT,
    EXCHANGE_DELAY,
    NEGATED_HEADERS,
    parse_number,
)
from protocols.amqp.codec import locate_properties
from protocols.amqp.fields import decode_table, encode_short, iterate_table

_HEADERS_FLAG = 0x20  # In the first octet of the flags.
_INT_MIN, _INT_MAX = -(1 << 31), (1 << 31) - 1
_EXCHANGE_DELAY = encode_short(EXCHANGE_DELAY)
_OWN = b"x-rosetta-de"
assert all(name.startswith(_OWN.decode()) for name in (DELAY, DELIVER_AT))
_NEGATED = frozenset(name.encode() for name in NEGATED_HEADERS)


def may_delay(raw: bytes) -> bool:
    """May these properties (flags first) hold a header that asks for a later time?"""
    return bool(raw[0] & _HEADERS_FLAG) and (_EXCHANGE_DELAY in raw or _OWN in raw)


def negate_delays(raw: bytes) -> bytes:
    """The properties of a message that was delayed. Raises `FieldError`.

    The type of the number is the one that RabbitMQ's plugin gives it, if that is wide enough.
    """
    place = locate_properties(raw).get("headers")
    if place is None:
        return raw
    table = raw[place]
    values, _ = decode_table(table)
    parts = []
    for name, start, value_start, end in iterate_table(table):
        delay_ms = parse_number(values[name.decode()]) if name in _NEGATED else None
        parts.append(table[start:end])
        if delay_ms is not None and delay_ms > 0:
            parts[-1] = table[start:value_start] + _encode_number(-delay_ms)
    fields = b"".join(parts)
    return raw[: place.start] + len(fields).to_bytes(4, "big") + fields + raw[place.stop :]


def _encode_number(number: int) -> bytes:
    if _INT_MIN <= number <= _INT_MAX:
        return b"I" + number.to_bytes(4, "big", signed=True)
    return b"l" + number.to_bytes(8, "big", signed=True)
