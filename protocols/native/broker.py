"""What all native connections share: groups and their progress, and invisible messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.errors import is_disk_full
from gateway.gateway import Gateway
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.ids import Address, UniqueKeys
from rosettamq.remoting.records import NO_HOST

from .filters import MessageFilter, parse_filter
from .groups import ConsumerGroups, QueueLocks
from .invisible import InvisibleMessages
from .language import Place, to_record
from .own_group import OwnGroup, OwnLane
from .own_pulls import OwnPulls
from .progress import Progress, Source, Taken
from .replies import RequestRefusedError
from .retry_topics import Return, publish_return
from .rights import Rights
from .topics import Topics
from .windows import GroupWindow, GroupWindows

if TYPE_CHECKING:
    from twisted.internet.interfaces import IReactorTime

BROKER_NAME = "broker-a"
CLUSTER_NAME = "DefaultCluster"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one client may ask for."""

    message_size_max: int = 4 * 1024 * 1024
    # One answer holds at least one message, and no further one past this.
    answer_size_max: int = 256 * 1024
    pull_count_max: int = 1024
    suspend_max_s: float = 60.0
    held_requests_max: int = 1024
    in_flight_max: int = 10_000
    groups_max: int = 1024


class Broker:
    """The state behind the sessions."""

    def __init__(
        self, gateway: Gateway, clock: IReactorTime, rights: Rights, limits: Limits
    ) -> None:
        self.gateway = gateway
        self.rights = rights
        self.topics = Topics(gateway, rights)
        self.clock = clock
        self.limits = limits
        self.groups = ConsumerGroups()
        self.locks = QueueLocks()
        self.invisible = InvisibleMessages(clock, gateway.turn)
        self.unique_keys = UniqueKeys()
        self.own_pulls = OwnPulls()
        self.store_host = NO_HOST  # Ours, for who has no connection to ask.
        self._windows: dict[tuple[Lane, str], GroupWindow] = {}

    def now_ms(self) -> int:
        """The time as RocketMQ writes it."""
        return int(self.clock.seconds() * 1000)

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

    def _window(self, lane: Lane, group: str, init_mode: int = 0) -> GroupWindow:
        window = self._windows.get((lane, group))
        if window is None:
            start = lane.group_offset(group)
            if start is None:
                start = new_group_offset(lane, init_mode)
                lane.commit_group_offset(group, start)  # What comes after is kept for it.
            window = GroupWindow(lane, group, start, self.limits.in_flight_max, self._bury)
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
            publish_return(self.topics.virtual_host, record, on_durable)
        except RequestRefusedError:
            return False  # They are full, or it is too large: it comes once more.
        except OSError as error:
            if not is_disk_full(error):
                raise
            return False
        return True

    def commit(self, lane: Lane, group: str, offset: int) -> None:
        """Set where another group stands; backwards is allowed."""
        if lane.group_offset(group) != offset:
            lane.commit_group_offset(group, offset)
        window = self._windows.get((lane, group))
        if window is not None:
            window.reset(offset)
            self.invisible.forget((lane, group))

    def hide(self, lane: Lane, group: str, offsets: Sequence[int], duration_s: float) -> None:
        """Keep messages in flight of the queue's own group invisible, then have them again."""
        now_ms = self.now_ms()
        self.invisible.hide((lane, group), OwnLane(lane), offsets, now_ms, duration_s)

    def keep_for(self, lane: Lane, group: str, offset: int) -> None:
        """A group reads from `offset` on that has never committed: keep for it what comes after.

        Without this, what AMQP consumers of the queue acknowledge could be gone before it is read.
        """
        if lane.group_offset(group) is None and not self.groups.is_broadcast(group):
            bounded = min(max(offset, lane.min_offset), lane.max_offset)
            lane.commit_group_offset(group, bounded)

    def is_current(self, queue: Queue) -> bool:
        """Whether the queue is still there; drops what is kept for it when not."""
        if queue.light.deleted:
            self._forget_deleted()
        return not queue.light.deleted

    def _forget_deleted(self) -> None:
        for key in [key for key in self._windows if key[0].queue.light.deleted]:
            del self._windows[key]
            self.invisible.forget(key)
        self.own_pulls.forget_deleted()

    def message_filter(
        self, group: str, topic: str, expression: str | None, expression_type: str | None
    ) -> MessageFilter:
        """The filter in a request, or the one that the group's heartbeats brought."""
        if expression is None:
            subscription = self.groups.subscription(group, topic)
            if subscription is None:
                raise RequestRefusedError(
                    ResponseCode.SUBSCRIPTION_NOT_EXIST,
                    f"the consumer's subscription not exist: {group} has none for {topic}",
                )
            expression, expression_type = subscription.expression, subscription.expression_type
        return parse_filter(expression, expression_type)

    def record(self, topic: str, taken: Taken, store_host: Address) -> bytes:
        """Write a message of a lane as the record that a native reader expects."""
        lane, offset = taken.lane, taken.offset
        place = Place(topic, offset, *lane.location(offset), store_host, lane.level)
        return to_record(taken.message, place, taken.times)

    def collect(
        self,
        topic: str,
        source: Source,
        count: int,
        message_filter: MessageFilter,
        store_host: Address,
    ) -> tuple[Sequence[Taken], bytes]:
        """Take at most `count` messages that fit into one answer."""
        taken: list[Taken] = []
        records: list[bytes] = []
        size = 0
        while len(taken) < count and size < self.limits.answer_size_max:
            entries = source.take(1, message_filter)
            if not entries:
                break
            taken += entries
            records.append(self.record(topic, entries[0], store_host))
            size += len(records[-1])
        return taken, b"".join(records)


def new_group_offset(lane: Lane, init_mode: int) -> int:
    """Where a group begins that has never been here.

    Mode 1 means the end, but as in RocketMQ a queue that still has its first message is young, and
    is read from there.
    """
    return lane.max_offset if init_mode == 1 and lane.min_offset > 0 else lane.min_offset
