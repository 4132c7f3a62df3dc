"""What an operator may do with the queues of a virtual host, beside declaring and deleting them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from twisted.internet.interfaces import IReactorTime

from core.broker import Broker
from core.rewind import Target
from gateway.errors import NotSupportedError, PreconditionFailedError
from gateway.messages import Language, WritingLanguage
from gateway.queues.put_back import Choice, Destination, Outcome, Publisher, PutBack
from gateway.queues.queue import Queue

_KIND = "paused"  # Of the documents that name the durable queues which are paused.


class QueueTools:
    """See above. What these do to durable queues survives a restart."""

    def __init__(
        self,
        virtual_host: str,
        broker: Broker,
        clock: IReactorTime,
        languages: Mapping[int, Language],
    ) -> None:
        self._virtual_host = virtual_host
        self._broker = broker
        self._clock = clock
        self._languages = languages

    def restore(self, queues: Iterable[Queue]) -> None:
        """Pause what was paused before a restart."""
        paused = self._broker.documents(_KIND)
        for queue in queues:
            queue.paused = self._key(queue) in paused

    def pause(self, queue: Queue) -> None:
        """Deliver nothing, to nobody, until `resume`; publishing goes on."""
        if not queue.paused:
            queue.paused = True
            if queue.durable:
                self._broker.put_document(_KIND, self._key(queue), True)

    def resume(self, queue: Queue) -> None:
        """Deliver again."""
        if queue.paused:
            queue.paused = False
            self._broker.delete_document(_KIND, self._key(queue))
            queue.wake()

    def rewind(
        self, queue: Queue, target: Target, done: Callable[[int | BaseException], None]
    ) -> None:
        """Have what was stored since then ready again, if it is in the log; in its order.

        `done` is called when that is durable, with how many messages more are ready. Raises
        `PreconditionFailedError` or `NotSupportedError`.
        """
        if not queue.type.is_consumed:
            raise NotSupportedError(f"{queue} cannot be rewound: its consumers can")
        if not queue.durable:
            raise PreconditionFailedError(f"{queue} is not durable: the log has nothing of it")

        def rewound(result: int | BaseException) -> None:
            if not queue.light.deleted:
                queue.rewound()
            done(result)
            queue.work()

        self._broker.rewind(list(queue.light.lanes.values()), target, rewound)

    def put_back(
        self,
        queue: Queue,
        publisher: Publisher,
        choice: Choice,
        destination: Destination | None,
        done: Callable[[Outcome | Exception], None],
    ) -> None:
        """Publish dead letters of `queue` again, as `publisher`, and settle them.

        Raises `NotSupportedError` or `PreconditionFailedError`.
        """
        if not queue.type.is_consumed:
            raise NotSupportedError(f"nothing can be taken out of {queue}")
        language = next(
            (each for each in self._languages.values() if isinstance(each, WritingLanguage)), None
        )
        if language is None:
            raise PreconditionFailedError("no language can write dead letters")
        PutBack(queue, publisher, language, choice, destination, self._clock, done).go_on()

    def _key(self, queue: Queue) -> str:
        return f"{self._virtual_host}\0{queue.name}"
