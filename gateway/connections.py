"""The connections that are open: who, where from, and what on them; filled by the front ends.

A front end says when a connection is logged in and when it is gone. Facts are asked for only when
somebody looks, so the registry costs nothing per message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol


@dataclass(frozen=True, slots=True)
class Ends:
    """Both ends of a socket."""

    peer_host: str = ""
    peer_port: int = 0
    host: str = ""
    port: int = 0
    tls: bool = False

    def __str__(self) -> str:
        return f"{self.peer_host}:{self.peer_port} -> {self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class ConsumerFacts:
    """One subscription."""

    tag: str
    queue: str
    no_ack: bool
    prefetch_count: int
    exclusive: bool = False
    # Of a queue with a single active consumer: is this the one? None of other queues.
    single_active: bool | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """One channel, or what stands for one in a protocol without them."""

    number: int
    consumers: Sequence[ConsumerFacts]
    unacknowledged_count: int
    unconfirmed_count: int = 0
    prefetch_count: int = 0
    global_prefetch_count: int = 0
    confirming: bool = False
    transactional: bool = False


@dataclass(frozen=True, slots=True)
class ConnectionFacts:
    """One connection, as its protocol knows it."""

    protocol: str
    ends: Ends
    connected_at: float
    channel_max: int = 0
    frame_max: int = 0
    heartbeat_s: float = 0.0
    auth_mechanism: str = "PLAIN"
    client_properties: Mapping[str, Any] = field(default_factory=dict)


class Connection(Protocol):
    """An open connection, as a front end implements it."""

    def facts(self) -> ConnectionFacts:
        """What does not change while it is open."""

    def channel_facts(self) -> Sequence[ChannelFacts]:
        """Its channels, as they are now."""

    def force_close(self, reason: str) -> None:
        """Tell the peer why, in the protocol's words, and close."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An open connection, and whose it is."""

    connection: Connection
    user: str
    virtual_host: str


class Connections:
    """All open connections."""

    def __init__(self) -> None:
        self._entries: dict[Connection, Entry] = {}
        self._user_counts: dict[str, int] = {}
        self._virtual_host_counts: dict[str, int] = {}

    def __iter__(self) -> Iterator[Entry]:
        return iter(list(self._entries.values()))

    def add(self, connection: Connection, user: str, virtual_host: str) -> None:
        """A connection is logged in."""
        self._entries[connection] = Entry(connection, user, virtual_host)
        _count(self._user_counts, user, 1)
        _count(self._virtual_host_counts, virtual_host, 1)

    def remove(self, connection: Connection) -> None:
        """A connection is gone; may be said more than once."""
        entry = self._entries.pop(connection, None)
        if entry is not None:
            _count(self._user_counts, entry.user, -1)
            _count(self._virtual_host_counts, entry.virtual_host, -1)

    def count_of_user(self, user: str) -> int:
        """How many connections a user has."""
        return self._user_counts.get(user, 0)

    def count_of_virtual_host(self, virtual_host: str) -> int:
        """How many connections a virtual host has."""
        return self._virtual_host_counts.get(virtual_host, 0)

    def channel_count_of_user(self, user: str) -> int:
        """How many channels a user has; asked only where there is a limit."""
        return sum(len(entry.connection.channel_facts()) for entry in self if entry.user == user)

    def close_all(self, which: Callable[[Entry], bool], reason: str) -> None:
        """Close those connections."""
        for entry in self:
            if which(entry):
                entry.connection.force_close(reason)


def _count(counts: dict[str, int], key: str, change: int) -> None:
    count = counts.get(key, 0) + change
    if count:
        counts[key] = count
    else:
        counts.pop(key, None)
