"""One client's requests: what each code means is in the modules beside this one."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from core.errors import is_disk_full
from gateway.connections import Ends
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.ids import Address

from .broker import Broker
from .connection import NativeConnection
from .holding import Attempt, HeldRequest, HeldRequests
from .presence import Presence
from .publishing import SEND_CODES, Publisher
from .replies import RefusalError, disk_full, not_supported, refusal

# Handles one request; None means that it is answered later.
Operation = Callable[["NativeSession", RemotingCommand], RemotingCommand | None]


class NativeSession:
    """The dealings of one connection with the broker."""

    def __init__(
        self,
        broker: Broker,
        connection: NativeConnection,
        operations: Mapping[int, Operation],
        ends: Ends,
        store_host: Callable[[], Address],
        throttle: Callable[[], None],
    ) -> None:
        self.broker = broker
        self.peer_host: Address = (ends.peer_host or "0.0.0.0", ends.peer_port)
        self._connection = connection
        self._operations = operations
        self._store_host = store_host
        self._throttle = throttle
        self._is_refusing = False  # For want of room, which is reported once.
        self.publisher = Publisher()
        self._presence = Presence(broker.rights, ends, broker.clock.seconds(), connection.close)
        self._held = HeldRequests(connection.wake)

    @property
    def store_host(self) -> Address:
        """Our own address, as it stands in records and offset message ids."""
        return self._store_host()

    def handle(self, request: RemotingCommand) -> None:
        """Answer a request, or refuse it."""
        if request.code not in SEND_CODES:
            self.publisher.flush(self)  # What was sent before is there to be read.
        operation = self._operations.get(request.code)
        if operation is None:
            self.answer(request, not_supported(request.code))
            return
        try:
            self._presence.enter(request)
            response = operation(self, request)
        except RefusalError as error:
            response = refusal(error)
        except OSError as error:
            response = self.refuse_without_room(error)
        if response is not None:
            self.answer(request, response)

    def finish_read(self) -> None:
        """Append what this read has sent."""
        self.publisher.flush(self)

    def answer(self, request: RemotingCommand, response: RemotingCommand) -> None:
        """Send an answer that was not ready when the request came."""
        self._connection.answer(request, response)

    def note_published(self) -> None:
        """Read nothing more from a producer until the disk has caught up, if it has to."""
        self._is_refusing = False
        if self.broker.gateway.broker.congested:
            self._throttle()

    def refuse_without_room(self, error: OSError) -> RemotingCommand:
        """Nothing can be stored now: say so to the client and the operator. Raises other errors."""
        if not is_disk_full(error):
            raise error
        if not self._is_refusing:
            self._is_refusing = True
            self.broker.gateway.report_full_disk(error)
        return disk_full()

    def notify(self, command: RemotingCommand) -> None:
        """Send a request of ours."""
        self._connection.notify(command)

    def hold(
        self, request: RemotingCommand, attempt: Attempt, duration_s: float
    ) -> RemotingCommand | None:
        """Try a request, and again whenever it may go better, until its time is over."""
        limits = self.broker.limits
        response = attempt.answer(is_last=duration_s <= 0)
        if response is None:
            if len(self._held) >= limits.held_requests_max:
                remark = f"{len(self._held)} requests wait on this connection, which is the limit"
                return attempt.refuse(RemotingCommand(attempt.full_code, remark=remark))
            deadline = self.broker.clock.seconds() + min(duration_s, limits.suspend_max_s)
            self._held.add(HeldRequest(request, attempt, deadline))
        return response

    def finish_turn(self) -> None:
        """Answer the long polls that something came for."""
        connection, held = self._connection, self._held
        while connection.has_room and (answered := held.take_answered()) is not None:
            connection.answer(*answered)

    def next_deadline(self) -> float | None:
        """When the first long poll is over."""
        return self._held.next_deadline()

    def handle_deadline(self, now: float) -> None:
        """Answer the long polls that are over."""
        connection, held = self._connection, self._held
        while connection.has_room and (answered := held.take_expired(now)) is not None:
            connection.answer(*answered)

    def pause(self) -> None:
        """The client does not read: its long polls take nothing meanwhile."""
        self._held.pause()

    def resume(self) -> None:
        """The client reads again."""
        self._held.resume()

    def leave(self, group: str) -> None:
        """The client is no member of this group any more."""
        self.broker.groups.leave(group, self)
        self.broker.own_pulls.leave(self, group)

    def lost(self) -> None:
        """The client is gone."""
        self._presence.leave()
        self._held.abandon()
        self.broker.own_pulls.leave_all(self)
        self.broker.groups.leave_all(self)
