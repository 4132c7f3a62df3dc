"""What all native connections share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gateway.gateway import Gateway
from gateway.queues.lane import Lane
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.ids import UniqueKeys

from .filters import MessageFilter, parse_filter
from .groups import ConsumerGroups, QueueLocks
from .invisible import InvisibleMessages
from .own_group import OwnLane
from .own_pulls import OwnPulls
from .positions import Positions
from .replies import RequestRefusedError
from .rights import Rights
from .topics import Topics

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
        self.positions = Positions(
            self.topics, self.groups, self.invisible, self.own_pulls, limits.in_flight_max
        )

    def now_ms(self) -> int:
        """The time as RocketMQ writes it."""
        return int(self.clock.seconds() * 1000)

    def hide(self, lane: Lane, group: str, offsets: Sequence[int], duration_s: float) -> None:
        """Keep messages in flight of the queue's own group invisible, then have them again."""
        now_ms = self.now_ms()
        self.invisible.hide((lane, group), OwnLane(lane), offsets, now_ms, duration_s)

    def message_filter(
        self,
        group: str,
        topic: str,
        expression: str | None,
        expression_type: str | None,
        version: int = 0,
    ) -> MessageFilter:
        """The filter in a request, or the one that the group's heartbeats brought.

        That one must not be older than the client's own, which has the `version`.
        Raises `RequestRefusedError`.
        """
        if expression is None:
            subscription = self.groups.subscription(group, topic)
            if subscription is None:
                raise RequestRefusedError(
                    ResponseCode.SUBSCRIPTION_NOT_EXIST,
                    f"the consumer's subscription not exist: {group} has none for {topic}",
                )
            if subscription.version < version:
                raise RequestRefusedError(
                    ResponseCode.SUBSCRIPTION_NOT_LATEST,
                    f"the consumer's subscription not latest: that of {group} for {topic}",
                )
            expression, expression_type = subscription.expression, subscription.expression_type
        return parse_filter(expression, expression_type)
