"""Looks at the queues of an example from outside."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TypeAlias

from tests.differential import wire
from tests.differential.client import Connection, Event
from tests.differential.definitions import HOME, LOGINS
from tests.differential.janitor import PROBE_CHANNEL, Janitor

# A queue: its virtual host and its name.
Place: TypeAlias = "tuple[str, str]"


class Probe:
    """Asks for the counts of queues: the janitor of a virtual host, or else who locks them."""

    def __init__(
        self,
        janitors: Mapping[str, Janitor],
        connections: Mapping[int, Connection],
        note: Callable[[int, Event], None],
    ) -> None:
        self.counts: dict[Place, str] = {}
        self.counts_consumers = True
        self._places: dict[Place, None] = {}
        self._janitors = janitors
        self._connections = connections
        self._note = note

    def add(self, virtual_host: str, queue: str) -> None:
        """Ask for this one from now on."""
        self._places.setdefault((virtual_host, queue))

    def look(self) -> None:
        """Have new counts."""
        self.counts = {}
        for virtual_host, janitor in self._janitors.items():
            self._ask(janitor.connection, virtual_host, None)
        for slot, connection in self._connections.items():
            if connection.alive:
                self._ask(connection, LOGINS[slot].virtual_host, slot)
        for place in self._places:
            self.counts.setdefault(place, "locked")

    def show(self) -> list[str]:
        """A line for each."""
        return [f"{shown_place(place)}: {counts}" for place, counts in self.counts.items()]

    def readable(self) -> Iterator[Place]:
        """Those that a janitor may take messages from."""
        return (place for place in self._places if "ready" in self.counts.get(place, ""))

    def delete_all(self) -> None:
        """Nothing remains."""
        for virtual_host, queue in self._places:
            self._janitors[virtual_host].ask("queue.delete", queue=queue)

    def _ask(self, connection: Connection, virtual_host: str, slot: int | None) -> None:
        """Ask for what nobody could tell yet."""
        places = [
            place for place in self._places if place[0] == virtual_host and place not in self.counts
        ]
        data = b""
        asked = dict(enumerate(places, PROBE_CHANNEL))
        for number, (_, queue) in asked.items():
            if number not in connection.open_channels:
                data += wire.method(number, "channel.open")
            data += wire.method(number, "queue.declare", queue=queue, passive=True)
        connection.send(data)
        while asked and connection.alive:
            event = connection.receive()
            if event.channel < PROBE_CHANNEL:
                assert slot is not None, f"the janitor was told {event}"
                self._note(slot, event)
            elif event.name == "queue.declare-ok":
                counts = event.fields
                consumers = counts["consumer_count"] if self.counts_consumers else "?"
                self.counts[asked.pop(event.channel)] = (
                    f"{counts['message_count']} ready, {consumers} consumers"
                )
            elif event.name == "channel.close":
                place = asked.pop(event.channel)
                if event.fields["code"] != 405:
                    self.counts[place] = "missing"


def shown_place(place: Place) -> str:
    """At home the name is enough."""
    virtual_host, queue = place
    return queue if virtual_host == HOME else f"{virtual_host}/{queue}"
