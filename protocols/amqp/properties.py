"""What RabbitMQ checks in the properties of a publish, and what it changes there.

Properties are never decoded and encoded again: what does not change stays octet for octet, so that
a consumer sees every number in the type in which it was sent.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from operator import eq
from typing import NamedTuple

from protocols.amqp.codec import locate_properties
from protocols.amqp.fields import (
    decode_name,
    encode_name,
    encode_short,
    iterate_array,
    iterate_table,
)
from protocols.amqp.replies import AmqpError

REPLY_TO = "amq.rabbitmq.reply-to"  # Stands for the publishing channel's own reply consumer.

_PUBLISH_ID = (60, 40)
_CHECKED_FLAGS = 0x0100 | 0x0010  # Expiration and user id.
_HEADERS_FLAG = 0x2000
_REPLY_TO_FLAG = 0x0200
_ENCODED_REPLY_TO = encode_short(REPLY_TO)
_EXPIRATION_MAX = 315_360_000_000  # Milliseconds: ten years.
_INTEGER = re.compile("[+-]?[0-9]+", re.ASCII)
_ARRAY, _TEXT = ord("A"), ord("S")
# What Erlang calls the values of a field table.
_TYPE_NAMES = {
    "t": "bool", "b": "byte", "B": "unsignedbyte", "s": "short", "u": "unsignedshort",
    "I": "signedint", "i": "unsignedint", "l": "long", "L": "long", "f": "float", "d": "double",
    "D": "decimal", "S": "longstr", "A": "array", "T": "timestamp", "F": "table", "V": "void",
    "x": "binary",
}  # fmt: skip


class Checked(NamedTuple):
    """Properties as they are stored, and the routing keys that they add."""

    raw: bytes
    more_keys: tuple[str, ...] = ()


def needs_checks(raw: bytes) -> bool:
    """May `check` find something in these properties? Cheap: asked for each new header."""
    flags = raw[0] << 8 | raw[1]
    if flags & _CHECKED_FLAGS:
        return True
    if flags & _REPLY_TO_FLAG and _ENCODED_REPLY_TO in raw:
        return True
    return bool(flags & _HEADERS_FLAG) and (b"\x02CC" in raw or b"\x03BCC" in raw)


def check(
    raw: bytes,
    user: str,
    reply_queue: str | None = None,
    may_publish_as: Callable[[str, str], bool] = eq,
) -> Checked:
    """Check the properties of a publish by `user`, and find what is to be done with them.

    `reply_queue` is what `REPLY_TO` stands for on its channel. Raises `AmqpError` as RabbitMQ does,
    in its order; `FieldError` for what cannot be decoded.
    """
    places = locate_properties(raw)
    if "reply_to" in places and raw[places["reply_to"]] == _ENCODED_REPLY_TO:
        if reply_queue is None:
            raise _refused("fast reply consumer does not exist")
        name = encode_short(encode_name(reply_queue))
        raw = raw[: places["reply_to"].start] + name + raw[places["reply_to"].stop :]
        places = locate_properties(raw)
    if "expiration" in places:
        _check_expiration(_text(raw, places["expiration"]))
    checked = Checked(raw)
    if "headers" in places:
        checked = _take_sender_keys(raw, places["headers"])
    if "user_id" in places and not may_publish_as(user, _text(raw, places["user_id"])):
        raise _refused(
            f"user_id property set to '{_text(raw, places['user_id'])}'"
            f" but authenticated user was '{user}'"
        )
    return checked


def _check_expiration(text: str) -> None:
    number = _INTEGER.match(text)
    if number is None:
        reason = "no_integer"
    elif number.end() < len(text):
        reason = f'{{leftover_string,"{text[number.end() :]}"}}'
    elif (expiration := int(text)) < 0:
        reason = f"{{value_negative,{expiration}}}"
    elif expiration > _EXPIRATION_MAX:
        reason = f"{{value_too_large,{expiration}}}"
    else:
        return
    raise _refused(f"invalid expiration '{text}': {reason}")


def _take_sender_keys(raw: bytes, place: slice) -> Checked:
    """The properties without the header BCC, and the routing keys in the headers CC and BCC."""
    table = raw[place]
    keys: dict[bytes, list[str]] = {}
    kept = []
    for name, start, value_start, end in iterate_table(table):
        if name in (b"CC", b"BCC") and name not in keys:
            keys[name] = _routing_keys(name.decode(), table[value_start:end])
        if name != b"BCC":
            kept.append(table[start:end])
    more_keys = (*keys.get(b"CC", ()), *keys.get(b"BCC", ()))
    if b"BCC" not in keys:
        return Checked(raw, more_keys)
    fields = b"".join(kept)
    table = len(fields).to_bytes(4, "big") + fields
    return Checked(raw[: place.start] + table + raw[place.stop :], more_keys)


def _routing_keys(name: str, value: bytes) -> list[str]:
    """The texts in an array of a field table, which begins with its type; others do not count."""
    if value[0] != _ARRAY:
        type_name = _TYPE_NAMES[chr(value[0])]
        raise _refused(f'invalid message: {{unacceptable_type_in_header,"{name}",{type_name}}}')
    array = value[1:]
    return [
        decode_name(array[start + 5 : end])
        for start, end in iterate_array(array)
        if array[start] == _TEXT
    ]


def _text(raw: bytes, place: slice) -> str:
    return decode_name(raw[place][1:])


def _refused(explanation: str) -> AmqpError:
    return AmqpError("PRECONDITION_FAILED", explanation, _PUBLISH_ID)
