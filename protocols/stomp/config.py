"""The `stomp` section of the configuration: every limit, with its default."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import msgspec

_AT_LEAST_0 = msgspec.Meta(ge=0)
_AT_LEAST_1 = msgspec.Meta(ge=1)


@dataclass(frozen=True, slots=True)
class StompConfig:
    """How STOMP is served; the defaults are those of RabbitMQ's plugin where it has any."""

    port: int = 61613
    # The port for TLS, if `[tls]` has a certificate and `tls` is true here.
    tls_port: int = 61614
    tls: bool = True
    # Who connects without a login or passcode header.
    default_user: str = "guest"
    default_password: str = "guest"
    # What CONNECTED calls us, before the version.
    server_name: str = "RosettaMQ"
    # A peer that has not logged in after so long is dropped.
    login_timeout_s: float = 10.0
    # Command, headers and body together; a larger frame ends the connection.
    max_frame_size: Annotated[int, _AT_LEAST_1] = 4 * 1024 * 1024
    max_frame_size_before_login: Annotated[int, _AT_LEAST_1] = 64 * 1024
    max_header_count: Annotated[int, _AT_LEAST_1] = 1_000
    # What a NACK without a `requeue` header means.
    default_nack_requeue: bool = True
    # How many messages a subscription without `prefetch-count` may hold unacknowledged; 0: any.
    default_prefetch_count: Annotated[int, _AT_LEAST_0] = 0
    # Open transactions of one connection, and the octets that each may hold.
    max_transaction_count: Annotated[int, _AT_LEAST_0] = 16
    max_transaction_size: Annotated[int, _AT_LEAST_0] = 64 * 1024 * 1024
    # Octets of messages that are queued for one peer at a time.
    max_output_size: Annotated[int, _AT_LEAST_1] = 256 * 1024
