"""What pops and pulls need of a group, in one shape for both kinds of group.

The queue's own group (of the same name) takes what is ready, in competition with AMQP and STOMP:
see `own_group`. Any other group reads along in windows of its own and takes nothing from anyone:
see `windows`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple, Protocol

from gateway.messages import Message
from gateway.queues.lane import Lane

from .filters import MessageFilter

# How many entries one take looks at before it answers with what it has.
SCAN_COUNT_MAX = 1024


class Taken(NamedTuple):
    """A message of a lane that is now in flight; `times` is how often it was delivered before."""

    lane: Lane
    offset: int
    message: Message
    times: int


class Source(Protocol):
    """Where a group takes messages: at one lane of a queue, or at all, the highest first."""

    @property
    def has_more(self) -> bool:
        """Is there more to look at than the last `take` did, as its filter passed over much?"""

    def take(self, count: int, message_filter: MessageFilter) -> list[Taken]:
        """Put at most `count` messages in flight."""

    def watch(self, count: int, stir: Callable[[], None]) -> Callable[[], None]:
        """Call `stir` when there may be something to take; return what ends that."""

    def give_back(self) -> None:
        """Nobody will take what came while watching, if that is in flight by now."""


class Progress(Protocol):
    """What becomes of the messages of a lane that a group has in flight."""

    def settle(self, offsets: Collection[int]) -> None:
        """These are done; they must be in flight."""

    def release(self, offsets: Collection[int]) -> None:
        """These go back, to be delivered again; they must be in flight."""
