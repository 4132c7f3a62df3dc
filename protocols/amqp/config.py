"""The settings of the AMQP front end."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from msgspec import Meta

_SHORT_MAX = 0xFFFF  # What connection.tune can say of channels and seconds.
FRAME_MAX_MIN = 4096  # Smaller than RabbitMQ 4.1's: old clients propose it.


@dataclass(frozen=True, slots=True)
class AmqpConfig:
    """The section `amqp`; the defaults are RabbitMQ's."""

    port: int = 5672
    # The port for TLS, if `[tls]` has a certificate and `tls` is true here.
    tls_port: int = 5671
    tls: bool = True
    # Channels per connection.
    channel_max: Annotated[int, Meta(ge=1, le=_SHORT_MAX)] = 2047
    # The largest frame that is accepted and sent, in bytes.
    frame_max: Annotated[int, Meta(ge=FRAME_MAX_MIN, le=(1 << 31) - 1)] = 131072
    # Proposed heartbeat, in seconds; 0 is none.
    heartbeat_s: Annotated[int, Meta(ge=0, le=_SHORT_MAX)] = 60
    # How long a connection may take until it is open.
    handshake_timeout_s: Annotated[float, Meta(gt=0)] = 10.0
    # The largest body, in bytes.
    message_size_max: Annotated[int, Meta(ge=0)] = 16 << 20
    # What all open transactions of a connection may hold, in bytes of memory.
    transactions_size_max: Annotated[int, Meta(ge=0)] = 64 << 20
    # How long a consumer may keep a delivery before its channel is closed, which is noticed up to
    # two minutes later; 0 is for ever.
    consumer_timeout_ms: Annotated[int, Meta(ge=0)] = 0
