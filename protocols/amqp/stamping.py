"""What a queue adds to the headers of its deliveries (`Queue.stamp`), spliced into the raw ones.

No property is decoded and encoded again: every other field keeps its octets, and with them the
type in which it was sent. A field of the same name that the publisher set gives way.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence, Set
from typing import TYPE_CHECKING, NamedTuple

from gateway.messages import Header, Message, Value
from protocols.amqp.codec import locate_properties
from protocols.amqp.fields import FieldError, encode_table, encode_text, iterate_table
from protocols.amqp.language import AmqpLanguage, raw_properties

if TYPE_CHECKING:
    from gateway.queues.consumer import Stamp

_HEADERS_FLAG = 0x2000
_BEFORE_HEADERS = ("content_type", "content_encoding")
_LANGUAGE = AmqpLanguage()  # Only says whose octets they are: nothing is interned here.


def stamp_all(messages: Sequence[Message], stamp_of: Stamp, first_offset: int) -> list[Message]:
    """Messages whose offsets are consecutive, each with what its queue adds."""
    stamped = []
    place: _Place | None = None
    last: Header | None = None
    names: Set[str] = frozenset()
    for offset, message in enumerate(messages, first_offset):
        more = stamp_of(offset)
        envelope, header, body = message
        if header is not last or names != more.keys():
            last, names = header, more.keys()
            place = _find_place(raw_properties(header), names) if more else None
        if place is not None:
            message = (envelope, _stamped(header, place, more), body)
        stamped.append(message)
    return stamped


def stamp(message: Message, more: Mapping[str, Value]) -> Message:
    """The message with `more` headers."""
    return stamp_all([message], lambda _: more, 0)[0]


class _Place(NamedTuple):
    """Properties, flags first, cut where more fields of their header table are to be."""

    before: bytes
    fields: bytes
    after: bytes


def _stamped(header: Header, place: _Place, more: Mapping[str, Value]) -> Header:
    fields = place.fields + encode_table(more)[4:]
    raw = b"%b%b%b%b" % (place.before, len(fields).to_bytes(4, "big"), fields, place.after)
    return Header(_LANGUAGE, raw, header.persistent)


def _find_place(raw: bytes, names: Set[str]) -> _Place | None:
    """Where fields of these names are to be; None in what cannot be read: that stays as it is."""
    try:
        places = locate_properties(raw)
        if "headers" not in places:
            at = max((places[name].stop for name in _BEFORE_HEADERS if name in places), default=2)
            flags = int.from_bytes(raw[:2], "big") | _HEADERS_FLAG
            return _Place(flags.to_bytes(2, "big") + raw[2:at], b"", raw[at:])
        table = places["headers"]
        fields = _without(raw[table], {encode_text(name) for name in names})
    except FieldError:
        return None
    return _Place(raw[: table.start], fields, raw[table.stop :])


def _without(table: bytes, names: set[bytes]) -> bytes:
    """The fields of a table without these."""
    if not any(name in table for name in names):
        return table[4:]
    return b"".join(
        table[start:end] for name, start, _, end in iterate_table(table) if name not in names
    )
