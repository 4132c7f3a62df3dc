"""Who looks at one server from outside of an example, and cleans up after it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from tests.differential import wire
from tests.differential.client import Connection, Event

# Above the channels that examples use.
PROBE_CHANNEL = 1000


class Janitor:
    """A connection of its own, to one virtual host."""

    def __init__(self, port: int, virtual_host: str = "/") -> None:
        self.connection = Connection(port, virtual_host=virtual_host)

    def ask(self, name: str, **fields: Any) -> Event:
        """Call a method; the answer may be a refusal."""
        data = wire.method(PROBE_CHANNEL, name, **fields)
        if PROBE_CHANNEL not in self.connection.open_channels:
            data = wire.method(PROBE_CHANNEL, "channel.open") + data
        self.connection.send(data)
        while (event := self.connection.receive()).name == "channel.open-ok":
            pass
        return event

    def take_all(self, queue: str) -> Iterator[tuple[str, Event]]:
        """What is left in a queue, and how basic.get tells of it."""
        while (event := self.ask("basic.get", queue=queue, no_ack=True)).name == "basic.get-ok":
            fields = {k: v for k, v in event.fields.items() if k != "delivery_tag"}
            yield " ".join(f"{key}={value}" for key, value in fields.items()), event

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
