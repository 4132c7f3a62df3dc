"""What clients pull as the queue's own group: theirs until they commit an offset above it.

A lane is one client's at a time. When another one of the group pulls it, as the members share the
queue ids out anew, or the client leaves the group or is gone, what it has not committed goes back,
and its long polls take nothing more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from gateway.queues.lane import Lane

from .own_group import OwnLane
from .progress import Taken


class PulledMessage(NamedTuple):
    """A message in flight to the client that pulled it."""

    lane: Lane
    offset: int
    log_offset: int
    times: int  # How often it was delivered before.


class OwnPull:
    """One client's pulls of one lane, as long as it has the lane."""

    def __init__(self, client: object, lane: Lane) -> None:
        self.client = client
        self.lane = lane
        self.is_over = False
        self._in_flight: dict[int, PulledMessage] = {}  # By offset.
        self._by_log_offset: dict[int, PulledMessage] = {}  # Which is how clients name a message.
        self._waiting: dict[Callable[[], None], None] = {}

    def __len__(self) -> int:
        """How many messages are in flight."""
        return len(self._in_flight)

    def add(self, taken: Iterable[Taken]) -> None:
        """These are in flight to the client."""
        for entry in taken:
            log_offset = self.lane.location(entry.offset).log_offset
            pulled = PulledMessage(self.lane, entry.offset, log_offset, entry.times)
            self._in_flight[entry.offset] = self._by_log_offset[log_offset] = pulled

    def at(self, log_offset: int) -> PulledMessage | None:
        """The message that lies there in the log, if it is in flight."""
        return self._by_log_offset.get(log_offset)

    def forget(self, pulled: PulledMessage) -> None:
        """It is settled, or somebody else sees to it from now on."""
        del self._in_flight[pulled.offset]
        del self._by_log_offset[pulled.log_offset]

    def settle_below(self, end: int) -> None:
        """The client has committed `end`: what it has in flight below is done."""
        done = [pulled for offset, pulled in self._in_flight.items() if offset < end]
        for pulled in done:
            self.forget(pulled)
        OwnLane(self.lane).settle([pulled.offset for pulled in done])

    def wait(self, stop: Callable[[], None]) -> Callable[[], None]:
        """A long poll waits; `stop` is called when it is to take nothing. Returns what ends it."""
        self._waiting[stop] = None

        def end() -> None:
            self._waiting.pop(stop, None)
            stop()

        return end

    def end(self) -> None:
        """The client has the lane no more."""
        self.is_over = True
        waiting, self._waiting = self._waiting, {}
        for stop in waiting:
            stop()
        offsets = list(self._in_flight)
        self._in_flight.clear()
        self._by_log_offset.clear()
        OwnLane(self.lane).release(offsets)


class OwnPulls:
    """Which client has which lane."""

    def __init__(self) -> None:
        self._by_lane: dict[Lane, OwnPull] = {}
        self._by_client: dict[object, dict[Lane, OwnPull]] = {}

    def begin(self, client: object, lane: Lane) -> OwnPull:
        """A client pulls a lane: it has it from now on."""
        pull = self._by_lane.get(lane)
        if pull is None or pull.client is not client:
            if pull is not None:
                self._end(pull)
            pull = self._by_lane[lane] = OwnPull(client, lane)
            self._by_client.setdefault(client, {})[lane] = pull
        return pull

    def settle_below(self, client: object, lane: Lane, end: int) -> None:
        """A client has committed an offset; of a lane that it has not, that says nothing."""
        pull = self._by_client.get(client, {}).get(lane)
        if pull is not None:
            pull.settle_below(end)

    def find(self, client: object, group: str, log_offset: int) -> PulledMessage | None:
        """The message that a client has pulled from there in the log, as this group."""
        for pull in self._of_group(client, group):
            if (pulled := pull.at(log_offset)) is not None:
                return pulled
        return None

    def forget(self, pulled: PulledMessage) -> None:
        """It is settled, or somebody else sees to it from now on."""
        self._by_lane[pulled.lane].forget(pulled)

    def leave(self, client: object, group: str) -> None:
        """A client is no member of this group any more."""
        for pull in self._of_group(client, group):
            self._end(pull)

    def leave_all(self, client: object) -> None:
        """A client is gone."""
        for pull in list(self._by_client.get(client, {}).values()):
            self._end(pull)

    def forget_deleted(self) -> None:
        """Queues are gone: nobody has their lanes."""
        for pull in [pull for pull in self._by_lane.values() if pull.lane.queue.light.deleted]:
            self._end(pull)

    def _of_group(self, client: object, group: str) -> list[OwnPull]:
        pulls = self._by_client.get(client, {}).values()
        return [pull for pull in pulls if pull.lane.queue.is_own_group(group)]

    def _end(self, pull: OwnPull) -> None:
        pulls = self._by_client[pull.client]
        del pulls[pull.lane]
        if not pulls:
            del self._by_client[pull.client]
        del self._by_lane[pull.lane]
        pull.end()
