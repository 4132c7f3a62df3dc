"""Nine directions: what any client sends, any client reads, body and properties alike."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gateway.demo.sample import Client, Sample
from interop.compare import differences
from interop.scenarios import Outcome, queue_name

SAMPLES = {
    "text": Sample(b"hello", content_type="text/plain"),
    "nothing": Sample(b"", content_type="text/plain"),
    "every octet": Sample(bytes(range(256)) * 4, content_type="application/octet-stream"),
    "large": Sample(b"0123456789abcdef" * 65_536, content_type="text/plain"),
    "every property": Sample(
        b'{"order": 42}',
        content_type="application/json",
        correlation_id="request-42",
        reply_to="replies",
        priority=7,
        persistent=True,
        headers={"customer": "Ada", "x-tries": "3"},
    ),
    "awkward text": Sample(
        "Grüße, 世界".encode(),
        content_type="text/plain; charset=utf-8",
        correlation_id="a:b\\c\nd",
        headers={"colour": "grün: #0f0", "path": "C:\\temp", "lines": "one\ntwo"},
    ),
}


def directions(clients: Sequence[Client]) -> Iterator[Outcome]:
    """Send every sample through one queue per pair."""
    for publisher in clients:
        for consumer in clients:
            queue = queue_name("direction", publisher, consumer)
            for sample in SAMPLES.values():
                publisher.publish(queue, sample)
            arrived = consumer.consume(queue, len(SAMPLES))
            problems = [
                f"{name}: {difference}"
                for (name, sample), received in zip(SAMPLES.items(), arrived, strict=True)
                for difference in differences(sample, received.sample)
            ]
            problems += [
                f"{name}: marked redelivered"
                for name, received in zip(SAMPLES, arrived, strict=True)
                if received.redelivered
            ]
            yield Outcome(publisher.name, consumer.name, problems)
