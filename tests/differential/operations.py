"""What can be done to a broker, as values that hypothesis draws, shrinks and prints.

A name that begins with `~` becomes one of this example's own; `$gen` is the queue that the server
named last, `$reply` the name that a direct reply would go to. To add an operation, add a `Call`
(any method of `wire.METHODS`), or one more class and its case in `encode`; then let `sequences.py`
draw it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from tests.differential import wire
from tests.differential.client import FRAME_MAX
from tests.differential.steps import Burst, Drop, body_of


@dataclass(frozen=True)
class Call:
    """One method with its fields."""

    name: str
    fields: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Publish:
    """`count` messages of one kind; `split` says how their bodies are cut into frames."""

    exchange: str
    routing_key: str
    size: int = 5
    properties: Mapping[str, Any] = field(default_factory=dict)
    mandatory: bool = False
    immediate: bool = False
    count: int = 1
    split: str = "whole"


@dataclass(frozen=True)
class Settle:
    """ack, nack or reject: of the `pick`-th delivery that is outstanding, or of a given tag."""

    method: str
    pick: int = 0
    tag: int | None = None
    multiple: bool = False
    requeue: bool = False


@dataclass(frozen=True)
class Raw:
    """Frames that no client should send, by what is wrong with them: see `WRONG`."""

    wrong: str


@dataclass(frozen=True)
class Manage:
    """A request of an administrator to the HTTP API; then the step's connection may be dropped."""

    method: str
    path: tuple[str, ...]
    body: Mapping[str, Any] | None = None
    undone_by: Mapping[str, Any] | None = None  # What to PUT there in the end; or it is deleted.
    drops: bool = False


Operation: TypeAlias = "Call | Publish | Settle | Raw | Burst[Operation] | Drop | Manage"


@dataclass(frozen=True)
class Step:
    """An operation on a channel of a connection, which are opened if they are not open.

    Who is connected, the number of the connection says: see `definitions.LOGINS`.
    """

    connection: int
    channel: int
    operation: Operation


@dataclass(frozen=True)
class Example:
    """Steps, and which set of policies is there for the names in them: see `definitions`."""

    policies: str
    steps: Sequence[Step]


def encode_publish(publish: Publish, channel: int, number: int) -> bytes:
    """One message, the `number`-th of its example."""
    body = body_of(number, publish.size)
    method = wire.method(
        channel,
        "basic.publish",
        exchange=publish.exchange,
        routing_key=publish.routing_key,
        mandatory=publish.mandatory,
        immediate=publish.immediate,
    )
    properties = wire.encode_properties(publish.properties)
    return (
        method + wire.header(channel, len(body), properties) + _SPLITS[publish.split](channel, body)
    )


def _split_whole(channel: int, body: bytes) -> bytes:
    return wire.bodies(channel, body, FRAME_MAX - 8)


