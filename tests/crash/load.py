"""The load under which the broker is killed: one publisher and one consumer that acknowledges."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from pamqp import commands

from tests.crash.amqp_wire import (
    ConnectionGoneError,
    WireConnection,
    encode_acks,
    encode_method,
    encode_publishes,
)

BATCH = 500
WINDOW = 5_000  # Messages that wait for their confirm at most.
WAIT_S = 60.0
FORGETTABLE_ACKS_S = 0.1  # Acks younger than this may be lost: their messages come again.
KEPT_EVERY = 10  # The consumer acknowledges all but each tenth message,
LATE_EVERY = 7  # and every seventh only after all others of a read.


class Confirms:
    """Which of the publishes, numbered from 1, are confirmed."""

    def __init__(self) -> None:
        self._floor = 0  # All up to here.
        self._above: set[int] = set()

    def add(self, tag: int, multiple: bool) -> None:
        if multiple:
            self._floor = max(self._floor, tag)
            self._above = {other for other in self._above if other > self._floor}
        else:
            self._above.add(tag)
        while self._floor + 1 in self._above:
            self._floor += 1
            self._above.remove(self._floor)

    def __len__(self) -> int:
        return self._floor + len(self._above)

    def numbers(self) -> set[int]:
        return set(range(1, self._floor + 1)) | self._above


def publish_until_killed(
    address: tuple[str, int],
    exchange: str,
    routing_keys: Sequence[str],
    count: int,
    kill_at: int,
    kill: Callable[[], None],
    first_acknowledged: threading.Event,
) -> tuple[int, set[int]]:
    """Publish 1 to `count`; call `kill` when `kill_at` are confirmed and more are on their way.

    After the first batch it waits until some of it is acknowledged and old enough to count, so
    that even the shortest load has acknowledgements that must hold. Returns how many were sent at
    most, and those that were confirmed.
    """
    assert kill_at + WINDOW <= count, "the kill must come in the middle"
    confirms = Confirms()
    sent = 0
    killed = False
    with WireConnection(address) as connection:
        connection.call(commands.Confirm.Select(), commands.Confirm.SelectOk)
        try:
            while True:
                if sent - len(confirms) < WINDOW - BATCH and sent < count:
                    numbers = range(sent + 1, sent + BATCH + 1)
                    sent += BATCH
                    connection.send_bytes(encode_publishes(exchange, routing_keys, numbers))
                    if sent == BATCH:
                        assert first_acknowledged.wait(WAIT_S)
                        time.sleep(FORGETTABLE_ACKS_S)  # Age is what makes them count.
                    if len(confirms) >= kill_at and not killed:
                        killed = True
                        kill()
                else:
                    _read(connection, confirms)
        except ConnectionGoneError:
            _read_rest(connection, confirms)
    assert killed, "the broker went away by itself"
    return sent, confirms.numbers()


def _read(connection: WireConnection, confirms: Confirms) -> None:
    for tag, multiple in connection.read_confirms():
        confirms.add(tag, multiple)


def _read_rest(connection: WireConnection, confirms: Confirms) -> None:
    """What the broker had confirmed before it died is still in the socket."""
    try:
        while True:
            _read(connection, confirms)
    except ConnectionGoneError:
        return


class AcknowledgingConsumer(threading.Thread):
    """Takes all that comes and acknowledges all but every tenth, until the broker is gone.

    All queues are consumed on one channel.
    After each batch of acks it asks for something trivial: the answer proves that the broker has
    seen the acks. `acknowledged` has the time of that proof by number, None while there is none.
    """

    def __init__(self, address: tuple[str, int], queues: Sequence[str]) -> None:
        super().__init__(daemon=True)
        self.delivered: set[int] = set()
        self.acknowledged: dict[int, float | None] = {}
        self.first_acknowledged = threading.Event()
        self.problem: BaseException | None = None
        self._address = address
        self._queues = queues

    def run(self) -> None:
        try:
            with WireConnection(self._address) as connection:
                for queue in self._queues:
                    connection.send_bytes(encode_method(commands.Basic.Consume(queue=queue)))
                self._work(connection)
        except ConnectionGoneError:
            return
        except BaseException as problem:  # For the test to raise.
            self.problem = problem

    def _work(self, connection: WireConnection) -> None:
        probe = encode_method(commands.Basic.Qos(prefetch_count=0))
        # Unproven; the first ones stand for basic.consume-ok.
        batches: list[list[int]] = [[] for _ in self._queues]
        while True:
            deliveries, answers = connection.read_deliveries()
            now = time.monotonic()
            for batch in batches[:answers]:
                self.acknowledged.update(dict.fromkeys(batch, now))
                if batch:
                    self.first_acknowledged.set()
            del batches[:answers]
            self.delivered.update(delivery.number for delivery in deliveries)
            wanted = [delivery for delivery in deliveries if delivery.number % KEPT_EVERY]
            wanted.sort(key=lambda delivery: delivery.number % LATE_EVERY == 0)
            if wanted:
                numbers = [delivery.number for delivery in wanted]
                self.acknowledged.update(dict.fromkeys(numbers))
                batches.append(numbers)
                connection.send_bytes(encode_acks(delivery.tag for delivery in wanted) + probe)
