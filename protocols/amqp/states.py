"""Where in their lives a connection and its channels are (AMQP 0-9-1, 2.2.4)."""

from __future__ import annotations

from enum import Enum, auto


class ConnectionState(Enum):
    """What a connection waits for."""

    STARTING = auto()  # Nothing has come but, perhaps, a part of the protocol header.
    SECURING = auto()  # We sent connection.start.
    TUNING = auto()  # We sent connection.tune.
    OPENING = auto()  # The peer has tuned; connection.open is next.
    OPEN = auto()
    CLOSING = auto()  # We sent connection.close: only its answer matters.
    REFUSED = auto()  # We hang up soon; nothing that comes matters.
    LEAVING = auto()  # Closed by both: we hang up when what was answered is durable.


class ChannelState(Enum):
    """What a channel can be, once it exists."""

    OPEN = auto()
    CLOSING = auto()  # We sent channel.close: ignore all until its answer.
