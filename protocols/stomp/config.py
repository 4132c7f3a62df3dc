"""The `stomp` section of the configuration: every limit, with its default."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StompConfig:
    """How STOMP is served; the defaults are those of RabbitMQ's plugin where it has any."""

    port: int = 61613
    # Who connects without a login or passcode header.
    default_user: str = "guest"
    default_password: str = "guest"
    # What CONNECTED calls us, before the version.
    server_name: str = "RosettaMQ"
    # A peer that has not logged in after so long is dropped.
    login_timeout_s: float = 10.0
    # Command, headers and body together; a larger frame ends the connection.
    max_frame_size: int = 4 * 1024 * 1024
    max_frame_size_before_login: int = 64 * 1024
    max_header_count: int = 1_000
    # What a NACK without a `requeue` header means.
    default_nack_requeue: bool = True
    # How many messages a subscription without `prefetch-count` may hold unacknowledged; 0: any.
    default_prefetch_count: int = 0
    # Open transactions of one connection, and the octets that each may hold.
    max_transaction_count: int = 16
    max_transaction_size: int = 64 * 1024 * 1024
    # Octets of messages that are queued for one peer at a time.
    max_output_size: int = 256 * 1024