def _split_small(channel: int, body: bytes) -> bytes:
    return wire.bodies(channel, body, max(1, len(body) // 3))


def _split_with_empty(channel: int, body: bytes) -> bytes:
    if not body:
        return b""
    return wire.frame(wire.BODY, channel, b"") + wire.bodies(channel, body, FRAME_MAX - 8)


_SPLITS: dict[str, Callable[[int, bytes], bytes]] = {
    "whole": _split_whole,
    "small": _split_small,
    "with empty": _split_with_empty,
}


def _publish_method(channel: int, **fields: Any) -> bytes:
    return wire.method(channel, "basic.publish", **fields)


# What is wrong -> the frames, for a channel that is open.
WRONG: dict[str, Callable[[int], bytes]] = {
    "second channel.open": lambda c: wire.method(c, "channel.open"),
    "a channel that is not open": lambda c: wire.method(c + 700, "basic.qos"),
    "close-ok out of the blue": lambda c: wire.method(c, "channel.close-ok"),
    "a publish on a channel that is not open": lambda c: (
        _publish_method(c + 700, routing_key="a") + wire.header(c + 700, 0, b"\0\0")
    ),
    "header frame without a method": lambda c: wire.header(c, 1, b"\0\0"),
    "body frame without a method": lambda c: wire.frame(wire.BODY, c, b"abc"),
    "body frame after publish": lambda c: _publish_method(c) + wire.frame(wire.BODY, c, b"abc"),
    "method after publish": lambda c: _publish_method(c) + wire.method(c, "basic.qos"),
    "publish after publish": lambda c: _publish_method(c) + _publish_method(c),
    "ack after publish": lambda c: _publish_method(c) + wire.method(c, "basic.ack", delivery_tag=1),
    "publish after header": lambda c: (
        _publish_method(c) + wire.header(c, 5, b"\0\0") + _publish_method(c)
    ),
    "header after header": lambda c: (
        _publish_method(c) + wire.header(c, 5, b"\0\0") + wire.header(c, 5, b"\0\0")
    ),
    "header of another class": lambda c: _publish_method(c) + wire.header(c, 1, b"\0\0", 50),
    "header frame on channel 0": lambda c: wire.header(0, 1, b"\0\0"),
    "body frame on channel 0": lambda c: wire.frame(wire.BODY, 0, b"abc"),
    "heartbeat on a channel": lambda c: wire.frame(wire.HEARTBEAT, c, b""),
    "unknown frame type": lambda c: wire.frame(7, c, b"abc"),
    "empty method frame": lambda c: wire.frame(wire.METHOD, c, b""),
    "half a method": lambda c: wire.frame(wire.METHOD, c, b"\0\x3c\0"),
    "class 0": lambda c: wire.frame(wire.METHOD, c, b"\0\0\0\x0a"),
    "a header cut short": lambda c: _publish_method(c) + wire.frame(wire.HEADER, c, b"\0\x3c\0\0"),
    "properties cut short": lambda c: _publish_method(c) + wire.header(c, 0, b"\x80\0\x05ab"),
    "properties that go on": lambda c: _publish_method(c) + wire.header(c, 0, b"\0\x01\0\0"),
    "a table cut short": lambda c: (
        _publish_method(c) + wire.header(c, 0, b"\x20\0\0\0\0\x09\x01aS\0\0")
    ),
    "a field of no type": lambda c: (
        _publish_method(c) + wire.header(c, 0, b"\x20\0\0\0\0\x04\x01aZ\0")
    ),
    "a weight": lambda c: (
        _publish_method(c) + wire.frame(wire.HEADER, c, b"\0\x3c\0\x05\0\0\0\0\0\0\0\0\0\0")
    ),
    "an empty body where one is due": lambda c: (
        _publish_method(c)
        + wire.header(c, 3, b"\0\0")
        + wire.frame(wire.BODY, c, b"")
        + wire.frame(wire.BODY, c, b"abc")
    ),
    "a header after a method without content": lambda c: (
        wire.method(c, "basic.qos") + wire.header(c, 0, b"\0\0")
    ),
    "wrong end octet": lambda c: wire.method(c, "basic.qos")[:-1] + b"\xcd",
    "too large a frame": lambda c: wire.frame(wire.BODY, c, bytes(FRAME_MAX + 1)),
    "arguments cut short": lambda c: wire.frame(wire.METHOD, c, b"\0\x3c\0\x0a\0\0"),
    "unknown method": lambda c: wire.frame(wire.METHOD, c, b"\0\x3c\0\xf0"),
    "unknown class": lambda c: wire.frame(wire.METHOD, c, b"\0\xf0\0\x0a"),
    "a method of the server's": lambda c: wire.method(c, "queue.declare-ok", queue="a"),
    "basic.deliver from a client": lambda c: wire.method(c, "basic.deliver", consumer_tag="a"),
    "channel method on channel 0": lambda c: wire.method(0, "basic.qos"),
    "connection method on a channel": lambda c: wire.method(c, "connection.open", virtual_host="/"),
    "second connection.open": lambda c: wire.method(0, "connection.open", virtual_host="/"),
    "second tune-ok": lambda c: wire.method(
        0, "connection.tune-ok", channel_max=10, frame_max=FRAME_MAX
    ),
    "update-secret": lambda c: wire.method(
        0, "connection.update-secret", secret=b"guest", reason="r"
    ),
}
