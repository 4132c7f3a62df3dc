"""The embedded name server's table: which brokers there are, and where they listen.

Which topics there are, and how many queues each has, is asked of the broker itself when a client
asks for the route to one: whoever answers knows both.
"""

from __future__ import annotations

from dataclasses import dataclass

MASTER_ID = 0


@dataclass(frozen=True, slots=True)
class BrokerEntry:
    """One broker by name, with the `host:port` of each of its members; the master is number 0."""

    name: str
    cluster: str
    addresses: dict[int, str]


class NameServer:
    """The brokers that clients are sent to."""

    def __init__(self) -> None:
        self._brokers: dict[str, BrokerEntry] = {}

    @property
    def brokers(self) -> list[BrokerEntry]:
        """All brokers, by name."""
        return [self._brokers[name] for name in sorted(self._brokers)]

    def register(self, entry: BrokerEntry) -> None:
        """Add a broker, or replace what was known of it."""
        self._brokers[entry.name] = entry

    def unregister(self, name: str) -> None:
        """Forget a broker; one that is not known is no error."""
        self._brokers.pop(name, None)
