"""The loads that are compared. Each is what a generator is told, and how much of it."""

from __future__ import annotations

from dataclasses import dataclass

from bench.load import AMQP, STOMP

_AUTO_ACK = ("--mode", "both", "--in-flight", 2000)
_CONFIRM_AND_ACK = ("--mode", "both", "--persistent", "--confirms", 1000, "--prefetch", 200)
_PUBLISH = ("--mode", "publish")
_FILL = ("--mode", "publish", "--persistent", "--confirms", 1000, "--keep")
_RECEIPTS = ("--persistent", "--receipts", 1000, "--prefetch", 200, "--ack")
_QUICK = 0.2  # of the amount


@dataclass(frozen=True, slots=True)
class Case:
    """One load: for so many seconds, or of so many messages.

    `fill` comes before it, untimed. `read_back` consumes what a publish-only load left; it comes
    after the warming up, because until then the broker has only said that the messages are there.
    """

    name: str
    about: str
    options: tuple[object, ...]
    seconds: float | None = 6.0
    messages: int | None = None
    fill: tuple[object, ...] | None = None
    read_back: tuple[object, ...] | None = None
    is_latency: bool = False
    single_queue: str | None = None  # the case that this one repeats with many queues
    generator: str = AMQP

    def amount(self, quick: bool) -> tuple[object, ...]:
        """The options that say how much."""
        scale = _QUICK if quick else 1.0
        if self.messages is not None:
            return ("--messages", int(self.messages * scale))
        assert self.seconds is not None
        return ("--seconds", self.seconds * scale)


CASES = (
    Case(
        "transient-12B-publish",
        "12 bytes, transient, published into one queue that nobody reads",
        ("--mode", "publish", "--body", 12),
        read_back=("--mode", "consume", "--body", 12),
    ),
    Case(
        "transient-1K-both",
        "1 KiB, transient, published and consumed, auto-ack, 2,000 in flight",
        _AUTO_ACK,
    ),
    Case(
        "persistent-1K-both",
        "1 KiB, persistent, confirms (window 1,000), single acks (prefetch 200)",
        _CONFIRM_AND_ACK,
    ),
    Case(
        "persistent-1K-drain",
        "250,000 of 1 KiB, persistent, waiting in the queue: consumed, single acks (prefetch 200)",
        ("--mode", "consume", "--persistent", "--prefetch", 200),
        seconds=None,
        messages=250_000,
        fill=_FILL,
    ),
    Case(
        "transient-1K-1000-queues",
        "transient-1K-both, round robin over 1,000 queues",
        (*_AUTO_ACK, "--queues", 1000),
        single_queue="transient-1K-both",
    ),
    Case(
        "persistent-1K-1000-queues",
        "persistent-1K-both, round robin over 1,000 queues",
        (*_CONFIRM_AND_ACK, "--queues", 1000),
        single_queue="persistent-1K-both",
    ),
    Case(
        "transient-1K-publish",
        "200,000 of 1 KiB, transient, published into one queue that nobody reads",
        _PUBLISH,
        seconds=None,
        messages=200_000,
    ),
    Case(
        "transient-1K-publish-1000",
        "transient-1K-publish, round robin over 1,000 queues",
        (*_PUBLISH, "--queues", 1000),
        seconds=None,
        messages=200_000,
        single_queue="transient-1K-publish",
    ),
    Case(
        "persistent-1K-publish",
        "200,000 of 1 KiB, persistent, confirms (window 1,000), into one queue nobody reads",
        (*_PUBLISH, "--persistent", "--confirms", 1000),
        seconds=None,
        messages=200_000,
    ),
    Case(
        "persistent-1K-publish-1000",
        "persistent-1K-publish, round robin over 1,000 queues",
        (*_PUBLISH, "--persistent", "--confirms", 1000, "--queues", 1000),
        seconds=None,
        messages=200_000,
        single_queue="persistent-1K-publish",
    ),
    Case(
        "latency-transient-2000",
        "2,000 messages of 1 KiB a second, transient, auto-ack",
        (*_AUTO_ACK, "--rate", 2000),
        is_latency=True,
    ),
    Case(
        "latency-persistent-1000",
        "1,000 messages of 1 KiB a second, persistent, confirms, single acks",
        (*_CONFIRM_AND_ACK, "--rate", 1000),
        is_latency=True,
    ),
    Case(
        "stomp-persistent-1K",
        "STOMP, 1 KiB, persistent, receipts (window 1,000), client-individual acks (200)",
        (*_RECEIPTS, "client-individual"),
        generator=STOMP,
    ),
    Case(
        "stomp-persistent-1K-client",
        "stomp-persistent-1K with ack:client: an ACK for each message, cumulative",
        (*_RECEIPTS, "client"),
        generator=STOMP,
    ),
    Case(
        "stomp-transient-1K",
        "STOMP, 1 KiB, transient, ack:auto, 2,000 in flight",
        ("--in-flight", 2000),
        generator=STOMP,
    ),
)
