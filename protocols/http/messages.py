"""Publishing and getting messages, over HTTP: for looking and trying, not for work."""

from __future__ import annotations

import binascii
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from gateway.messages import Envelope, Properties, Value
from protocols.http import topology
from protocols.http.call import Call, bad_request, short_text
from protocols.http.language import HTTP, encode_stored

if TYPE_CHECKING:
    from gateway.messages import Message
    from gateway.queues.consumer import Delivery
    from gateway.queues.queue import Queue

_COUNT_MAX = 10_000


class PropertiesBody(msgspec.Struct):
    """The properties of a message, as AMQP calls them."""

    content_type: str | None = None
    content_encoding: str | None = None
    headers: dict[str, Any] = {}
    delivery_mode: int | None = None
    priority: int | None = None
    correlation_id: str | None = None
    reply_to: str | None = None
    expiration: str | None = None
    message_id: str | None = None
    timestamp: int | None = None
    type: str | None = None
    user_id: str | None = None
    app_id: str | None = None


class PublishBody(msgspec.Struct):
    """POST of a message."""

    routing_key: str
    payload: str
    payload_encoding: Literal["string", "base64"] = "string"
    properties: PropertiesBody | list[Any] = []


class GetBody(msgspec.Struct):
    """POST of the wish for messages."""

    count: int
    ackmode: Literal[
        "ack_requeue_true", "ack_requeue_false", "reject_requeue_true", "reject_requeue_false"
    ]
    encoding: Literal["auto", "base64"]
    truncate: int | None = None


def publish(call: Call) -> Any:
    """Publish one message; says whether it went to a queue, when it is stored."""
    body = call.body(PublishBody)
    try:
        header = HTTP.make_header(_parse_properties(call, body.properties))
    except ValueError as error:
        raise bad_request(str(error)) from None
    short_text(body.routing_key, "the routing key")
    envelope = Envelope(topology.exchange_name(call), body.routing_key)
    route = call.entered.route(envelope.exchange, envelope.routing_key, header)
    message = (envelope, header, _parse_payload(body))
    call.entered.intake.publish([(route, message, encode_stored(message))])
    return {"routed": bool(route.queues) and not route.is_unroutable}


def _parse_properties(call: Call, body: PropertiesBody | list[Any]) -> Properties:
    if isinstance(body, list):  # What some languages make of an empty object.
        if body:
            raise bad_request("properties: expected an object")
        return Properties()
    users = call.gateway.users
    if body.user_id is not None and not users.may_publish_as(call.user.name, body.user_id):
        raise bad_request(
            f"user_id property set to '{body.user_id}'"
            f" but authenticated user was '{call.user.name}'"
        )
    given = msgspec.structs.asdict(body)
    mode = given.pop("delivery_mode")
    if mode not in (None, 1, 2):
        raise bad_request(f"delivery_mode is 1 or 2, not {mode}")
    return Properties(persistent=None if mode is None else mode == 2, **given)


def _parse_payload(body: PublishBody) -> bytes:
    if body.payload_encoding == "string":
        return body.payload.encode()
    try:
        return b64decode(body.payload, validate=True)
    except (binascii.Error, ValueError):
        raise bad_request("payload is not base64") from None


def get(call: Call) -> Any:
    """Take messages, show them, and put them back or not: all are taken before any goes back."""
    body = call.body(GetBody)
    if not 0 <= body.count <= _COUNT_MAX:
        raise bad_request(f"count is 0 to {_COUNT_MAX}, not {body.count}")
    topology.find_queue(call)
    queue = call.entered.read_queue(call.names["queue"])
    deliveries = queue.take(body.count)
    left_count = queue.ready_count + len(deliveries)
    shown = [
        _show(queue, delivery, left_count - number, body)
        for number, delivery in enumerate(deliveries, 1)
    ]
    offsets = [delivery.offset for delivery in deliveries]
    if body.ackmode == "ack_requeue_false":
        for offset in offsets:
            queue.settle(offset, offset + 1)
    elif body.ackmode == "reject_requeue_false":
        queue.reject(offsets)
    else:
        queue.release(offsets)
        queue.wake()
    return shown


def _show(queue: Queue, delivery: Delivery, left_count: int, body: GetBody) -> dict[str, Any]:
    envelope, _, payload = delivery.message
    stamp = {} if queue.stamp is None else queue.stamp(delivery.offset)
    text, encoding = show_payload(payload[: body.truncate], body.encoding)
    return {
        "payload_bytes": len(payload),
        "redelivered": delivery.redelivered,
        "exchange": envelope.exchange,
        "routing_key": envelope.routing_key,
        "message_count": left_count,
        "properties": show_properties(delivery.message, stamp),
        "payload": text,
        "payload_encoding": encoding,
    }


def show_payload(payload: bytes, encoding: str) -> tuple[str, str]:
    """A body as text, and how that is encoded."""
    if encoding == "auto":
        try:
            return payload.decode(), "string"
        except UnicodeDecodeError:
            pass
    return b64encode(payload).decode(), "base64"


def show_properties(message: Message, stamp: Mapping[str, Value]) -> dict[str, Any]:
    """The properties of a message, as AMQP calls them, with what its queue adds to the headers."""
    properties = message[1].properties
    properties = replace(properties, headers={**properties.headers, **stamp})
    shown = {
        name: value
        for name in PropertiesBody.__struct_fields__
        if name != "delivery_mode" and (value := getattr(properties, name)) not in (None, {})
    }
    if properties.persistent is not None:
        shown["delivery_mode"] = 1 + properties.persistent
    return shown
