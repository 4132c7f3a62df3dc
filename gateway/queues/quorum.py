"""A quorum queue, as its users see one: here it has one member, which is this broker.

What differs from a classic queue: all that it holds survives a restart, persistent or not; what is
returned is delivered again before anything else, and counted, and dies when it was returned too
often; there are two priorities, of which none waits for ever; dead letters need not get lost.
Texts and rules are those of RabbitMQ 4.2 (`rabbit_quorum_queue`, `rabbit_fifo`).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

from twisted.logger import Logger

from core.broker import Broker
from core.errors import is_disk_full
from core.lanes import AnyQueue
from core.light_queue import LightQueue
from core.readable_queue import Span
from gateway.errors import NotSupportedError, ResourceLockedError
from gateway.exchanges.bindings import Arguments
from gateway.messages import Value
from gateway.queues.arguments import QueueOptions, parse_options
from gateway.queues.consumer import PLAIN_TERMS, Consumer, Terms
from gateway.queues.dead_letters import DELIVERY_LIMIT
from gateway.queues.queue import Queue
from gateway.queues.unsent_letters import UnsentLetters
from gateway.values import Long, is_integer

_DELIVERY_LIMIT_DEFAULT = 20
_NORMAL_PRIORITY_MAX = 4


class QuorumQueue(Queue):
    """See the module's docstring."""

    heeds_shared_credit = False
    gives_no_time = False  # What is behind another message waits until that is gone.

    _log = Logger()

    @classmethod
    def arrange(cls, broker: Broker, light: LightQueue, arguments: Arguments) -> AnyQueue:
        """Two lanes. Without a limit of deliveries, what is returned goes to the end."""
        limit = _delivery_limit(parse_options(arguments))
        return broker.fair_lanes(light, returns_first=limit >= 0)

    def level(self, priority: int) -> int:
        """Messages are urgent, or they are not."""
        return int(priority > _NORMAL_PRIORITY_MAX)

    # Life

    def restored(self) -> None:
        """All is back after a restart: see to what happened meanwhile."""
        super().restored()
        if any(lane.has_redeliveries for lane in self.light.lanes.values()):
            self.stamp = self._count_of

    def stop(self) -> None:
        """Wait for no time any more."""
        super().stop()
        self._letters.stop()

    def check_delete(self, if_unused: bool, if_empty: bool) -> int:
        """How many ready messages go when it is deleted. Raises `NotSupportedError`."""
        for is_asked, flag in ((if_unused, "if-unused"), (if_empty, "if-empty")):
            if is_asked:
                raise NotSupportedError(
                    f"cannot delete {self}. queue.delete operations with {flag} flag set are not"
                    " supported by quorum queues"
                )
        return super().check_delete(if_unused, if_empty)

    # Consuming

    def subscribe(self, consumer: Consumer, terms: Terms = PLAIN_TERMS) -> None:
        """Add a consumer; `exclusive` means nothing here.

        Raises `PreconditionFailedError` or `NotSupportedError`.
        """
        if consumer.shares_credit:
            raise NotSupportedError(f"{self} does not support global qos")
        super().subscribe(consumer, replace(terms, exclusive=False))

    def begin_take(self) -> bool:
        """Somebody asks for messages: may any be taken? Raises `ResourceLockedError`."""
        if self.options.single_active_consumer:
            raise ResourceLockedError(
                f"cannot obtain access to locked {self}. basic.get operations are not supported by"
                " quorum queues with single active consumer"
            )
        return super().begin_take()

    def release(self, offsets: Iterable[int]) -> None:
        """Messages in flight are ready again, or die of having been returned too often."""
        limit = _delivery_limit(self.options)
        returned: list[int] = []
        dead: list[int] = []
        for offset in offsets:
            is_over = limit >= 0 and self.light.delivery_count(offset) >= limit
            (dead if is_over else returned).append(offset)
        self.stamp = self._count_of
        super().release(returned)
        if dead:
            try:
                self.reject(dead, DELIVERY_LIMIT)
            except OSError as error:
                if not is_disk_full(error):
                    raise
                super().release(dead)  # No room for dead letters: they die when returned again.

    def bury(self, dead: Sequence[Span], reason: str) -> None:
        """Messages in flight have died: dead letters, or dropped."""
        if self._loses_none and self.has_dead_letters:
            self._letters.send(dead, reason)
        else:
            super().bury(dead, reason)

    # The rest is private

    def _options(self) -> QueueOptions:
        options = super()._options()
        if options.overflow == "reject-publish-dlx":
            self._log.warn("{queue} drops its head: reject-publish-dlx is not for it", queue=self)
            options = replace(options, overflow="drop-head")
        return options

    def _begin(self) -> None:
        self._letters = UnsentLetters(self, self.virtual_host.clock)
        self.light.counts_returns = True
        super()._begin()

    @property
    def _loses_none(self) -> bool:
        """Is every dead letter stored somewhere? That needs a queue which drops nothing itself."""
        options = self.options
        return (
            options.dead_letter_strategy == "at-least-once" and options.overflow == "reject-publish"
        )

    def _count_of(self, offset: int) -> Mapping[str, Value]:
        count = self.light.delivery_count(offset)
        return {"x-delivery-count": Long(count)} if count else {}


def _delivery_limit(options: QueueOptions) -> float:
    """How often a message may be returned; below 0, and in RabbitMQ any text, mean for ever.

    But only with a number below 0 is what was returned put at the end.
    """
    limit = options.delivery_limit
    if limit is None:
        return _DELIVERY_LIMIT_DEFAULT
    return limit if is_integer(limit) else float("inf")
