"""How far each group has come in each lane, and what becomes of what it takes there.

The queue's own group *is* the queue. Any other one has a committed offset, which the queue keeps,
and a window once it has popped.
"""

from __future__ import annotations

from collections.abc import Sequence

from core.errors import is_disk_full
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue
from rosettamq.remoting.records import NO_HOST

from .groups import ConsumerGroups
from .invisible import InvisibleMessages
from .own_group import OwnGroup, OwnLane
from .own_pulls import OwnPulls
from .progress import Progress, Source
from .replies import RequestRefusedError
from .retry_topics import Return, publish_return
from .topics import Topics
from .windows import GroupWindow, GroupWindows


class Positions:
    """Those of all groups. What queues kept that are gone is forgotten when somebody asks for them.

    `store_host` is our address, for dead letters that no connection asks for.
    """

    def __init__(
        self,
        topics: Topics,
        groups: ConsumerGroups,
        invisible: InvisibleMessages,
        own_pulls: OwnPulls,
        in_flight_max: int,
    ) -> None:
        self.store_host = NO_HOST
        self._topics = topics
        self._groups = groups
        self._invisible = invisible
        self._own_pulls = own_pulls
        self._in_flight_max = in_flight_max
        self._windows: dict[tuple[Lane, str], GroupWindow] = {}

    def source(self, queue: Queue, group: str, lanes: Sequence[Lane], init_mode: int = 0) -> Source:
        """Where a group takes messages of one lane of a queue, or of all.

        `init_mode` 1 starts a new group at the end.
        """
        if queue.is_own_group(group):
            return OwnGroup(queue, lanes[0] if len(lanes) == 1 else None)
        return GroupWindows([self._window(lane, group, init_mode) for lane in lanes])

    def progress(self, lane: Lane, group: str) -> Progress:
        """What becomes of what a group has taken of a lane."""
        return OwnLane(lane) if lane.queue.is_own_group(group) else self._window(lane, group)

    def commit(self, lane: Lane, group: str, offset: int) -> None:
        """Set where another group stands; backwards is allowed."""
        if lane.group_offset(group) != offset:
            lane.commit_group_offset(group, offset)
        window = self._windows.get((lane, group))
        if window is not None:
            window.reset(offset)
            self._invisible.forget((lane, group))

    def keep_for(self, lane: Lane, group: str, offset: int) -> None:
        """A group reads from `offset` on that has never committed: keep for it what comes after.

        Without this, what AMQP consumers of the queue acknowledge could be gone before it is read.
        """
        if lane.group_offset(group) is None and not self._groups.is_broadcast(group):
            bounded = min(max(offset, lane.min_offset), lane.max_offset)
            lane.commit_group_offset(group, bounded)

    def is_current(self, queue: Queue) -> bool:
        """Whether the queue is still there; drops what is kept for it when not."""
        if queue.light.deleted:
            self._forget_deleted()
        return not queue.light.deleted

    # The rest is private

    def _window(self, lane: Lane, group: str, init_mode: int = 0) -> GroupWindow:
        window = self._windows.get((lane, group))
        if window is None:
            start = lane.group_offset(group)
            if start is None:
                start = new_group_offset(lane, init_mode)
                lane.commit_group_offset(group, start)  # What comes after is kept for it.
            window = GroupWindow(lane, group, start, self._in_flight_max, self._bury)
            self._forget_deleted()
            self._windows[(lane, group)] = window
        return window

    def _bury(self, lane: Lane, group: str, offset: int, times: int) -> bool:
        """A message came back from a group too often: to its dead letters, if they take it."""
        found = lane.read(offset, 1)
        if not found or found[0][0] != offset:
            return False  # The group's window sees that for itself.
        back = Return(found[0][1], group, lane.location(offset).log_offset, times - 1)

        def on_durable() -> None:
            if (window := self._windows.get((lane, group))) is not None:
                window.settle([offset])

        try:
            record = back.dead_letter(self.store_host)
            publish_return(self._topics.virtual_host, record, on_durable)
        except RequestRefusedError:
            return False  # They are full, or it is too large: it comes once more.
        except OSError as error:
            if not is_disk_full(error):
                raise
            return False
        return True

    def _forget_deleted(self) -> None:
        for key in [key for key in self._windows if key[0].queue.light.deleted]:
            del self._windows[key]
            self._invisible.forget(key)
        self._own_pulls.forget_deleted()


def new_group_offset(lane: Lane, init_mode: int) -> int:
    """Where a group begins that has never been here.

    Mode 1 means the end, but as in RocketMQ a queue that still has its first message is young, and
    is read from there.
    """
    return lane.max_offset if init_mode == 1 and lane.min_offset > 0 else lane.min_offset
