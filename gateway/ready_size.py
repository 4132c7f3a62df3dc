"""How many bytes of bodies are ready in a queue: counted only for a queue whose size is limited."""

from __future__ import annotations

from collections.abc import Iterable

from core.light_queue import LightQueue, Span

_READ_COUNT = 1000


class ReadySize:
    """The sum of what `count_new` found and `returned` brought back, less what was `taken`."""

    def __init__(self, light: LightQueue) -> None:
        self.value = 0
        self._light = light
        self._counted_end = light.window.floor
        settled = light.window.settled.in_order()
        self.count_new()
        for start, end in settled:  # Before a restart.
            self._add(range(start, min(end, self._counted_end)), -1)

    def count_new(self) -> None:
        """Count what was appended since; before anything is taken."""
        end = self._light.max_offset
        while self._counted_end < end:
            found = self._light.read(self._counted_end, _READ_COUNT)
            if not found:
                break
            self.value += sum(len(message[2]) for _, message in found)
            self._counted_end = found[-1][0] + 1
        self._counted_end = end

    def taken(self, spans: Iterable[Span]) -> None:
        """These are in flight."""
        for _, messages, _ in spans:
            self.value -= sum(len(body) for _, _, body in messages)

    def returned(self, offsets: Iterable[int]) -> None:
        """These are ready again."""
        self._add(offsets, 1)

    def purged(self) -> None:
        """Nothing is ready."""
        self.value = 0
        self._counted_end = self._light.max_offset

    def _add(self, offsets: Iterable[int], sign: int) -> None:
        for offset in offsets:
            for found, message in self._light.read(offset, 1):
                if found == offset:
                    self.value += sign * len(message[2])
