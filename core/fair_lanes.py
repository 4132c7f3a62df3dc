"""Two lanes of which neither waits for ever, and a line of what was returned.

Of three messages the upper lane has two, while both lanes hold something; the third one is the
lower lane's, unless the upper one's next message is older. What is returned does not go to its
place, but stands in line in the order in which it came back: before both lanes, or else behind what
was in the lower lane just then.

A message in the line is still in flight for its lane: only this module knows that it is ready. So a
restart, which brings back what was in flight, need not know the line; all is at its place then.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any

from core.lanes import LEVEL_SHIFT, OFFSET_MASK, Lanes
from core.light_queue import LightQueue
from core.readable_queue import Head, Span

_LINE, _LOWER, _UPPER = -1, 0, 1
_SHARE = 2  # So many of the upper lane, then one of the lower.
_RUNS_MAX = 32  # So often one take goes from lane to lane: a turn is short.


class FairLanes(Lanes):
    """See the module's docstring."""

    def __init__(
        self,
        levels: dict[int, LightQueue],
        returns_first: bool,
        make_lane: Callable[[int], LightQueue],
    ) -> None:
        super().__init__(levels, _UPPER, make_lane)
        self._returns_first = returns_first
        # The offsets in line, each with the lower lane's offset that comes before it.
        self._line: OrderedDict[int, int] = OrderedDict()
        self._turn = 0  # How many there were since the lower lane's share.

    @property
    def ready_count(self) -> int:
        """Messages that wait to be delivered."""
        return super().ready_count + len(self._line)

    @property
    def in_flight_count(self) -> int:
        """Messages that were taken, and neither settled nor released."""
        return super().in_flight_count - len(self._line)

    def take(self, count: int) -> list[Span]:
        """At most `count` ready messages go in flight; fewer if they are large.

        The caller has them settled or released later.
        """
        spans: list[Span] = []
        for _ in range(_RUNS_MAX):
            level, share = self._next()
            wanted = min(count, share)
            if not wanted:
                break
            found = self._take_line() if level == _LINE else self._take_lane(level, wanted)
            spans += found
            taken = sum(len(messages) for _, messages, _ in found)
            count -= taken
            if level != _LINE or not self._returns_first:
                self._turn = (self._turn + taken) % (_SHARE + 1)
            if 0 < taken < wanted:
                break  # They are large.
        return spans

    def peek(self, count: int) -> Head | None:
        """What `take` would give first, all of one lane; None if nothing is ready."""
        while True:
            level, share = self._next()
            if not share:
                return None
            if level == _LINE:
                if (head := self._peek_line()) is not None:
                    return head
            elif (head := self._lanes[level].peek(min(count, share))) is not None:
                return (level << LEVEL_SHIFT) + head[0], head[1], head[2]

    def release(self, offsets: Iterable[int]) -> None:
        """Messages in flight get in line, to be delivered again."""
        if self.deleted:
            return
        for offset in offsets:
            self._lane_of(offset).count_return(offset & OFFSET_MASK)
            self._line[offset] = self.main.max_offset

    def take_at(self, offset: int) -> bool:
        """One ready message goes in flight out of its turn; was it delivered before?"""
        return self._line.pop(offset, None) is not None or super().take_at(offset)

    def is_returned(self, offset: int) -> bool:
        """Does this message wait to be delivered again?"""
        return offset in self._line

    def is_ready(self, offset: int) -> bool:
        """Could this message, which is held, be taken now?"""
        return offset in self._line or super().is_ready(offset)

    def returned_offsets(self) -> list[int]:
        """What waits to be delivered again, lowest first."""
        return sorted(self._line)

    def purge(self) -> int:
        """Drop what is ready; return how many messages that were."""
        count = super().purge() + len(self._line)
        while self._line:
            self._drop_first()
        return count

    # The rest is private

    @property
    def _first(self) -> int:
        """Who is first in line; there must be one."""
        return next(iter(self._line))

    def _next(self) -> tuple[int, int]:
        """Whose turn it is, and for how many messages at most; for none if nothing is ready."""
        line, lower, upper = self._line, self.main, self._lanes.get(_UPPER)
        if line and self._returns_first:
            return _LINE, 1
        lower_count = lower.ready_count
        upper_count = upper.ready_count if upper is not None else 0
        if upper is not None and upper_count:
            if not (lower_count or line):
                return _UPPER, upper_count
            if self._turn < _SHARE:
                return _UPPER, _SHARE - self._turn
            if lower_count and upper.next_place < lower.next_place:
                return _UPPER, 1
        if not line:
            return _LOWER, 1 if upper_count else lower_count
        ahead = line[self._first] - lower.window.next_offset
        if not lower_count or ahead <= 0:
            return _LINE, 1
        return _LOWER, 1 if upper_count else ahead

    def _take_lane(self, level: int, count: int) -> list[Span]:
        base = level << LEVEL_SHIFT
        return [
            (base + start, messages, redelivered)
            for start, messages, redelivered in self._lanes[level].take(count)
        ]

    def _take_line(self) -> list[Span]:
        """The first in line, if it can be read."""
        offset = self._first
        messages = self._read_at(offset)
        if not messages:
            self._drop_first()
            return []
        del self._line[offset]
        return [(offset, messages, True)]

    def _peek_line(self) -> Head | None:
        offset = self._first
        messages = self._read_at(offset)
        if not messages:
            self._drop_first()
            return None
        return offset, messages, self.location(offset)[1]

    def _drop_first(self) -> None:
        offset, _ = self._line.popitem(last=False)
        self.settle(offset, offset + 1)

    def _read_at(self, offset: int) -> list[Any]:
        """The message at this offset, if it can be read."""
        found = self._lane_of(offset).read(offset & OFFSET_MASK, 1)
        return [message for each, message in found if each == offset & OFFSET_MASK]
