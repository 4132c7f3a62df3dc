"""A queue with deadlines, limits and priorities against a model that is a plain list."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from twisted.internet.task import Clock

from gateway.declarations import QueueDeclaration
from gateway.gateway import Gateway
from gateway.messages import Envelope, Message
from protocols.amqp.codec import encode_properties
from protocols.amqp.language import AmqpLanguage, encode_stored
from tests.support.disk import HeldDisk


@dataclass
class Held:
    """One message in the model."""

    number: int
    body: bytes
    deadline_ms: float
    persistent: bool
    priority: int = 0
    in_flight: bool = False


def _limit(maximum: int) -> st.SearchStrategy[int | None]:
    return st.none() | st.integers(0, maximum)


class QueueMachine(RuleBasedStateMachine):
    """What is ready in the queue, in order, is what is ready in the model."""

    @initialize(
        ttl_ms=_limit(300),
        length=_limit(6),
        size=_limit(20),
        overflow=st.sampled_from(["drop-head", "reject-publish"]),
        max_priority=_limit(3),
        durable=st.booleans(),
    )
    def begin(
        self,
        ttl_ms: int | None,
        length: int | None,
        size: int | None,
        overflow: str,
        max_priority: int | None,
        durable: bool,
    ) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.clock = Clock()
        self.clock.advance(1_000_000)
        self.ttl_ms, self.length, self.size, self.overflow = ttl_ms, length, size, overflow
        self.max_priority = max_priority or 0
        self.durable = durable
        self.held: list[Held] = []
        self.taken: list[tuple[int, bytes]] = []
        self.count = 0
        self.language = AmqpLanguage()
        self.gateway = self._start()
        arguments = {
            "x-message-ttl": ttl_ms,
            "x-max-length": length,
            "x-max-length-bytes": size,
            "x-overflow": overflow,
            "x-max-priority": max_priority,
        }
        given = {name: value for name, value in arguments.items() if value is not None}
        wanted = QueueDeclaration("q", durable=durable, arguments=given)
        self.gateway.default_virtual_host.declare_queue(wanted)

    def _start(self) -> Gateway:
        gateway = Gateway(Path(self.folder.name), self.clock, HeldDisk().run)
        gateway.add_language(self.language)
        gateway.start()
        return gateway

    def teardown(self) -> None:
        if hasattr(self, "gateway"):
            self.gateway.stop()
            self.folder.cleanup()

    @property
    def now_ms(self) -> float:
        return self.clock.seconds() * 1000

    @property
    def ready(self) -> list[Held]:
        """The first comes first: the highest priority, then the oldest."""
        ready = [held for held in self.held if not held.in_flight]
        return sorted(ready, key=lambda held: (-held.priority, held.number))

    def _tidy(self) -> None:
        if self.overflow == "drop-head":
            while (ready := self.ready) and self._is_over(ready):
                self.held.remove(ready[0])
        while (ready := self.ready) and ready[0].deadline_ms <= self.now_ms:
            self.held.remove(ready[0])

    def _is_over(self, ready: list[Held]) -> bool:
        if self.length is not None and len(ready) > self.length:
            return True
        return self.size is not None and sum(len(held.body) for held in ready) > self.size

    @rule(
        size=st.integers(0, 8),
        own_ms=st.none() | st.integers(0, 400),
        persistent=st.booleans(),
        priorities=st.lists(st.none() | st.integers(0, 5), min_size=1, max_size=5),
    )
    def publish(
        self, size: int, own_ms: int | None, persistent: bool, priorities: list[int | None]
    ) -> None:
        host = self.gateway.default_virtual_host
        items = []
        for priority in priorities:
            self.count += 1
            body = b"%d" % self.count + b"-" * size
            fields: dict[str, Any] = {"delivery_mode": 1 + persistent}
            fields["message_id"] = str(self.count)
            if priority is not None:
                fields["priority"] = priority
            if own_ms is not None:
                fields["expiration"] = str(own_ms)
            raw = encode_properties(fields)
            header = self.language.header(raw)
            message: Message = (Envelope("", "q"), header, body)
            stored = encode_stored(message[0], raw, body)
            items.append((host.route("", "q", header), message, stored))
            times = [float(time) for time in (own_ms, self.ttl_ms) if time is not None]
            deadline_ms = self.now_ms + min(times, default=float("inf"))
            level = min(priority or 0, self.max_priority)
            held = Held(self.count, body, deadline_ms, persistent, level)
            if self.overflow == "drop-head" or not self._is_over([*self.ready, held]):
                self.held.append(held)
            if self.overflow != "drop-head":
                self._tidy()
        host.intake.publish(items)
        self.gateway.turn.end()
        self._tidy()

    @rule(count=st.integers(1, 4))
    def take(self, count: int) -> None:
        queue = self.gateway.default_virtual_host.queues["q"]
        expected = []
        for _ in range(count):
            self._tidy()
            if ready := self.ready:
                ready[0].in_flight = True
                expected.append(ready[0].body)
        self._tidy()
        deliveries = queue.take(count)
        assert [delivery.message[2] for delivery in deliveries] == expected
        self.taken += [(delivery.offset, delivery.message[2]) for delivery in deliveries]

    @rule(settles=st.booleans(), index=st.integers(0, 5))
    def finish(self, settles: bool, index: int) -> None:
        if not self.taken:
            return
        offset, body = self.taken.pop(index % len(self.taken))
        queue = self.gateway.default_virtual_host.queues["q"]
        (held,) = [held for held in self.held if held.body == body]
        if settles:
            self.held.remove(held)
            queue.settle(offset, offset + 1)
        else:
            held.in_flight = False
            queue.release([offset])
        self.gateway.turn.end()
        self._tidy()

    @rule()
    def purge(self) -> None:
        queue = self.gateway.default_virtual_host.queues["q"]
        assert queue.purge() == len(self.ready)
        self.held = [held for held in self.held if held.in_flight]

    @precondition(lambda self: self.durable)
    @rule()
    def restart(self) -> None:
        self.gateway.stop()
        self.language = AmqpLanguage()
        self.gateway = self._start()
        self.taken = []
        self.held = [held for held in self.held if held.persistent]
        for held in self.held:
            held.in_flight = False
        self._tidy()

    @rule(time_ms=st.sampled_from([1, 50, 100, 250]))
    def wait(self, time_ms: int) -> None:
        self.clock.advance(time_ms / 1000)
        self._tidy()

    @invariant()
    def what_is_ready(self) -> None:
        if not hasattr(self, "gateway"):
            return
        queue = self.gateway.default_virtual_host.queues["q"]
        assert queue.ready_count == len(self.ready)
        assert queue.unsettled_count == len(self.held) - len(self.ready)
        assert len(self.clock.getDelayedCalls()) <= 4


QueueMachine.TestCase.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
TestQueue = QueueMachine.TestCase
