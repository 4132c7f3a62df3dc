"""Dead letters put back: what died goes again to where it was, or where somebody wants it.

Each is taken out of the queue of dead letters, published with all its properties, the history of
its deaths among them, and settled when its copy is stored: a crash may double, never lose it.
What cannot go anywhere stays where it is.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from twisted.internet.interfaces import IReactorTime

from core.cursor import Cursor
from core.errors import CoreError
from gateway.messages import Header, Item, Message, WritingLanguage
from gateway.translation import value_text

if TYPE_CHECKING:
    from core.route import Route
    from gateway.queues.queue import Queue
    from gateway.vhosts.intake import Intake

_LOOK_COUNT = 512  # Messages that are looked at before others have their turn.
_BATCH_COUNT, _BATCH_SIZE = 64, 1 << 20  # Of these, so many are put back, or bytes, about.


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
    """A virtual host as a user may use it, see `gateway.security.access`."""

    def route(self, exchange: str, routing_key: str, header: Header | None) -> Route:
        """Where a message goes."""

    @property
    def intake(self) -> Intake:
        """Who takes in what has a route."""


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
        chosen: list[tuple[int, Message]] = []
        has_more, size = True, 0
        for _ in range(_LOOK_COUNT):
            wanted_count = self._outcome.put_back + len(chosen)
            if self._left_count <= 0 or wanted_count == self._choice.count:
                has_more = False
            entry = self._cursor.look() if has_more else None
            if entry is None:
                has_more = False
                break
            self._left_count -= 1
            if self._choice.wants(entry[1]) and self._queue.is_deliverable(*entry):
                chosen.append(entry)
                size += len(entry[1][2])
                if len(chosen) == _BATCH_COUNT or size >= _BATCH_SIZE:
                    break
        self._cursor.forget()
        self._put_back(chosen)
        return has_more

    def _put_back(self, chosen: Sequence[tuple[int, Message]]) -> None:
        """Publish these: together, but for those that a queue may refuse."""
        routes: dict[tuple[str, str], Route] = {}
        batch, alone = _Letters(self._queue), []
        for offset, message in chosen:
            _, header, body = message
            where = self._where(header)
            copy, stored = self._language.encode(*where, header.properties, body)
            route = routes.get(where) or self._publisher.route(*where, copy[1])
            if not route.by_header:
                routes[where] = route
            letters = batch
            if not route.queues and not route.waits:
                self._outcome.left += 1
                continue
            if route.guarded:
                letters = _Letters(self._queue)
                alone.append(letters)
            letters.add(offset, message, (route, copy, stored))
        for letters in (batch, *alone):
            self._unstored_count += 1
            put_back_count = letters.publish(self._publisher, self._stored)
            self._outcome.put_back += put_back_count
            self._outcome.left += len(letters) - put_back_count

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


class _Letters:
    """Dead letters on their way, in one batch."""

    def __init__(self, queue: Queue) -> None:
        self._queue = queue
        self._taken: list[tuple[int, Message]] = []
        self._items: list[Item] = []
        self._is_stored = False
        self._refused: Container[int] | None = None
        self._done: Callable[[], None] = lambda: None

    def __len__(self) -> int:
        return len(self._items)

    def add(self, offset: int, message: Message, item: Item) -> None:
        """One more."""
        self._taken.append((offset, message))
        self._items.append(item)

    def publish(self, publisher: Publisher, done: Callable[[], None]) -> int:
        """Publish them all; return how many were not refused. `done` is called when it is safe.

        Raises `CoreError`, or `OSError` if the disk refuses; they stay where they are then, and
        `done` is called.
        """
        self._done = done
        for offset, message in self._taken:
            self._queue.take_at(offset, message)
        try:
            refused = publisher.intake.publish(self._items, self._stored)
        except (CoreError, OSError):
            self._refused, self._is_stored = range(len(self._taken)), True
            self._end()
            raise
        self._refused = frozenset(refused)
        self._end()
        return len(self._items) - len(refused)

    def _stored(self) -> None:
        """What was appended is safe: before `publish` returns, or later."""
        self._is_stored = True
        self._end()

    def _end(self) -> None:
        """Settle what was published and is stored, give back what was refused."""
        if not self._is_stored or self._refused is None:
            return
        for position, (offset, _) in enumerate(self._taken):
            if position in self._refused:
                self._queue.release([offset])
            else:
                self._queue.settle(offset, offset + 1)
        self._done()
