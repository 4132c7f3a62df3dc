"""What a queue adds to the headers of its deliveries (`Queue.stamp`), spliced into the raw ones.

No property is decoded and encoded again: every other field keeps its octets, and with them the
type in which it was sent. A field of the same name that the publisher set gives way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.messages import Header, Message, Value
from protocols.amqp.codec import locate_properties
from protocols.amqp.fields import FieldError, encode_table, encode_text, iterate_table
from protocols.amqp.language import AmqpLanguage, raw_properties

if TYPE_CHECKING:
    from gateway.queues import Stamp

_HEADERS_FLAG = 0x2000
_BEFORE_HEADERS = ("content_type", "content_encoding")
_LANGUAGE = AmqpLanguage()  # Only says whose octets they are: nothing is interned here.


def stamp_all(messages: Sequence[Message], stamp_of: Stamp, first_offset: int) -> list[Message]:
    """Messages whose offsets are consecutive, each with what its queue adds."""
    return [
        stamp(message, stamp_of(offset)) for offset, message in enumerate(messages, first_offset)
    ]


def stamp(message: Message, more: Mapping[str, Value]) -> Message:
    """The message with `more` headers."""
    if not more:
        return message
    envelope, header, body = message
    raw = splice_headers(raw_properties(header), more)
    return envelope, Header(_LANGUAGE, raw, header.persistent), body


def splice_headers(raw: bytes, more: Mapping[str, Value]) -> bytes:
    """Properties, flags first, with `more` at the end of their header table."""
    try:
        places = locate_properties(raw)
        added = encode_table(more)[4:]
        if "headers" not in places:
            at = max((places[name].stop for name in _BEFORE_HEADERS if name in places), default=2)
            flags = int.from_bytes(raw[:2], "big") | _HEADERS_FLAG
            table = len(added).to_bytes(4, "big") + added
            return flags.to_bytes(2, "big") + raw[2:at] + table + raw[at:]
        place = places["headers"]
        fields = _without(raw[place], {encode_text(name) for name in more}) + added
    except FieldError:
        return raw  # Its consumer gets what came, as without a stamp.
    return b"%b%b%b%b" % (
        raw[: place.start], len(fields).to_bytes(4, "big"), fields, raw[place.stop :]
    )  # fmt: skip


def _without(table: bytes, names: set[bytes]) -> bytes:
    """The fields of a table without these."""
    if not any(name in table for name in names):
        return table[4:]
    return b"".join(
        table[start:end] for name, start, _, end in iterate_table(table) if name not in names
    )
