"""The `stomp` section of the configuration: every limit, with its default."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

import msgspec

_AT_LEAST_0 = msgspec.Meta(ge=0)
_AT_LEAST_1 = msgspec.Meta(ge=1)
_ORIGIN = re.compile(r"\*|null|[a-z][a-z0-9+.-]*://[^/?#@\s]+")


@dataclass(frozen=True, slots=True)
class StompConfig:
    """How STOMP is served; the defaults are those of RabbitMQ's plugin where it has any."""

    port: int = 61613
    # The port for TLS, if `[tls]` has a certificate and `tls` is true here.
    tls_port: int = 61614
    tls: bool = True
    # The same for WebSocket.
    websocket_tls_port: int = 15673
    # Whose destinations and headers mean what: see docs/protocols/stomp.md.
    personality: Literal["rabbitmq", "activemq"] = "rabbitmq"
    # Who connects without a login or passcode header; "": nobody does.
    default_user: str = "guest"
    default_password: str = "guest"
    # Log the default user in at the first frame that is no CONNECT; it speaks STOMP 1.0 then.
    implicit_connect: bool = False
    # Who connects without a login header is the user that its client certificate names, if any.
    ssl_cert_login: bool = False
    # What CONNECTED calls us, before the version; "": it does not say.
    server_name: str = "RosettaMQ"
    # A peer that has not logged in after so long is dropped.
    login_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
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
    # STOMP over WebSocket, at the path /ws.
    websocket_port: int = 15674
    # What our frames travel in; what is no UTF-8 is always binary.
    websocket_frame: Literal["text", "binary"] = "text"
    # Offer permessage-deflate; costs some 300 KiB of memory per connection that uses it.
    websocket_compression: bool = True
    # Whose pages may connect from a browser: "https://shop.example"; "*": anybody's. Pages of the
    # same machine always may, as long as it is addressed by number or as localhost.
    websocket_origins: tuple[str, ...] = ()
    # Log in as HTTP Basic says, or as the default user; `login` and `passcode` count no more.
    websocket_http_auth: bool = False
    # The HTTP request that opens a WebSocket; `login_timeout_s` covers it as well.
    max_handshake_size: Annotated[int, _AT_LEAST_1] = 8 * 1024

    def __post_init__(self) -> None:
        if not self.server_name.isprintable() or ":" in self.server_name:
            raise ValueError(f"server_name: {self.server_name!r} cannot stand in a header")
        for origin in self.websocket_origins:
            if not _ORIGIN.fullmatch(origin):
                raise ValueError(
                    f"websocket_origins: {origin!r} is no origin: write scheme://host[:port], "
                    'in lower case and without a path, or "*"'
                )
