"""What a stream retains: `x-max-length-bytes` and `x-max-age`, by whole chunks.

For the age, a chunk is what one record of the log holds of the stream; for the size, as many of
these as come to about a sixteenth of what may be retained. The newest always stays. RabbitMQ's
chunks are the segments of a stream's own files, mostly much larger.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from twisted.internet.interfaces import IDelayedCall, IReactorTime

from gateway.queues.stream_offsets import parse_age_ms

if TYPE_CHECKING:
    from core.light_queue import LightQueue
    from gateway.queues.arguments import QueueOptions

_CHUNK_COUNT = 16  # Of the size that may be retained.
_RUNS_MAX = 1000  # So many are looked at before others have their turn.
_CHECKS = 100  # In the time that a message may be retained, about.
_INTERVAL_MIN_S, _INTERVAL_MAX_S = 1.0, 60.0


class Retention:
    """Lets the oldest messages of one stream go.

    `work` has the stream look again, in a turn of its own.
    """

    def __init__(
        self,
        light: LightQueue,
        options: QueueOptions,
        clock: IReactorTime,
        work: Callable[[], None],
    ) -> None:
        self._light = light
        self._clock = clock
        self._work = work
        self._chunks: deque[tuple[int, int]] = deque()  # Where each ends, and its size.
        self._call: IDelayedCall | None = None
        self._call_at_s = 0.0
        self.follow(options)

    @property
    def is_limited(self) -> bool:
        """Does it ever let anything go?"""
        return self._size_max is not None or self._age_max_ms is not None

    def follow(self, options: QueueOptions) -> None:
        """From now on, these options say how much is retained."""
        self.stop()
        self._age_max_ms = None if options.max_age is None else parse_age_ms(options.max_age)
        self._size_max = options.max_length_bytes
        self._chunks.clear()  # How large they are depends on the limit.
        self._size = 0
        self._counted_end = 0  # Everything is counted again, as after a restart.

    def apply(self) -> None:
        """Something was appended, or a time has come: let go what is too much now."""
        if self._size_max is not None:
            self._apply_size(self._size_max)
        if self._age_max_ms is not None:
            self._apply_age(self._age_max_ms)

    def stop(self) -> None:
        """Wait for no time any more."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    # The rest is private

    def _apply_size(self, size_max: int) -> None:
        light, chunks = self._light, self._chunks
        self._count_new(size_max // _CHUNK_COUNT)
        while chunks and chunks[0][0] <= light.min_offset:  # They were too old.
            self._size -= chunks.popleft()[1]
        end = 0
        while self._size > size_max and len(chunks) > 1:
            end, size = chunks.popleft()
            self._size -= size
        if end:
            light.purge(end)

    def _count_new(self, chunk_size: int) -> None:
        """Count what is not counted yet, or as much of it as takes no long time."""
        light, chunks = self._light, self._chunks
        sizes, self._counted_end = light.run_sizes(
            max(self._counted_end, light.min_offset), _RUNS_MAX
        )
        for end, size in sizes:
            self._size += size
            if chunks and chunks[-1][1] + size <= chunk_size:
                chunks[-1] = (end, chunks[-1][1] + size)
            else:
                chunks.append((end, size))
        if len(sizes) == _RUNS_MAX:
            self._call_in(0.0)

    def _apply_age(self, age_max_ms: int) -> None:
        """Look for what is too old, if it is time to, and wait for what will be."""
        light = self._light
        now_s = self._clock.seconds()
        newest = light.last_run_offset
        if self._call is None:
            retained = light.search_timestamp(int(now_s * 1000) - age_max_ms + 1)
            if retained > light.min_offset:
                light.purge(min(retained, newest))
        if light.min_offset < newest:
            interval_s = age_max_ms / 1000 / _CHECKS
            self._call_in(min(max(interval_s, _INTERVAL_MIN_S), _INTERVAL_MAX_S))

    def _call_in(self, delay_s: float) -> None:
        """Look again after this time, or earlier."""
        at_s = self._clock.seconds() + delay_s
        if self._call is not None:
            if self._call_at_s <= at_s:
                return
            self._call.cancel()
        self._call_at_s = at_s
        self._call = self._clock.callLater(delay_s, self._called)

    def _called(self) -> None:
        self._call = None
        self._work()
