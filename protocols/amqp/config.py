"""The settings of the AMQP front end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AmqpConfig:
    """The section `amqp`; the defaults are RabbitMQ's."""

    port: int = 5672
    # The port for TLS, if `[tls]` has a certificate and `tls` is true here.
    tls_port: int = 5671
    tls: bool = True
    # Channels per connection.
    channel_max: int = 2047
    # The largest frame that is accepted and sent, in bytes.
    frame_max: int = 131072
    # Proposed heartbeat, in seconds; 0 is none.
    heartbeat_s: int = 60
    # How long a connection may take until it is open.
    handshake_timeout_s: float = 10.0
    # The largest body, in bytes.
    message_size_max: int = 16 << 20
    # What all open transactions of a connection may hold, in bytes of memory.
    transactions_size_max: int = 64 << 20
    # How long a consumer may keep a delivery before its channel is closed, which is noticed up to
    # two minutes later; 0 is for ever.
    consumer_timeout_ms: int = 0
