"""PULL_MESSAGE and LITE_PULL_MESSAGE, with long polling.

A queue id is a lane of the queue. A group other than the queue's own reads along: nothing is in
flight, its offset is what it commits. The queue's own group takes messages; see `own_pulls`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.queues.lane import Lane
from rosettamq.remoting.codes import PullFlag, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import PullMessageRequest, PullMessageResponse

from .collecting import collect, record_of
from .filters import MessageFilter
from .holding import Attempt
from .own_group import OwnGroup
from .progress import SCAN_COUNT_MAX, Taken
from .replies import RefusalError, RequestRefusedError, refusal, topic_not_found
from .session import NativeSession


def pull_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """PULL_MESSAGE and LITE_PULL_MESSAGE."""
    try:
        return _pull(session, request)
    except RefusalError as error:
        return _with_offsets(refusal(error), 0, None)


def _pull(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    header = PullMessageRequest.from_ext(request.ext_fields)
    broker = session.broker
    lane = broker.topics.find_lane(header.topic, header.queue_id)
    expression = header.subscription if header.sys_flag & PullFlag.SUBSCRIPTION else None
    message_filter = broker.message_filter(
        header.consumer_group, header.topic, expression, header.expression_type, header.sub_version
    )
    attempt: Attempt
    if lane.queue.is_own_group(header.consumer_group):
        if header.sys_flag & PullFlag.COMMIT_OFFSET and header.commit_offset > 0:
            broker.own_pulls.settle_below(session, lane, header.commit_offset)
        attempt = _OwnPull(session, lane, header, message_filter)
    else:
        if header.sys_flag & PullFlag.COMMIT_OFFSET and header.commit_offset >= 0:
            broker.positions.commit(lane, header.consumer_group, header.commit_offset)
        broker.positions.keep_for(lane, header.consumer_group, header.queue_offset)
        attempt = _Pull(session, lane, header, message_filter)
    may_suspend = bool(header.sys_flag & PullFlag.SUSPEND)
    duration_s = header.suspend_timeout_millis / 1000 if may_suspend else 0.0
    return session.hold(request, attempt, duration_s)


def _count(session: NativeSession, header: PullMessageRequest) -> int:
    return max(1, min(header.max_msg_nums, session.broker.limits.pull_count_max))


def _with_offsets(
    response: RemotingCommand, next_offset: int, lane: Lane | None
) -> RemotingCommand:
    """Add the four fields that clients expect whatever the code is."""
    offsets = (0, 0) if lane is None else (lane.min_offset, lane.max_offset)
    response.ext_fields = PullMessageResponse(next_offset, *offsets).to_ext()
    return response


def _answer(code: ResponseCode, next_offset: int, lane: Lane, body: bytes = b"") -> RemotingCommand:
    response = RemotingCommand(code, body=body, remark=_STATUS[code])
    return _with_offsets(response, next_offset, lane)


_STATUS = {
    ResponseCode.SUCCESS: "FOUND",
    ResponseCode.PULL_NOT_FOUND: "NO_NEW_MSG",
    ResponseCode.PULL_RETRY_IMMEDIATELY: "NO_MATCHED_MESSAGE",
    ResponseCode.PULL_OFFSET_MOVED: "OFFSET_ILLEGAL",
}


class _Pull:
    """A pull of another group: from its offset on, nothing changes.

    As long as it waits, and only what its filter does not want comes, it waits on.
    """

    full_code = ResponseCode.FLOW_CONTROL

    def __init__(
        self,
        session: NativeSession,
        lane: Lane,
        header: PullMessageRequest,
        message_filter: MessageFilter,
    ) -> None:
        self._session = session
        self._lane = lane
        self._header = header
        self._message_filter = message_filter
        self._offset = header.queue_offset  # Nothing below is wanted.
        self._waits = False

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Read what is there."""
        lane = self._lane
        offset = self._offset
        if not self._session.broker.positions.is_current(lane.queue):
            raise topic_not_found(self._header.topic)
        if offset > lane.max_offset:
            return _answer(ResponseCode.PULL_OFFSET_MOVED, lane.max_offset, lane)
        if offset < lane.min_offset:
            return _answer(ResponseCode.PULL_OFFSET_MOVED, lane.min_offset, lane)
        if offset < lane.max_offset:
            self._offset, body = self._read(offset)
            if body:
                return _answer(ResponseCode.SUCCESS, self._offset, lane, body)
        if not is_last and (self._waits or offset == self._offset == lane.max_offset):
            return None
        was_there = self._offset > self._header.queue_offset
        code = ResponseCode.PULL_RETRY_IMMEDIATELY if was_there else ResponseCode.PULL_NOT_FOUND
        return _answer(code, self._offset, lane)

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait for the next append."""
        self._waits = True
        return self._lane.queue.watch(stir)

    def abandon(self) -> None:
        """Nothing was taken."""

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        """Add the four fields."""
        return _with_offsets(refused, self._offset, None)

    def _read(self, offset: int) -> tuple[int, bytes]:
        """Return where the next pull begins, and the records."""
        broker, lane = self._session.broker, self._lane
        size_max = broker.limits.answer_size_max
        count = _count(self._session, self._header)
        records: list[bytes] = []
        scanned = size = 0
        while len(records) < count and scanned < SCAN_COUNT_MAX:
            entries = lane.read(offset, min(count - len(records), 32))
            if not entries:
                return lane.max_offset, b"".join(records)
            for entry_offset, message in entries:
                scanned += 1
                if self._message_filter.matches(message):
                    if records and size >= size_max:
                        return offset, b"".join(records)
                    taken = Taken(lane, entry_offset, message, 0)
                    topic, host = self._header.topic, self._session.store_host
                    records.append(record_of(topic, taken, host))
                    size += len(records[-1])
                offset = entry_offset + 1
        return offset, b"".join(records)


class _OwnPull:
    """A pull of the queue's own group: it takes what is ready.

    The requested offset says nothing here, since the queue knows what is ready.
    """

    full_code = ResponseCode.FLOW_CONTROL

    def __init__(
        self,
        session: NativeSession,
        lane: Lane,
        header: PullMessageRequest,
        message_filter: MessageFilter,
    ) -> None:
        self._session = session
        self._lane = lane
        self._source = OwnGroup(lane.queue, lane)
        self._header = header
        self._message_filter = message_filter
        self._pull = session.broker.own_pulls.begin(session, lane)

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Take what is ready."""
        broker, header, lane = self._session.broker, self._header, self._lane
        if not broker.positions.is_current(lane.queue):
            raise topic_not_found(header.topic)
        in_flight_max = broker.limits.in_flight_max
        if len(self._pull) >= in_flight_max:
            raise RequestRefusedError(
                ResponseCode.FLOW_CONTROL,
                f"{len(self._pull)} messages are pulled and not committed;"
                f" the limit is {in_flight_max}",
            )
        taken: Sequence[Taken] = ()
        if not self._pull.is_over:
            taken, body = collect(
                header.topic,
                self._source,
                _count(self._session, header),
                self._message_filter,
                self._session.store_host,
                broker.limits.answer_size_max,
            )
            self._source.give_back()
        if not taken:
            offset = header.queue_offset
            return _answer(ResponseCode.PULL_NOT_FOUND, offset, lane) if is_last else None
        self._pull.add(taken)
        next_offset = max(entry.offset for entry in taken) + 1
        return _answer(ResponseCode.SUCCESS, next_offset, lane, body)

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait among the queue's consumers, as long as the client has the lane."""
        if self._pull.is_over:
            return _do_nothing
        cancel = self._source.watch(_count(self._session, self._header), stir)

        def stop() -> None:
            cancel()
            if self._pull.is_over:
                self._source.give_back()

        return self._pull.wait(stop)

    def abandon(self) -> None:
        """Give back what came too late."""
        self._source.give_back()

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        """Add the four fields."""
        return _with_offsets(refused, self._header.queue_offset, None)


def _do_nothing() -> None:
    """What there is to cancel for who waits for nothing but the end of his time."""
