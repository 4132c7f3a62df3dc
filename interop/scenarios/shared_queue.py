"""One queue, readers of several languages: an acknowledgement by one is one for all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.demo.sample import Client, Received, Sample
from interop.scenarios import Outcome, queue_name


def shared_acknowledgements(clients: Sequence[Client]) -> Iterator[Outcome]:
    """One takes the first half, the other gets the second half and nothing of the first."""
    for first in clients:
        for second in clients:
            queue = queue_name("acks", first, second)
            _publish_numbers(clients, queue, 6)
            taken = _bodies(first.consume(queue, 3)) + _bodies(second.consume(queue, 3))
            # Nothing else is there: the next thing that anybody reads is what is sent now.
            second.publish(queue, Sample(b"end"))
            taken += _bodies(first.consume(queue, 1))
            expected = [b"0", b"1", b"2", b"3", b"4", b"5", b"end"]
            problems = [] if taken == expected else [f"expected {expected}, got {taken}"]
            yield Outcome(first.name, second.name, problems)


def given_back(clients: Sequence[Client]) -> Iterator[Outcome]:
    """What one reader leaves unacknowledged comes to the next one, in order and marked."""
    for first in clients:
        for second in clients:
            queue = queue_name("given-back", first, second)
            _publish_numbers(clients, queue, 3)
            first.consume(queue, 2, acknowledge=False)
            received = second.consume(queue, 3)
            arrived = [(message.sample.body, message.redelivered) for message in received]
            expected = [(b"0", True), (b"1", True), (b"2", False)]
            problems = [] if arrived == expected else [f"expected {expected}, got {arrived}"]
            yield Outcome(first.name, second.name, problems)


def _publish_numbers(clients: Sequence[Client], queue: str, count: int) -> None:
    """In every language in turn."""
    for number in range(count):
        clients[number % len(clients)].publish(queue, Sample(str(number).encode()))


def _bodies(received: Sequence[Received]) -> list[bytes]:
    return [message.sample.body for message in received]
