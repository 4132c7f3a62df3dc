"""What a queue adds to the headers of its deliveries (`Queue.stamp`), as header lines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.messages import Header, Message, Value
from gateway.translation import value_text
from protocols.stomp.codec import encode_header, to_octets
from protocols.stomp.language import NUMBER, STOMP, message_headers

if TYPE_CHECKING:
    from gateway.queues.consumer import Stamp


def stamp_all(messages: Sequence[Message], stamp_of: Stamp, first_offset: int) -> list[Message]:
    """Messages whose offsets are consecutive, each with what its queue adds."""
    return [
        _stamp(message, stamp_of(offset)) for offset, message in enumerate(messages, first_offset)
    ]


def _stamp(message: Message, more: Mapping[str, Value]) -> Message:
    if not more:
        return message
    envelope, header, body = message
    added = "".join(encode_header(name, value_text(value)) for name, value in more.items())
    stamped = Header(STOMP, header.raw, header.persistent)
    # Of two lines of one name the first counts (STOMP 1.2, "Repeated Header Entries").
    stamped.translated[NUMBER] = to_octets(added) + message_headers(header)
    return envelope, stamped, body
