"""What the headers of SEND and SUBSCRIBE ask of the queue that they declare (RabbitMQ's rules)."""

from __future__ import annotations

import base64
import hashlib
import secrets
from collections.abc import Mapping

from gateway.declarations import QueueDeclaration
from gateway.messages import Value
from gateway.queues.consumer import IN_LINE_ARGUMENT
from gateway.values import Long, Timestamp
from protocols.stomp.destinations import Destination, Kind
from protocols.stomp.errors import processing_error
from protocols.stomp.language import boolean_header, integer_header

_TEXT_ARGUMENTS = (
    "x-dead-letter-exchange",
    "x-dead-letter-routing-key",
    "x-queue-type",
    "x-max-age",
)
_NUMBER_ARGUMENTS = (
    "x-expires",
    "x-message-ttl",
    "x-max-length",
    "x-max-length-bytes",
    "x-max-priority",
    "x-stream-max-segment-size-bytes",
    "x-stream-filter-size-bytes",
)
# All that is read here, but for `persistent`: that is a header of many a message, too.
QUEUE_HEADERS = frozenset(
    {"durable", "exclusive", "auto-delete", *_TEXT_ARGUMENTS, *_NUMBER_ARGUMENTS}
)


def queue_declaration(kind: Kind, headers: Mapping[str, str]) -> QueueDeclaration:
    """A queue as the headers want it, but for its name.

    They must not hold a SEND's `persistent`, which is the message's.

    Raises `RequestRefusedError` for a value that is none.
    """
    durable = _option(headers, "durable")
    if durable is None:
        durable = _option(headers, "persistent")
    if durable is None:
        durable = kind is Kind.QUEUE
    exclusive = _option(headers, "exclusive")
    if exclusive is None:
        exclusive = kind is Kind.EXCHANGE or (kind is Kind.QUEUE and not durable)
    auto_delete = _option(headers, "auto-delete")
    if auto_delete is None:
        auto_delete = kind is not Kind.QUEUE or not durable
    return QueueDeclaration("", durable, exclusive, auto_delete, _arguments(headers))


def _option(headers: Mapping[str, str], name: str) -> bool | None:
    match headers.get(name):
        case None:
            return None
        case "true" | "True":
            return True
        case "false" | "False":
            return False
    raise processing_error()


def _arguments(headers: Mapping[str, str]) -> dict[str, Value]:
    arguments: dict[str, Value] = {
        name: headers[name].strip() for name in _TEXT_ARGUMENTS if name in headers
    }
    for name in _NUMBER_ARGUMENTS:
        if (number := integer_header(headers, name, 2**63 - 1)) is not None:
            arguments[name] = Long(number)
    return arguments


def consumer_arguments(headers: Mapping[str, str]) -> dict[str, Value]:
    """What a SUBSCRIBE asks as a consumer; a stream's offset that is none says nothing."""
    arguments: dict[str, Value] = {}
    if (offset := _stream_offset(headers.get("x-stream-offset", ""))) is not None:
        arguments["x-stream-offset"] = offset
    if "x-stream-filter" in headers:
        arguments["x-stream-filter"] = [*headers["x-stream-filter"].split(",")]
    if (match_unfiltered := _option(headers, "x-stream-match-unfiltered")) is not None:
        arguments["x-stream-match-unfiltered"] = match_unfiltered
    if (priority := _priority(headers.get("x-priority"))) is not None:
        arguments["x-priority"] = priority
    if boolean_header(headers, "activemq.exclusive"):
        arguments[IN_LINE_ARGUMENT] = True
    return arguments


def _stream_offset(text: str) -> Value:
    if text in ("first", "last", "next"):
        return text
    kind, _, number = text.partition("=")
    if not (number.isascii() and number.isdigit() and len(number) < 19):
        return None
    return {"offset": Long, "timestamp": Timestamp}.get(kind, lambda _: None)(int(number))


def _priority(text: str | None) -> Value:
    if text is None:
        return None
    digits = text.strip().removeprefix("-")
    if not (digits.isascii() and digits.isdigit() and len(digits) < 19):
        raise processing_error()
    return Long(text)


def subscription_queue_name(
    destination: Destination, headers: Mapping[str, str], *, durable: bool
) -> str:
    """The name of a topic's or exchange's subscription queue.

    That of a durable one is found again from the same destination and id; others are random.
    """
    if name := headers.get("x-queue-name"):
        return name
    if not durable:
        return "stomp-subscription-" + secrets.token_urlsafe(16)
    key = f"{destination.routing_key}\0{headers.get('id', '')}"
    digest = hashlib.md5(key.encode("utf-8", "surrogateescape"), usedforsecurity=False).digest()
    return "stomp-subscription-" + base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
