"""AMQP 0-9-1 on a plain socket, fast enough to keep the broker busy when it is killed.

pamqp writes and reads whatever is said once per connection; what is said once per message (publish,
deliver, ack) is cut out of the bytes directly.
"""

from __future__ import annotations

import socket
from collections.abc import Iterable, Iterator, Sequence
from struct import Struct
from types import TracebackType
from typing import NamedTuple, Self, TypeVar

from pamqp import base, commands, frame, header

_FRAME = Struct(">BHI")  # Type, channel, size of the payload; then the payload and 0xCE.
_METHOD = Struct(">HH")  # Class and method id.
_ACK = Struct(">QB")  # Delivery tag, multiple.
_FRAME_METHOD = 1
_FRAME_BODY = 3
_BASIC_DELIVER = (60, 60)
_BASIC_ACK = (60, 80)
_CONNECTION_CLOSE = (10, 50)
_ANSWERS = ((60, 11), (60, 21))  # basic.qos-ok, basic.consume-ok.
_CHANNEL = 1
_READ_SIZE = 1 << 18
_TIMEOUT_S = 60.0

BODY_SIZE = 108
_NUMBER_SIZE = 8  # A body begins with its number, as decimal digits.

Reply = TypeVar("Reply", bound=base.Frame)


class ConnectionGoneError(Exception):
    """The broker is no longer there."""


class Delivered(NamedTuple):
    """One message as it came: its delivery tag, its number and its mark."""

    tag: int
    number: int
    redelivered: bool


class Confirmed(NamedTuple):
    """One basic.ack of the broker."""

    tag: int
    multiple: bool


class WireConnection:
    """One connection with one open channel; used by one thread."""

    def __init__(self, address: tuple[str, int]) -> None:
        self._socket = socket.create_connection(address, _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._buffer = b""
        self._dismissed = False  # The broker has said goodbye.
        self._socket.sendall(b"AMQP\x00\x00\x09\x01")
        self._wait_for(commands.Connection.Start)
        login = "\0guest\0guest"
        self._send(0, commands.Connection.StartOk(client_properties={}, response=login))
        tune = self._wait_for(commands.Connection.Tune)
        self._send(0, commands.Connection.TuneOk(tune.channel_max, tune.frame_max, 0))
        self._send(0, commands.Connection.Open())
        self._wait_for(commands.Connection.OpenOk)
        self.call(commands.Channel.Open(), commands.Channel.OpenOk)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._socket.close()

    def call(self, method: base.Frame, reply: type[Reply]) -> Reply:
        """Send a method on the channel and wait for its answer."""
        self._send(_CHANNEL, method)
        return self._wait_for(reply)

    def send_bytes(self, data: bytes) -> None:
        """Send frames that are bytes already; raises `ConnectionGoneError`."""
        try:
            self._socket.sendall(data)
        except OSError as error:
            raise ConnectionGoneError(str(error)) from error

    def read_confirms(self) -> list[Confirmed]:
        """Wait for at least one read's worth; raises `ConnectionGoneError`."""
        return [
            Confirmed(tag, bool(multiple))
            for kind, payload in self._read_frames()
            if kind == _FRAME_METHOD and _METHOD.unpack_from(payload) == _BASIC_ACK
            for tag, multiple in [_ACK.unpack_from(payload, _METHOD.size)]
        ]

    def read_deliveries(self) -> tuple[list[Delivered], int]:
        """Wait for at least one read's worth; also counts the answers in between.

        A message that is not whole yet is kept for the next call. Raises `ConnectionGoneError`.
        """
        deliveries: list[Delivered] = []
        answers = 0
        for kind, payload in self._read_frames():
            if kind == _FRAME_METHOD:
                if _METHOD.unpack_from(payload) == _BASIC_DELIVER:
                    self._pending = _parse_deliver(payload)
                else:
                    answers += _METHOD.unpack_from(payload) in _ANSWERS
            elif kind == _FRAME_BODY:
                assert len(payload) == BODY_SIZE
                tag, redelivered = self._pending
                deliveries.append(Delivered(tag, int(payload[:_NUMBER_SIZE]), redelivered))
        return deliveries, answers

    def _send(self, channel: int, method: base.Frame) -> None:
        self.send_bytes(frame.marshal(method, channel))

    def _wait_for(self, reply: type[Reply]) -> Reply:
        """Read until `reply` comes; anything behind it stays in the buffer."""
        while True:
            size, _, method = frame.unmarshal(self._buffer) if self._has_frame() else (0, 0, None)
            self._buffer = self._buffer[size:]
            if isinstance(method, reply):
                return method
            assert not isinstance(method, (commands.Channel.Close, commands.Connection.Close)), (
                method.reply_text
            )
            if method is None:
                self._receive()

    def _has_frame(self) -> bool:
        if len(self._buffer) < _FRAME.size:
            return False
        size: int = _FRAME.unpack_from(self._buffer)[2]
        return len(self._buffer) >= _FRAME.size + size + 1

    def _receive(self) -> None:
        if self._dismissed:
            raise ConnectionGoneError("the broker said goodbye")
        try:
            data = self._socket.recv(_READ_SIZE)
        except ConnectionError as error:
            raise ConnectionGoneError(str(error)) from error
        if not data:
            raise ConnectionGoneError("closed by the broker")
        self._buffer += data

    def _read_frames(self) -> Iterator[tuple[int, bytes]]:
        if not self._has_frame():
            self._receive()
        data, position = self._buffer, 0
        while len(data) - position > _FRAME.size:
            kind, _, size = _FRAME.unpack_from(data, position)
            start = position + _FRAME.size
            if len(data) <= start + size:
                break
            if kind == _FRAME_METHOD and _METHOD.unpack_from(data, start) == _CONNECTION_CLOSE:
                self._dismissed = True
            yield kind, data[start : start + size]
            position = start + size + 1
        self._buffer = data[position:]


def _parse_deliver(payload: bytes) -> tuple[int, bool]:
    after_consumer_tag = _METHOD.size + 1 + payload[_METHOD.size]
    tag, redelivered = _ACK.unpack_from(payload, after_consumer_tag)
    return tag, bool(redelivered)


def encode_publishes(exchange: str, routing_keys: Sequence[str], numbers: Iterable[int]) -> bytes:
    """Encode a persistent message for each number: its digits, then padding.

    The routing keys take turns.
    """
    publishes = [
        frame.marshal(commands.Basic.Publish(exchange=exchange, routing_key=key), _CHANNEL)
        for key in routing_keys
    ]
    properties = commands.Basic.Properties(delivery_mode=2)
    content = frame.marshal(header.ContentHeader(0, BODY_SIZE, properties), _CHANNEL)
    before = content + _FRAME.pack(_FRAME_BODY, _CHANNEL, BODY_SIZE)
    after = b"." * (BODY_SIZE - _NUMBER_SIZE) + b"\xce"
    return b"".join(
        b"%b%b%08d%b" % (publishes[number % len(publishes)], before, number, after)
        for number in numbers
    )


def encode_acks(tags: Iterable[int]) -> bytes:
    """Encode one basic.ack for each delivery tag."""
    head = _FRAME.pack(_FRAME_METHOD, _CHANNEL, _METHOD.size + _ACK.size) + _METHOD.pack(
        *_BASIC_ACK
    )
    return b"".join(b"%b%b\xce" % (head, _ACK.pack(tag, 0)) for tag in tags)


def encode_method(method: base.Frame) -> bytes:
    """Encode a method for the channel, to be sent together with other bytes."""
    return frame.marshal(method, _CHANNEL)
