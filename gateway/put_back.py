"""Dead letters put back: what died goes again to where it was, or where somebody wants it.

Each is taken out of the queue of dead letters, published with all its properties, the history of
its deaths among them, and settled when its copy is stored: a crash may double, never lose it.
What cannot go anywhere stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime

from core.cursor import Cursor
from core.errors import CoreError
from gateway.messages import Header, Message, Properties, WritingLanguage
from gateway.translation import value_text

if TYPE_CHECKING:
    from core.route import Route
    from gateway.queues import Queue

_LOOK_COUNT = 512  # Messages that are looked at before others have their turn.


@dataclass(frozen=True, slots=True)
class Choice:
    """Which dead letters: those that died last of `reason`, in `queue`, with these `headers`."""

    reason: str | None = None
    queue: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    count: int | None = None

    def wants(self, message: Message) -> bool:
        """Is this one of them?"""
        header = message[1]
        death = last_death(header)
        if death is None:
            return False
        if self.reason not in (None, death.reason) or self.queue not in (None, death.queue):
            return False
        headers = header.properties.headers
        return all(
            name in headers and value_text(headers[name]) == value
            for name, value in self.headers.items()
        )


@dataclass(frozen=True, slots=True)
class Destination:
    """Where to publish them; without a routing key, each under the one that it had."""

    exchange: str
    routing_key: str | None = None


@dataclass(frozen=True, slots=True)
class Death:
    """The newest event in the history of a dead letter."""

    queue: str
    reason: str
    routing_key: str


@dataclass(slots=True)
class Outcome:
    """How many went, and how many found no queue, or only full ones."""

    put_back: int = 0
    left: int = 0


class Publisher(Protocol):
    """A virtual host as a user may use it, see `gateway.access`."""

    def route(self, exchange: str, routing_key: str, header: Header | None) -> Route:
        """Where a message goes."""

    def publish(
        self, items: list[tuple[Route, Message, bytes]], on_stored: Callable[[], None]
    ) -> list[int]:
        """Append messages; the positions of those that a queue refused."""


def last_death(header: Header) -> Death | None:
    """Why and where a message died last; None if no queue of ours says so."""
    events = header.properties.headers.get("x-death") if header.died else None
    event = events[0] if isinstance(events, list) and events else None
    if not isinstance(event, dict):
        return None
    keys = event.get("routing-keys")
    key = keys[0] if isinstance(keys, list) and keys else ""
    return Death(str(event.get("queue")), str(event.get("reason")), str(key))


class PutBack:
    """One request to put dead letters back.

    `done` is called with the outcome when all copies are stored, or with the error that ended it;
    what was put back until then is. Raises nothing.
    """

    def __init__(
        self,
        queue: Queue,
        publisher: Publisher,
        language: WritingLanguage,
        choice: Choice,
        destination: Destination | None,
        clock: IReactorTime,
        done: Callable[[Outcome | Exception], None],
    ) -> None:
        self._queue = queue
        self._publisher = publisher
        self._language = language
        self._choice = choice
        self._destination = destination
        self._clock = clock
        self._done = done
        self._outcome = Outcome()
        self._cursor = Cursor(queue.light)
        # What dies again meanwhile, and comes back here, is not looked at again.
        self._left_count = queue.light.ready_count
        self._unstored_count = 1  # And one for the looking itself.
        self._error: Exception | None = None

    def go_on(self) -> None:
        """Look at some, and then at more."""
        try:
            has_more = self._look()
        except (CoreError, OSError) as error:
            self._error = error
            has_more = False
        if has_more:
            self._clock.callLater(0, self._look_again)
        else:
            self._stored()

    # The rest is private

    def _look_again(self) -> None:
        self.go_on()
        self._queue.work()  # Which ends this turn.

    def _look(self) -> bool:
        """Put back what is found among the next ones; are there more?"""
        for _ in range(_LOOK_COUNT):
            if self._left_count <= 0 or self._outcome.put_back == self._choice.count:
                return False
            entry = self._cursor.look()
            if entry is None:
                return False
            self._left_count -= 1
            offset, message = entry
            if self._choice.wants(message) and self._queue.is_deliverable(offset, message):
                self._put_back(offset, message)
        self._cursor.forget()
        return True

    def _put_back(self, offset: int, message: Message) -> None:
        """Publish one, and settle it when its copy is stored."""
        exchange, routing_key = self._where(message[1])
        properties: Properties = message[1].properties
        copy, stored = self._language.encode(exchange, routing_key, properties, message[2])
        route = self._publisher.route(exchange, routing_key, copy[1])
        if not route.queues:
            self._outcome.left += 1
            return
        queue = self._queue
        queue.take_at(offset, message)
        letter = _Letter(queue, offset, self._stored)
        self._unstored_count += 1
        try:
            refused = self._publisher.publish([(route, copy, stored)], letter.stored)
        except BaseException:
            queue.release([offset])
            self._unstored_count -= 1
            raise
        if refused:
            self._outcome.left += 1
        else:
            self._outcome.put_back += 1
        letter.published(bool(refused))

    def _where(self, header: Header) -> tuple[str, str]:
        death = last_death(header)
        assert death is not None, "only dead letters are wanted"
        if self._destination is None:
            return "", death.queue
        routing_key = self._destination.routing_key
        return self._destination.exchange, death.routing_key if routing_key is None else routing_key

    def _stored(self) -> None:
        """One thing less to wait for."""
        self._unstored_count -= 1
        if not self._unstored_count:
            self._done(self._error or self._outcome)


class _Letter:
    """One dead letter on its way: it is settled when it is published, not refused, and stored."""

    def __init__(self, queue: Queue, offset: int, done: Callable[[], None]) -> None:
        self._queue = queue
        self._offset = offset
        self._done = done
        self._is_stored = False
        self._is_refused: bool | None = None

    def stored(self) -> None:
        """What was appended is safe: before `publish` returns, or later."""
        self._is_stored = True
        self._end()

    def published(self, is_refused: bool) -> None:
        """`publish` has returned."""
        self._is_refused = is_refused
        self._end()

    def _end(self) -> None:
        if not self._is_stored or self._is_refused is None:
            return
        if self._is_refused:
            self._queue.release([self._offset])
        else:
            self._queue.settle(self._offset, self._offset + 1)
        self._done()
