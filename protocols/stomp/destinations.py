"""Destination headers <-> what the gateway calls them (RabbitMQ's routing parser and formatter).

Only `%2F` is unescaped in a name, so that a name may contain a slash; going out, `/`, `%` and
every octet that is not plain ASCII are written as `%XX`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from protocols.stomp.codec import to_octets
from protocols.stomp.errors import RequestRefusedError, processing_error

TOPIC_EXCHANGE = "amq.topic"
TEMP_QUEUE_PREFIX = "/temp-queue/"
REPLY_QUEUE_PREFIX = "/reply-queue/"
_PREFIXES = ("/temp-queue", "/exchange", "/topic", "/queue", "/amq/queue", REPLY_QUEUE_PREFIX)
_REPLY_PREFIXES = tuple(prefix for prefix in _PREFIXES if prefix != "/temp-queue")
_NAME_SIZE_MAX = 255
_UNSAFE = re.compile(rb"[/%\x00-\x1f\x80-\xff]")


class Kind(Enum):
    """The types of destination; the value is RabbitMQ's name for it in an ERROR."""

    QUEUE = "queue"  # Declared on first use.
    AMQ_QUEUE = "amqqueue"  # Must exist.
    TOPIC = "topic"
    EXCHANGE = "exchange"
    TEMP_QUEUE = "temp_queue"  # Only in reply-to.
    REPLY_QUEUE = "reply_queue"  # Only to send to.


@dataclass(frozen=True, slots=True)
class Destination:
    """Where a message goes or comes from; a queue's name is its routing key."""

    kind: Kind
    exchange: str
    routing_key: str


def parse_destination(text: str) -> Destination:
    """Read a `destination` header; raises `RequestRefusedError` in RabbitMQ's words."""
    if text == "":
        raise RequestRefusedError("Invalid destination", "Destination cannot be blank")
    if not text.isascii() or len(text) > _NAME_SIZE_MAX:
        for name in text.replace("%2F", "-").split("/"):
            check_name(name)
    match text.split("/"):
        case [name]:
            return Destination(Kind.QUEUE, "", _unescape(name))
        case ["", "exchange", *rest]:
            return _parse_exchange(rest)
        case ["", ("queue" | "topic" | "temp-queue") as word, *rest]:
            return _parse_simple(Kind(word.replace("-", "_")), rest)
        case ["", "amq", "queue", *rest]:
            return _parse_simple(Kind.AMQ_QUEUE, rest)
        case ["", "reply-queue", ""]:
            raise _invalid(Kind.REPLY_QUEUE, [""])
        case ["", "reply-queue", _, *_]:
            # The rest is taken as it stands: a queue's name may have slashes.
            name = text[len(REPLY_QUEUE_PREFIX) :]
            return Destination(Kind.REPLY_QUEUE, "", name)
        case _:
            valid = ", ".join(_PREFIXES)
            raise RequestRefusedError(
                "Unknown destination",
                f"'{text}' is not a valid destination.\nValid destination types are: {valid}.\n",
            )


def parse_target(headers: Mapping[str, str], command: str = "SEND") -> Destination:
    """The destination of a SEND or SUBSCRIBE; raises `RequestRefusedError` if it has none."""
    text = headers.get("destination")
    if text is None:
        raise RequestRefusedError(
            "Missing destination", f"\"{command}\" must include a 'destination' header\n"
        )
    return parse_destination(text)


def check_name(name: str) -> None:
    """Elsewhere names are UTF-8, and AMQP's are short strings; raises `RequestRefusedError`."""
    try:
        size = len(name.encode())
    except UnicodeEncodeError:
        raise processing_error() from None
    if size > _NAME_SIZE_MAX:
        raise processing_error()


def _parse_exchange(rest: list[str]) -> Destination:
    if not 1 <= len(rest) <= 2 or not rest[0]:
        raise _invalid(Kind.EXCHANGE, rest)
    routing_key = _unescape(rest[1]) if len(rest) == 2 else ""
    return Destination(Kind.EXCHANGE, _unescape(rest[0]), routing_key)


def _parse_simple(kind: Kind, rest: list[str]) -> Destination:
    if len(rest) != 1 or not rest[0]:
        raise _invalid(kind, rest)
    exchange = TOPIC_EXCHANGE if kind is Kind.TOPIC else ""
    return Destination(kind, exchange, _unescape(rest[0]))


def _invalid(kind: Kind, rest: list[str]) -> RequestRefusedError:
    shown = "".join("/" + segment for segment in rest)
    return RequestRefusedError(
        "Invalid destination", f"'{shown}' is not a valid {kind.value} destination\n"
    )


def _unescape(name: str) -> str:
    return name.replace("%2F", "/")


def show_destination(exchange: str, routing_key: str, *, shows_slashes: bool) -> str:
    """As `format_destination`; for ActiveMQ's clients a slash in a name is a slash."""
    text = format_destination(exchange, routing_key)
    return text.replace("%2F", "/") if shows_slashes else text


def format_destination(exchange: str, routing_key: str) -> str:
    """The `destination` header of a message that was sent to `exchange` with `routing_key`."""
    if exchange == "":
        return "/queue/" + _escape(routing_key)
    if exchange == TOPIC_EXCHANGE:
        return "/topic/" + _escape(routing_key)
    if routing_key == "":
        return "/exchange/" + _escape(exchange)
    return f"/exchange/{_escape(exchange)}/{_escape(routing_key)}"


def _escape(name: str) -> str:
    return _UNSAFE.sub(lambda found: b"%%%02X" % ord(found[0]), to_octets(name)).decode("ascii")


def format_reply_to(reply_to: str) -> str:
    """A `reply-to` that can be used as a destination as it stands."""
    if reply_to.startswith(_REPLY_PREFIXES):
        return reply_to
    return REPLY_QUEUE_PREFIX + reply_to
