"""AMQP frames made by hand, as a client sends them; all methods but the first are on channel 1."""

from __future__ import annotations

from struct import Struct

_FRAME_HEAD = Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3

PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"

START, TUNE, OPEN_OK, CLOSE_OK = (10, 10), (10, 30), (10, 41), (10, 51)
CHANNEL_OPEN_OK = (20, 11)
DECLARE_OK, BIND_OK, DELETE_OK, UNBIND_OK = (50, 11), (50, 21), (50, 41), (50, 51)
CONSUME_OK = (60, 21)

PASSIVE, DURABLE, EXCLUSIVE = 1, 2, 4


def frame(type: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return _FRAME_HEAD.pack(type, channel, len(payload)) + payload + b"\xce"


def method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    """A method frame."""
    ids = class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big")
    return frame(_METHOD, channel, ids + arguments)


def short(text: str) -> bytes:
    """A short string."""
    return bytes((len(text),)) + text.encode()


def open_channel(number: int = 1) -> bytes:
    """channel.open."""
    return method(number, 20, 10, b"\0")


def declare(name: str, bits: int = 0) -> bytes:
    """queue.declare; see `PASSIVE` and its neighbours for the bits."""
    return method(1, 50, 10, b"\0\0" + short(name) + bytes((bits,)) + bytes(4))


def bind(queue: str, exchange: str, key: str) -> bytes:
    """queue.bind."""
    names = short(queue) + short(exchange) + short(key)
    return method(1, 50, 20, b"\0\0" + names + b"\0" + bytes(4))


def unbind(queue: str, exchange: str, key: str) -> bytes:
    """queue.unbind."""
    return method(1, 50, 50, b"\0\0" + short(queue) + short(exchange) + short(key) + bytes(4))


def delete(name: str) -> bytes:
    """queue.delete."""
    return method(1, 50, 40, b"\0\0" + short(name) + b"\0")


def consume(queue: str, tag: str = "", channel: int = 1) -> bytes:
    """basic.consume without acknowledgements."""
    return method(channel, 60, 20, b"\0\0" + short(queue) + short(tag) + b"\x02" + bytes(4))


def publish(exchange: str, key: str, body: bytes) -> bytes:
    """One transient message."""
    header = b"\x00\x3c\0\0" + len(body).to_bytes(8, "big") + b"\0\0"
    begin = method(1, 60, 40, b"\0\0" + short(exchange) + short(key) + b"\0")
    return begin + frame(_HEADER, 1, header) + frame(_BODY, 1, body)


START_OK = method(
    0, 10, 11, bytes(4) + short("PLAIN") + b"\0\0\0\x0c\0guest\0guest" + short("en_US")
)
TUNE_OK = method(0, 10, 31, b"\x07\xff\0\x02\0\0\0\0")  # 2,047 channels, 128 KiB, no heartbeats.
OPEN = method(0, 10, 40, short("/") + b"\0\0")
CLOSE = method(0, 10, 50, b"\0\xc8" + short("done") + bytes(4))
