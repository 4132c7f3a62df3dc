"""Who is in which consumer group, what each group subscribes to, and who holds ordered locks.

A member is a session with a client id. Whenever the members or topics of a group change, all its
members are told, so that they share out the queues anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import GroupRequest

from .replies import notification

LOCK_LIFETIME_S = 60.0
ATTEMPTS_MAX = 16  # RocketMQ's retryMaxTimes.
_RETRY_PREFIX = "%RETRY%"
_DEAD_LETTER_PREFIX = "%DLQ%"


def retry_topic(group: str) -> str:
    """Where a group's messages go that are to come again; its clients subscribe to it."""
    return _RETRY_PREFIX + group


def dead_letter_topic(group: str) -> str:
    """Where a group's messages go that came again too often."""
    return _DEAD_LETTER_PREFIX + group


def is_retry_topic(topic: str) -> bool:
    """Is this topic some group's, for what is to come again?"""
    return topic.startswith(_RETRY_PREFIX)


def retrying_group(topic: str) -> str:
    """Whose retry topic this is."""
    return topic.removeprefix(_RETRY_PREFIX)


def attempts_max(asked: int | None) -> int:
    """How often a message comes again before it is a dead letter; a client may say."""
    return ATTEMPTS_MAX if asked is None or asked < 0 else asked


class Member(Protocol):
    """A session, as its groups see it."""

    def notify(self, command: RemotingCommand) -> None:
        """Send a request of ours."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """What a group wants of a topic."""

    expression: str
    expression_type: str
    version: int


@dataclass(slots=True)
class _Group:
    # With their client ids, or "" for those that pop.
    members: dict[Member, str] = field(default_factory=dict)
    subscriptions: dict[str, Subscription] = field(default_factory=dict)
    is_broadcast: bool = False


class ConsumerGroups:
    """The groups with at least one member online."""

    def __init__(self) -> None:
        self._groups: dict[str, _Group] = {}
        self._of_member: dict[Member, dict[str, None]] = {}

    def join(
        self,
        name: str,
        member: Member,
        client_id: str,
        subscriptions: Mapping[str, Subscription],
        is_broadcast: bool,
        is_popping: bool = False,
    ) -> bool:
        """Take in one heartbeat of a member; return whether the group changed by it.

        A member that pops takes from any queue, so it has no part in sharing out the queues.
        """
        group = self._groups.setdefault(name, _Group())
        shown = "" if is_popping else client_id
        is_changed = group.members.get(member) != shown
        group.members[member] = shown
        self._of_member.setdefault(member, {})[name] = None
        group.is_broadcast = is_broadcast
        is_changed |= group.subscriptions.keys() != subscriptions.keys()
        # What another member says may be newer; topics that this one does not name are dropped.
        group.subscriptions = {
            topic: max(subscription, group.subscriptions.get(topic, subscription), key=_version)
            for topic, subscription in subscriptions.items()
        }
        if is_changed:
            self._notify(name, group)
        return is_changed

    def leave(self, name: str, member: Member) -> None:
        """Take a member out of one group; no error if it is not in it."""
        group = self._groups.get(name)
        if group is None or group.members.pop(member, None) is None:
            return
        names = self._of_member[member]
        del names[name]
        if not names:
            del self._of_member[member]
        if group.members:
            self._notify(name, group)
        else:
            del self._groups[name]

    def leave_all(self, member: Member) -> None:
        """The member's connection is gone."""
        for name in self.of_member(member):
            self.leave(name, member)

    def of_member(self, member: Member) -> list[str]:
        """The groups that a member is in."""
        return list(self._of_member.get(member, ()))

    def client_ids(self, name: str) -> list[str]:
        """The members of a group that share out its queues."""
        group = self._groups.get(name)
        return [] if group is None else sorted(set(group.members.values()) - {""})

    def subscription(self, name: str, topic: str) -> Subscription | None:
        """What the group said that it wants of a topic."""
        group = self._groups.get(name)
        return None if group is None else group.subscriptions.get(topic)

    def is_broadcast(self, name: str) -> bool:
        """Whether each member reads everything, and remembers itself how far it has come."""
        group = self._groups.get(name)
        return group is not None and group.is_broadcast

    def _notify(self, name: str, group: _Group) -> None:
        if group.is_broadcast:
            return
        for member in group.members:
            member.notify(notification(RequestCode.NOTIFY_CONSUMER_IDS_CHANGED, GroupRequest(name)))


def _version(subscription: Subscription) -> int:
    return subscription.version


QueueKey = tuple[str, str, int]  # Group, topic, queue id.


class QueueLocks:
    """Ordered consumption: one client of a group at a time holds a queue, for 60 s at most.

    A lost connection does not release a lock; its end does (the fact sheet, trap 22).
    """

    def __init__(self) -> None:
        # With the time of its end: the first to end comes first, as all last equally long.
        self._owners: dict[QueueKey, tuple[str, float]] = {}

    def __len__(self) -> int:
        """How many locks are known, of which some may have ended."""
        return len(self._owners)

    def lock(self, key: QueueKey, client_id: str, now: float) -> bool:
        """Take or renew a lock; return whether the client has it now."""
        self._forget_ended(now)
        owner = self._owners.get(key)
        if owner is not None and owner[0] != client_id:
            return False
        self._owners.pop(key, None)
        self._owners[key] = (client_id, now + LOCK_LIFETIME_S)
        return True

    def unlock(self, key: QueueKey, client_id: str) -> None:
        """Give a lock back; no error if another client has it."""
        owner = self._owners.get(key)
        if owner is not None and owner[0] == client_id:
            del self._owners[key]

    def _forget_ended(self, now: float) -> None:
        while self._owners:
            key, (_, end) = next(iter(self._owners.items()))
            if end > now:
                return
            del self._owners[key]
