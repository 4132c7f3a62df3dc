"""A stream: a queue that is read, and from which nothing is taken.

Every consumer is a reader with a position of its own: acknowledgements only give it credit. What
is old goes, by whole chunks, as the arguments say (see `gateway.queues.retention`); the offsets of
the messages, which every delivery shows, are theirs for ever.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall

from gateway.errors import NotSupportedError, PreconditionFailedError
from gateway.messages import Value
from gateway.queues.arguments import check_consumer_arguments
from gateway.queues.consumer import PLAIN_TERMS, Consumer, Delivery, Terms
from gateway.queues.dead_letters import REJECTED
from gateway.queues.line import Line
from gateway.queues.queue import Queue
from gateway.queues.retention import Retention
from gateway.queues.selectors import Selects, consumer_selector
from gateway.queues.stream_filters import parse_filter
from gateway.queues.stream_offsets import Since, parse_stream_offset
from gateway.values import Long

if TYPE_CHECKING:
    from core.readable_queue import Span

_READ_COUNT_MAX = 512  # Messages per reader and round; a turn goes on with the next round.


class _Reader:
    """Where one consumer is, and what it wants."""

    __slots__ = ("consumer", "filters", "position")

    def __init__(self, consumer: Consumer, position: int, filters: Sequence[Selects]) -> None:
        self.consumer = consumer
        self.position = position  # All before it was delivered, or is not wanted.
        self.filters = filters


def _stamp(offset: int) -> Mapping[str, Value]:
    return {"x-stream-offset": Long(offset)}


class Stream(Queue):
    """See above. The window of its own group knows only what is retained."""

    heeds_shared_credit = False

    _scan_call: IDelayedCall | None = None

    # Life

    def keep_up(self) -> None:
        """There is nothing to look after."""

    def restored(self) -> None:
        """See to what became too old meanwhile."""
        self._retention.apply()

    def stop(self) -> None:
        """Wait for no time any more."""
        super().stop()
        self._retention.stop()
        call, self._scan_call = self._scan_call, None
        if call is not None:
            call.cancel()

    def check_delete(self, if_unused: bool, if_empty: bool) -> int:
        """A stream may always go; what goes with it is not counted."""
        return 0

    # Consuming

    def subscribe(self, consumer: Consumer, terms: Terms = PLAIN_TERMS) -> None:
        """Add a reader; `exclusive` means nothing here, and there is one lane.

        Raises `PreconditionFailedError` or `NotSupportedError`.
        """
        arguments = terms.arguments
        check_consumer_arguments(self.type, arguments, str(self))
        if not consumer.prefetch:
            raise PreconditionFailedError(f"consumer prefetch count is not set for stream {self}")
        if consumer.no_ack:
            raise NotSupportedError(f"automatic acknowledgement not supported by stream {self}")
        if consumer.shares_credit:
            raise NotSupportedError(f"{self} does not support global qos")
        asked = (terms.selects, consumer_selector(arguments, str(self)), parse_filter(arguments))
        filters = [each for each in asked if each is not None]
        position = self._find_start(arguments.get("x-stream-offset", "next"))
        self._readers[consumer] = _Reader(consumer, position, filters)
        self._join(consumer)

    def unsubscribe(self, consumer: Consumer) -> None:
        """Remove a reader; does nothing if it is not there."""
        self._readers.pop(consumer, None)
        super().unsubscribe(consumer)

    def take(self, count: int) -> list[Delivery]:
        """Nothing can be taken."""
        raise NotSupportedError(f"basic.get not supported by stream queues {self}")

    def purge(self) -> int:
        """What is retained is retained."""
        raise NotSupportedError(f"queue.purge not supported by stream queues {self}")

    def settle(self, start: int, end: int) -> None:
        """Acknowledged: the reader has credit again, that is all."""

    def release(self, offsets: Iterable[int]) -> None:
        """Nothing is delivered twice to one reader."""

    def reject(self, offsets: Iterable[int], reason: str = REJECTED) -> None:
        """Nothing is a dead letter here."""

    def is_own_group(self, group: str) -> bool:
        """All groups only read."""
        return False

    def dispatch(self) -> None:
        """Let all read on who can, and what is too much go."""
        super().dispatch()
        self._retention.apply()

    def deleted(self) -> None:
        """The stream is gone: tell those who read."""
        self._readers.clear()
        super().deleted()

    # The rest is private

    def _begin(self) -> None:
        self._readers: dict[Consumer, _Reader] = {}
        self.stamp = _stamp
        self._light = self.light.lanes[0]  # A stream has no others.
        self._light.keep_nothing_for_groups()
        self._retention = Retention(self._light, self.options, self.virtual_host.clock, self.work)
        self._listen()

    def _set_limits(self) -> None:
        self._retention.follow(self.options)
        self._listen()

    def _listen(self) -> None:
        super()._listen()
        if self._retention.is_limited:
            self.light.dispatcher = self

    def _sole_consumer(self) -> Consumer | None:
        return None  # All read for themselves.

    def _find_start(self, wanted: object) -> int:
        """The offset at which a new reader begins."""
        light = self._light
        now_ms = int(self.virtual_host.clock.seconds() * 1000)
        match parse_stream_offset(wanted, now_ms):
            case "first":
                return light.min_offset
            case "last":
                return light.last_run_offset
            case Since(timestamp_ms):
                return light.search_timestamp(timestamp_ms)
            case int(offset):
                return offset
        return light.max_offset

    def _deliver(self, line: Line) -> None:
        """Let each read one helping, and come again if there is more."""
        has_more = must_scan = False
        for reader in list(self._readers.values()):
            if reader.position >= self._light.max_offset or reader.consumer.credit() <= 0:
                continue
            if not reader.filters:
                self._read_on(reader)
                has_more |= reader.position < self._light.max_offset
            else:
                self._scan_on(reader)
                must_scan |= reader.position < self._light.max_offset
        if has_more:
            self._turn.dispatchers[self] = None
        if must_scan and self._scan_call is None:
            # What a filter leaves out fills no window: the others must have their turn.
            self._scan_call = self.virtual_host.clock.callLater(0, self._go_on)

    def _go_on(self) -> None:
        self._scan_call = None
        self.work()

    def _read_on(self, reader: _Reader) -> None:
        consumer = reader.consumer
        count = min(consumer.credit(), _READ_COUNT_MAX)
        for first_offset, messages, _ in self._look(reader, count):
            consumer.deliver(self, first_offset, messages, False)

    def _scan_on(self, reader: _Reader) -> None:
        consumer = reader.consumer
        left = consumer.credit()
        for first_offset, messages, _ in self._look(reader, _READ_COUNT_MAX):
            for offset, message in enumerate(messages, first_offset):
                if not left:
                    reader.position = offset
                    return
                if all(selects(message) for selects in reader.filters):
                    consumer.deliver(self, offset, [message], False)
                    left -= 1

    def _look(self, reader: _Reader, count: int) -> list[Span]:
        """At most `count` messages at the position of a reader, which moves behind them."""
        spans, reader.position = self._light.look(reader.position, count)
        return spans
