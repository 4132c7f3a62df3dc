"""A real gateway for tests of the topology, with a language as plain as can be."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from twisted.internet.task import Clock

from gateway.delays.schedules import Schedule, find_schedule
from gateway.gateway import Gateway
from gateway.messages import Envelope, Header, Message, Properties, Value
from gateway.queues.queue import Queue
from gateway.vhosts.virtual_host import VirtualHost
from tests.support.disk import HeldDisk
from tests.support.receivers import SingleReceiver


class PlainLanguage:
    """Stored messages are their bodies."""

    number = 9
    name = "plain"

    def parse_stored(self, stored: bytes) -> Message:
        return Envelope("", ""), Header(self, b"", True), stored

    def decode_properties(self, raw: bytes) -> Properties:
        return Properties()

    def find_schedule(self, header: Header) -> Schedule | None:
        return find_schedule(header.properties.headers)

    def parse_due(self, stored: bytes) -> tuple[Message, bytes]:
        return self.parse_stored(stored), stored


LANGUAGE = PlainLanguage()


def header(persistent: bool = True, **headers: Value) -> Header:
    """A header with these headers of the application."""
    made = Header(LANGUAGE, b"", persistent)
    made.properties = Properties(headers=headers)
    return made


class LiveGateway:
    """A gateway on a folder; `restart` stops it and starts another one on the same folder."""

    def __init__(self, folder: Path, clock: Clock | None = None) -> None:
        self.folder = folder
        self.clock = clock or Clock()
        self.disk = HeldDisk()
        self.gateway = Gateway(folder, self.clock, self.disk.run)
        self.gateway.add_language(LANGUAGE)
        self.gateway.start()

    @property
    def host(self) -> VirtualHost:
        return self.gateway.default_virtual_host

    def restart(self) -> LiveGateway:
        self.gateway.stop()
        return LiveGateway(self.folder)

    def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        persistent: bool = True,
        priority: int | None = None,
        **headers: Value,
    ) -> int:
        """Publish a message; return to how many queues it went."""
        made = header(persistent)
        made.properties = Properties(headers=headers, priority=priority)
        route = self.host.route(exchange, routing_key, made)
        self.host.intake.publish([(route, (Envelope(exchange, routing_key), made, body), body)])
        self.gateway.turn.end()
        return len(route.queues)

    def where(self, exchange: str, routing_key: str, **headers: Value) -> list[str]:
        """The names of the queues to which a message goes, sorted; each as often as it gets it."""
        lights = self.host.route(exchange, routing_key, header(**headers)).queues
        return sorted(
            name
            for name, queue in self.host.queues.items()
            for _ in range(lights.count(queue.light))
        )


def bodies(queue: Queue) -> list[bytes]:
    """Everything that is ready, taken and settled."""
    deliveries = queue.take(10_000)
    for delivery in deliveries:
        queue.settle(delivery.offset, delivery.offset + 1)
    return [delivery.message[2] for delivery in deliveries]


class Taker:
    """A consumer that keeps what it gets; it may share its credit `with_other`."""

    counted = True

    def __init__(
        self, credit: int = 1000, no_ack: bool = False, with_other: Taker | None = None
    ) -> None:
        self._credit = [credit] if with_other is None else with_other._credit
        self.shares_credit = with_other is not None
        self.no_ack = no_ack
        self.receiver = SingleReceiver(no_ack)
        self.prefetch = credit
        self.got: list[tuple[int, bytes, bool]] = []
        self.is_cancelled = False

    @property
    def left(self) -> int:
        return self._credit[0]

    @left.setter
    def left(self, count: int) -> None:
        self._credit[0] = count

    def credit(self) -> int:
        return self.left

    def deliver(
        self, queue: Queue, first_offset: int, messages: Sequence[Message], redelivered: bool
    ) -> None:
        self.left -= len(messages)
        assert self.left >= 0, "more than it takes"
        for offset, message in enumerate(messages, first_offset):
            self.got.append((offset, message[2], redelivered))

    @property
    def taker(self) -> Taker:
        return self

    def take_one(self, offset: int, message: Message) -> bool:
        if self.left <= 0 or self.shares_credit:
            return False
        self.left -= 1
        self.got.append((offset, message[2], False))
        return True

    def cancelled(self) -> None:
        self.is_cancelled = True

    @property
    def bodies(self) -> list[bytes]:
        return [body for _, body, _ in self.got]
