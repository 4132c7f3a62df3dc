"""Dead letters: what a queue does not deliver goes on to its dead-letter exchange.

Whatever language a message came in, its dead letter is written by a language that can say the
history of its deaths with the types that RabbitMQ's clients know: `x-death`, an array of tables,
the newest event first, one for each queue and reason. A history that a publisher claims counts
for nothing, as in RabbitMQ 4.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from twisted.logger import Logger

from gateway.messages import Language, Message, Properties, writing_language
from gateway.values import Long, Timestamp

if TYPE_CHECKING:
    from core.route import Route
    from gateway.exchanges import Exchange
    from gateway.queues import Queue
    from gateway.vhosts import VirtualHost

REJECTED, EXPIRED, MAXLEN = "rejected", "expired", "maxlen"


class DeadLetters:
    """The dead letters of one virtual host."""

    _log = Logger()

    def __init__(self, virtual_host: VirtualHost, languages: Mapping[int, Language]) -> None:
        self._virtual_host = virtual_host
        self._languages = languages
        self._reported: set[tuple[str, ...]] = set()

    def publish(
        self, queue: Queue, messages: Sequence[Message], reason: str, on_stored: Callable[[], None]
    ) -> None:
        """Send what died in `queue` where its options say; call back when that is safe.

        What finds no exchange or no queue is dropped. Raises `OSError` if the disk refuses.
        """
        exchange = self._virtual_host.exchanges.get(queue.options.dead_letter_exchange or "")
        language = writing_language(self._languages)
        items = []
        if language is None:
            self._log.error(
                "no language can write dead letters: those of {queue} are dropped", queue=queue
            )
        elif exchange is not None:
            now_s = int(self._virtual_host.clock.seconds())
            for message in messages:
                keys = _routing_keys(queue, message)
                properties = _with_death(queue, message, reason, now_s)
                dead, stored = language.encode(exchange.name, keys[0], properties, message[2])
                route = self._route(exchange, keys, dead, reason)
                if route.queues or route.waits:
                    items.append((route, dead, stored))
        self._virtual_host.publish(items, on_stored)

    def _route(
        self, exchange: Exchange, keys: Sequence[str], message: Message, reason: str
    ) -> Route:
        events = message[1].properties.headers["x-death"]
        assert isinstance(events, list)
        delayed = self._virtual_host.delays.route_at(exchange, keys[1:], message[1])
        if delayed is not None:
            return delayed
        queues, depends_on = self._virtual_host.find_targets(exchange, keys, message[1])
        if reason != REJECTED:
            for queue in [queue for queue in queues if _is_cycle(queue.name, events)]:
                queues.remove(queue)
                self._report(queue, events)
        return self._virtual_host.route_to(queues, depends_on, message[1])

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
