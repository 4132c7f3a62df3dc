"""What RabbitMQ's API has no word for: to browse, pause and rewind queues, to put letters back."""

from __future__ import annotations

from datetime import datetime
from itertools import islice
from typing import Any

import msgspec

from core.browsing import Browsed, browse
from core.rewind import SinceOffset, SinceTime, Target
from gateway.queues.put_back import Choice, Destination, Outcome
from gateway.queues.queue import Queue
from protocols.http import topology
from protocols.http.call import NO_CONTENT, Answer, Call, Pending, bad_request, short_text
from protocols.http.messages import show_payload, show_properties

_COUNT = 10
_COUNT_MAX = 10_000
_SIZE_MAX = 16 << 20  # Of all bodies in one answer.
_OFFSET_MAX = (1 << 63) - 1


class RewindBody(msgspec.Struct):
    """POST of a rewind: to a time, with its zone, or to an offset."""

    time: str | None = None
    offset: int | None = None


class DestinationBody(msgspec.Struct):
    """Where to publish; without a routing key, each message keeps its own."""

    exchange: str
    routing_key: str | None = None


class PutBackBody(msgspec.Struct):
    """POST of the wish to put dead letters back: which, how many, and where."""

    reason: str | None = None
    queue: str | None = None
    headers: dict[str, str] = {}
    count: int | None = None
    to: DestinationBody | None = None


def browse_queue(call: Call) -> Any:
    """Messages of a queue from an offset on, as they are; nothing changes by it."""
    topology.find_queue(call)
    queue = call.entered.read_queue(call.names["queue"])
    offset = _number(call, "from", 0, _OFFSET_MAX)
    count = _number(call, "count", _COUNT, _COUNT_MAX)
    truncate = _number(call, "truncate", _SIZE_MAX, _SIZE_MAX)
    encoding = call.query.get("encoding", "auto")
    if encoding not in ("auto", "base64"):
        raise bad_request(f"encoding is auto or base64, not '{encoding}'")
    shown, size = [], 0
    for found in islice(browse(queue.light, offset), count):
        shown.append(_show(queue, found, encoding, truncate))
        size += min(len(found.message[2]), truncate)
        if size >= _SIZE_MAX:
            break
    return shown


def _number(call: Call, name: str, default: int, maximum: int) -> int:
    text = call.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20 and int(text) <= maximum):
        raise bad_request(f"{name} is a number from 0 to {maximum}, not '{text}'")
    return int(text)


def _show(queue: Queue, found: Browsed, encoding: str, truncate: int) -> dict[str, Any]:
    envelope, _, payload = found.message
    text, shown_encoding = show_payload(payload[:truncate], encoding)
    stamp = {} if queue.stamp is None else queue.stamp(found.offset)
    return {
        "offset": found.offset,
        "state": "in flight" if found.in_flight else "ready",
        "stored_at": found.stored_ms,
        "exchange": envelope.exchange,
        "routing_key": envelope.routing_key,
        "properties": show_properties(found.message, stamp),
        "payload_bytes": len(payload),
        "payload": text,
        "payload_encoding": shown_encoding,
    }


def pause_queue(call: Call) -> Any:
    """Deliver nothing until it is resumed; publishing goes on."""
    topology.find_queue(call)
    call.entered.pause_queue(call.names["queue"], True)
    return NO_CONTENT


def resume_queue(call: Call) -> Any:
    """Deliver again."""
    topology.find_queue(call)
    call.entered.pause_queue(call.names["queue"], False)
    return NO_CONTENT


def rewind_queue(call: Call) -> Any:
    """Have what was stored since then ready again; answered when that is durable."""
    topology.find_queue(call)
    target = _target(call.body(RewindBody))
    pending = Pending()

    def done(result: int | BaseException) -> None:
        if isinstance(result, BaseException):
            pending.fail(result)
        else:
            pending.finish(Answer(200, {"more_ready": result}))

    call.entered.rewind_queue(call.names["queue"], target, done)
    return pending


def _target(body: RewindBody) -> Target:
    if (body.time is None) is (body.offset is None):
        raise bad_request("a rewind is to a time or to an offset")
    if body.offset is not None:
        if body.offset < 0:
            raise bad_request("no offset is below 0")
        return SinceOffset(body.offset)
    try:
        time = datetime.fromisoformat(body.time or "")
    except ValueError:
        raise bad_request(f"'{body.time}' is no time such as 2026-01-31T10:15:00Z") from None
    if time.tzinfo is None:
        raise bad_request(f"'{body.time}' does not say its time zone")
    return SinceTime(int(time.timestamp() * 1000))


def put_back(call: Call) -> Any:
    """Publish dead letters again and settle them here; answered when all are stored."""
    topology.find_queue(call)
    body = call.body(PutBackBody)
    if body.count is not None and body.count < 0:
        raise bad_request("count is not below 0")
    destination = None
    if body.to is not None:
        exchange = "" if body.to.exchange == topology.DEFAULT_EXCHANGE else body.to.exchange
        short_text(exchange, "the exchange")
        short_text(body.to.routing_key or "", "the routing key")
        destination = Destination(exchange, body.to.routing_key)
    choice = Choice(body.reason, body.queue, body.headers, body.count)
    pending = Pending()

    def done(result: Outcome | Exception) -> None:
        if isinstance(result, Exception):
            pending.fail(result)
        else:
            pending.finish(Answer(200, {"put_back": result.put_back, "left": result.left}))

    call.entered.put_back(call.names["queue"], choice, destination, done)
    return pending
