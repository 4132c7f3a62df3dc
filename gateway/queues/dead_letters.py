"""Dead letters: what a queue does not deliver goes on to its dead-letter exchange.

Whatever language a message came in, its dead letter is written by a language that can say the
history of its deaths with the types that RabbitMQ's clients know: `x-death`, an array of tables,
the newest event first, one for each queue and reason. A history that a publisher claims counts
for nothing, as in RabbitMQ 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

from twisted.logger import Logger

from gateway.messages import Item, Language, Message, Properties, writing_language
from gateway.values import Long, Timestamp

if TYPE_CHECKING:
    from core.readable_queue import Span
    from gateway.queues.queue import Queue
    from gateway.vhosts.virtual_host import VirtualHost

REJECTED, EXPIRED, MAXLEN = "rejected", "expired", "maxlen"
DELIVERY_LIMIT = "delivery_limit"


class _Letter(NamedTuple):
    """A dead letter with its route; `is_routable` though all its queues may be circles."""

    item: Item
    is_routable: bool


class DeadLetters:
    """The dead letters of one virtual host."""

    _log = Logger()

    def __init__(self, virtual_host: VirtualHost, languages: Mapping[int, Language]) -> None:
        self._virtual_host = virtual_host
        self._languages = languages
        self._reported: set[tuple[str, ...]] = set()

    def bury(self, queue: Queue, dead: Sequence[Span], reason: str) -> None:
        """Send what died in `queue` where its options say; what leads nowhere is dropped.

        It is settled there when that is safe: a crash may double, never lose it. Raises `OSError`
        if the disk refuses: then it still is in flight.
        """

        def settle() -> None:
            for start, messages, _ in dead:
                queue.light.settle(start, start + len(messages))

        if queue.has_dead_letters:
            letters = [message for _, messages, _ in dead for message in messages]
            self._virtual_host.intake.publish(self.write(queue, letters, reason), settle)
        else:
            settle()

    def write(self, queue: Queue, messages: Sequence[Message], reason: str) -> list[Item]:
        """The dead letters of these messages, but for those that would find no queue."""
        letters = [self._write(queue, message, reason) for message in messages]
        return [
            letter.item
            for letter in letters
            if letter is not None and (letter.item[0].queues or letter.item[0].waits)
        ]

    def offer(
        self, queue: Queue, message: Message, reason: str, on_stored: Callable[[], None]
    ) -> bool:
        """Send one message, but only if it finds a queue, and every queue that it finds takes it.

        Says whether it was sent, and calls back when that is safe. Raises `OSError`.
        """
        letter = self._write(queue, message, reason)
        if letter is None or not letter.is_routable:
            return False
        return self._virtual_host.intake.publish_together([letter.item], on_stored)

    def _write(self, queue: Queue, message: Message, reason: str) -> _Letter | None:
        """The dead letter of a message; None if there is no exchange for it."""
        exchange = self._virtual_host.exchanges.get(queue.options.dead_letter_exchange or "")
        if exchange is None:
            return None
        language = writing_language(self._languages)
        if language is None:
            self._log.error("no language can write dead letters of {queue}", queue=queue)
            return None
        keys = _routing_keys(queue, message)
        now_s = int(self._virtual_host.clock.seconds())
        properties = _with_death(queue, message, reason, now_s)
        dead, stored = language.encode(exchange.name, keys[0], properties, message[2])
        found = self._virtual_host.find_targets(exchange, keys, dead[1])
        is_routable = bool(found.queues or found.delays)
        if reason != REJECTED:
            self._leave_circles(found.queues, dead)
        route = self._virtual_host.route_to(found, dead[1], keys[1:])
        return _Letter((route, dead, stored), is_routable)

    def _leave_circles(self, queues: list[Queue], dead: Message) -> None:
        """Take out the queues in which the message was before, and nobody rejected it since."""
        events = dead[1].properties.headers["x-death"]
        assert isinstance(events, list)
        for queue in [queue for queue in queues if _is_cycle(queue.name, events)]:
            queues.remove(queue)
            self._report(queue, events)

    def _report(self, queue: Queue, events: Sequence[Any]) -> None:
        cycle = (queue.name, *(event["queue"] for event in events))
        if cycle not in self._reported:
            self._reported.add(cycle)
            self._log.warn(
                "message dropped: dead letters go in a circle: {queues}. This circle is not "
                "reported again.",
                queues=" <- ".join(cycle),
            )


def _routing_keys(queue: Queue, message: Message) -> list[str]:
    """The key that the queue sets, else all that the message was published with."""
    if queue.options.dead_letter_routing_key is not None:
        return [queue.options.dead_letter_routing_key]
    return list(_published_keys(message))


def _published_keys(message: Message) -> Iterator[str]:
    envelope, header, _ = message
    yield envelope.routing_key
    copies = header.properties.headers.get("CC")
    if isinstance(copies, list):
        yield from (key for key in copies if isinstance(key, str))


def _with_death(queue: Queue, message: Message, reason: str, now_s: int) -> Properties:
    """The properties of the dead letter: one event more, and no expiration."""
    envelope, header, _ = message
    properties = header.properties
    headers = dict(properties.headers)
    # Of a header that has died, we wrote the history.
    events: list[dict[str, Any]] = list(headers["x-death"]) if header.died else []  # type: ignore[arg-type]
    event = next(
        (each for each in events if (each["queue"], each["reason"]) == (queue.name, reason)), None
    )
    if event is not None:
        events.remove(event)
        event = {**event, "count": Long(event["count"] + 1)}
    else:
        event = {
            "count": Long(1),
            "reason": reason,
            "queue": queue.name,
            "time": Timestamp(now_s),
            "exchange": envelope.exchange,
            "routing-keys": list(_published_keys(message)),
        }
        if properties.expiration is not None:
            event["original-expiration"] = properties.expiration
    if not header.died:
        headers["x-first-death-reason"] = reason
        headers["x-first-death-queue"] = queue.name
        headers["x-first-death-exchange"] = envelope.exchange
    headers["x-last-death-reason"] = reason
    headers["x-last-death-queue"] = queue.name
    headers["x-last-death-exchange"] = envelope.exchange
    headers["x-death"] = [event, *events]
    return replace(properties, headers=headers, expiration=None)


def _is_cycle(queue: str, events: Sequence[Any]) -> bool:
    """Was it in this queue before, and nobody has rejected it since?"""
    for event in events:
        if event["reason"] == REJECTED:
            return False
        if event["queue"] == queue:
            return True
    return False
