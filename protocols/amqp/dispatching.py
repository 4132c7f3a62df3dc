"""Where a whole frame goes: to the handshake, to its channel, or to the method that it names.

Every state of the connection meets every kind of frame here; only the hot paths have taken theirs
before.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from protocols.amqp import handshake, methods
from protocols.amqp.codec import (
    ACCESS_REQUEST,
    HEARTBEAT,
    METHOD,
    METHOD_ID,
    PUBLISH,
    decode_method,
    decode_publish,
    encode_method,
)
from protocols.amqp.replies import AmqpError, unexpected_frame
from protocols.amqp.states import ChannelState, ConnectionState

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel
    from protocols.amqp.connection import AmqpConnection
    from protocols.amqp.framing import Frame

_CLOSE = METHOD_ID.pack(10, 50)
_CLOSE_OK = METHOD_ID.pack(10, 51)
_CHANNEL_OPEN = METHOD_ID.pack(20, 10)
_CHANNEL_CLOSE = METHOD_ID.pack(20, 40)
_CHANNEL_CLOSE_OK = METHOD_ID.pack(20, 41)
_PUBLISH_IDS = (60, 40)


def dispatch(connection: AmqpConnection, frame: Frame) -> None:
    """Do what a frame asks for. Raises whatever is wrong with it."""
    type, number, payload, _ = frame
    if type == HEARTBEAT:
        if number:
            raise unexpected_frame(type, payload)
        return
    if number == 0 or connection.state is not ConnectionState.OPEN:
        _handle_connection_frame(connection, frame)
        return
    channel = connection.channels.get(number)
    id = payload[:4] if type == METHOD else b""
    if channel is None:
        connection.check_channel_count()  # Before anybody looks what the frame is, as in RabbitMQ.
        if id != _CHANNEL_OPEN:
            raise AmqpError("CHANNEL_ERROR", "expected 'channel.open'", _ids(id))
        connection.open_channel(number)
    elif channel.state is ChannelState.CLOSING:
        _handle_closing_channel(connection, channel, id)
    elif type != METHOD or channel.content is not None:
        channel.receive_content(type, payload)
    else:
        _handle_method(connection, channel, id, frame.octets)


def method_ids(frame: Frame) -> tuple[int, int]:
    """The method that a frame is, or belongs to, as an answer to its failure names it."""
    return _ids(frame.payload[:4]) if frame.type == METHOD else _PUBLISH_IDS


def _handle_connection_frame(connection: AmqpConnection, frame: Frame) -> None:
    is_method = frame.type == METHOD and not frame.channel
    id = frame.payload[:4] if is_method else b""
    if connection.state is ConnectionState.CLOSING:
        if id == _CLOSE:
            connection.output.append(encode_method(0, 10, 51))
        if id in (_CLOSE, _CLOSE_OK):
            connection.leave()
    elif not is_method:
        raise unexpected_frame(frame.type, frame.payload)
    elif id == _CLOSE and connection.state is ConnectionState.OPEN:
        connection.release()
        connection.output.append(encode_method(0, 10, 51))
        connection.leave()
    else:
        handshake.handle(connection, decode_method(frame.octets))


def _handle_closing_channel(connection: AmqpConnection, channel: Channel, id: bytes) -> None:
    if id == _CHANNEL_CLOSE_OK:
        del connection.channels[channel.number]
    elif id == _CHANNEL_CLOSE:  # The closes crossed: the answer to ours is still to come.
        connection.output.append(encode_method(channel.number, 20, 41))
    elif id == _CHANNEL_OPEN:
        raise AmqpError("CHANNEL_ERROR", "second 'channel.open' seen", (20, 10))


def _handle_method(connection: AmqpConnection, channel: Channel, id: bytes, octets: bytes) -> None:
    if id == PUBLISH and not channel.committing:
        channel.begin_content(decode_publish(octets[11:-1]))
    elif id == _CHANNEL_OPEN:
        raise AmqpError("CHANNEL_ERROR", "second 'channel.open' seen", (20, 10))
    elif id == _CHANNEL_CLOSE:
        connection.close_channel(channel)
        connection.output.append(encode_method(channel.number, 20, 41))
    elif channel.committing:
        text = "unexpected command while processing 'tx.commit'"
        raise AmqpError("CHANNEL_ERROR", text, _ids(id))
    elif id == ACCESS_REQUEST:
        # Of AMQP 0-8; some clients still ask, and get the same ticket as all.
        connection.output.append(encode_method(channel.number, 30, 11, b"\x00\x01"))
    else:
        methods.handle(connection, channel, decode_method(octets))


def _ids(id: bytes) -> tuple[int, int]:
    class_id, method_id = METHOD_ID.unpack(id) if len(id) == 4 else (0, 0)
    return class_id, method_id
