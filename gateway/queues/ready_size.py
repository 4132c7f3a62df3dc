"""How many bytes of bodies are ready in a queue: counted only for a queue whose size is limited."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from core.lanes import AnyQueue
from core.readable_queue import Span

_READ_COUNT = 1000


class ReadySize:
    """The sum of what `count_new` found and `returned` brought back, less what was `taken`."""

    def __init__(self, light: AnyQueue) -> None:
        self.value = 0
        self._light = light
        self._counted_ends = {level: lane.max_offset for level, lane in light.lanes.items()}
        for lane in light.lanes.values():
            position = lane.window.next_offset
            while position < lane.max_offset:
                found, position = lane.ready_from(position, _READ_COUNT)
                self.value += sum(len(message[2]) for _, message in found)
        self.value += sum(_sizes(light, light.returned_offsets()))

    def count_new(self) -> None:
        """Count what was appended since; before anything is taken."""
        for level, lane in self._light.lanes.items():
            counted_end, end = self._counted_ends.get(level, 0), lane.max_offset
            while counted_end < end:
                found = lane.read(counted_end, _READ_COUNT)
                if not found:
                    break
                self.value += sum(len(message[2]) for _, message in found)
                counted_end = found[-1][0] + 1
            self._counted_ends[level] = end

    def taken(self, spans: Iterable[Span]) -> None:
        """These are in flight."""
        for _, messages, _ in spans:
            self.value -= sum(len(body) for _, _, body in messages)

    def returned(self, offsets: Iterable[int]) -> None:
        """These are ready again."""
        self.value += sum(_sizes(self._light, offsets))

    def purged(self) -> None:
        """Nothing is ready."""
        self.value = 0
        self._counted_ends = {level: lane.max_offset for level, lane in self._light.lanes.items()}


def _sizes(light: AnyQueue, offsets: Iterable[int]) -> Iterator[int]:
    """How large the bodies at these offsets are; nothing for what is not held."""
    for offset in offsets:
        for found, message in light.read(offset, 1):
            if found == offset:
                yield len(message[2])
