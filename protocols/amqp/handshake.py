"""How a connection begins: start, SASL, tune, open (AMQP 0-9-1, 2.2.4)."""

from __future__ import annotations

from functools import cache
from struct import Struct
from typing import TYPE_CHECKING, Any

from pamqp import commands

from gateway.gateway import RABBITMQ_VERSION
from protocols.amqp.codec import encode_command, encode_method
from protocols.amqp.config import FRAME_MAX_MIN
from protocols.amqp.fields import decode_table
from protocols.amqp.replies import AmqpError
from protocols.amqp.states import ConnectionState

if TYPE_CHECKING:
    from protocols.amqp.connection import AmqpConnection

FRAME_MIN_SIZE = 8192  # The limit before tuning.

_TUNE = Struct(">HIH")  # Channels, octets of a frame, seconds between heartbeats.
_MECHANISMS = "PLAIN AMQPLAIN"
_CAPABILITIES = (
    "publisher_confirms",
    "exchange_exchange_bindings",
    "basic.nack",
    "consumer_cancel_notify",
    "connection.blocked",
    "consumer_priorities",
    "authentication_failure_close",
    "per_consumer_qos",
    "direct_reply_to",
)


@cache
def start(product_version: str, has_certificate: bool) -> bytes:
    """The connection.start frame; EXTERNAL is for whom a certificate speaks."""
    properties: dict[str, Any] = {
        "capabilities": dict.fromkeys(_CAPABILITIES, True),
        "cluster_name": "rosettamq",
        "information": f"RosettaMQ {product_version}",
        "platform": "Python",
        "product": "RabbitMQ",
        "version": RABBITMQ_VERSION,
    }
    return encode_command(
        0,
        commands.Connection.Start(
            version_major=0,
            version_minor=9,
            server_properties=properties,
            mechanisms=_MECHANISMS + (" EXTERNAL" if has_certificate else ""),
            locales="en_US",
        ),
    )


def handle(connection: AmqpConnection, command: Any) -> None:
    """One method on channel 0. Raises `AmqpError` or `GatewayError`."""
    state = connection.state
    if state is ConnectionState.SECURING and isinstance(command, commands.Connection.StartOk):
        _log_in(connection, command)
        connection.state = ConnectionState.TUNING
    elif state is ConnectionState.TUNING and isinstance(command, commands.Connection.TuneOk):
        _tune(connection, command)
    elif state is ConnectionState.OPENING and isinstance(command, commands.Connection.Open):
        virtual_host = connection.gateway.open_virtual_host(
            connection.client.user, command.virtual_host
        )
        connection.output.append(encode_method(0, 10, 41, b"\x00"))
        connection.opened(virtual_host)
    elif state is ConnectionState.OPEN and isinstance(command, commands.Connection.UpdateSecret):
        connection.output.append(encode_method(0, 10, 71))
    else:
        name = state.name.lower() if state is not ConnectionState.OPEN else "running"
        ids = command.index >> 16, command.index & 0xFFFF
        raise AmqpError("CHANNEL_ERROR", f"unexpected method in connection state {name}", ids)


def _log_in(connection: AmqpConnection, command: Any) -> None:
    client = connection.client
    client.properties = command.client_properties or {}
    client.mechanism = command.mechanism
    client.user = _find_user(connection, command)
    config = connection.config
    arguments = _TUNE.pack(config.channel_max, config.frame_max, config.heartbeat_s)
    connection.output.append(encode_method(0, 10, 30, arguments))


def _find_user(connection: AmqpConnection, command: Any) -> str:
    gateway, peer = connection.gateway, connection.client.peer
    if command.mechanism == "EXTERNAL" and peer.certificate_user is not None:
        return gateway.login_external(peer.certificate_user, peer.host)
    user, password = _credentials(command.mechanism, command.response)
    return gateway.login(user, password, peer.host)


def _credentials(mechanism: str, response: bytes) -> tuple[str, str]:
    """Name and password. RabbitMQ says nothing to one who gives neither, and so do we."""
    if mechanism == "PLAIN":
        parts = response.split(b"\0")
        if len(parts) == 3 and not parts[0]:
            return parts[1].decode("utf-8", "replace"), parts[2].decode("utf-8", "replace")
    elif mechanism == "AMQPLAIN":
        table, _ = decode_table(len(response).to_bytes(4, "big") + response)
        if "LOGIN" in table and "PASSWORD" in table:
            return str(table["LOGIN"]), str(table["PASSWORD"])
    else:
        raise AmqpError("COMMAND_INVALID", f"unknown authentication mechanism '{mechanism}'")
    raise AmqpError("SYNTAX_ERROR", "the response is malformed")


def _tune(connection: AmqpConnection, command: Any) -> None:
    config = connection.config
    frame_max, channel_max = command.frame_max, command.channel_max
    if frame_max and frame_max < FRAME_MAX_MIN:
        _refuse(f"frame_max = {frame_max} is lower than the minimum", FRAME_MAX_MIN)
    if not frame_max or frame_max > config.frame_max:
        _refuse(f"frame_max = {frame_max} is higher than the maximum", config.frame_max)
    if not channel_max or channel_max > config.channel_max:
        shown = f"{channel_max} (no limit)" if not channel_max else str(channel_max)
        _refuse(f"channel_max = {shown} is higher than the maximum", config.channel_max)
    connection.tuned(channel_max, frame_max, command.heartbeat)


def _refuse(explanation: str, limit: int) -> None:
    raise AmqpError("NOT_ALLOWED", f"negotiated {explanation} allowed value ({limit})", (10, 31))
