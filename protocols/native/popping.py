"""POP_MESSAGE: take messages, which are invisible to the others of the group for a time.

What follows a pop is in `acknowledging`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from gateway.queues.lane import Lane
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import PopMessageRequest, PopMessageResponse

from .collecting import collect
from .filters import MessageFilter
from .invisible import check_invisible_time
from .own_group import by_lane
from .progress import Source
from .replies import RequestRefusedError, success, topic_not_found
from .session import NativeSession

_COUNT_MAX = 32  # RocketMQ's: what one check point can mark.


def pop_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """POP_MESSAGE: take, or wait."""
    header = PopMessageRequest.from_ext(request.ext_fields)
    if not 1 <= header.max_msg_nums <= _COUNT_MAX:
        raise RequestRefusedError(
            ResponseCode.INVALID_PARAMETER,
            f"the pop wants {header.max_msg_nums} messages; 1 to {_COUNT_MAX} are possible",
        )
    if header.order:
        raise RequestRefusedError(
            ResponseCode.REQUEST_CODE_NOT_SUPPORTED, "an ordered pop is not supported"
        )
    check_invisible_time(header.invisible_time)
    broker = session.broker
    if header.queue_id < 0:
        lanes = Lane.all_of(broker.topics.find_queue(header.topic))
    else:
        lanes = [broker.topics.find_lane(header.topic, header.queue_id)]
    message_filter = broker.message_filter(
        header.consumer_group, header.topic, header.exp or "*", header.exp_type
    )
    source = broker.positions.source(lanes[0].queue, header.consumer_group, lanes, header.init_mode)
    attempt = _Pop(session, lanes, source, header, message_filter)
    return session.hold(request, attempt, header.poll_time / 1000)


class _Pop:
    """A pop that may wait."""

    full_code = ResponseCode.POLLING_FULL

    def __init__(
        self,
        session: NativeSession,
        lanes: Sequence[Lane],
        source: Source,
        header: PopMessageRequest,
        message_filter: MessageFilter,
    ) -> None:
        self._session = session
        self._lanes = lanes
        self._source = source
        self._header = header
        self._message_filter = message_filter

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Take what is there, and hide it."""
        session, header = self._session, self._header
        if not session.broker.positions.is_current(self._lanes[0].queue):
            raise topic_not_found(header.topic)
        self._check_in_flight()
        taken, body = collect(
            header.topic,
            self._source,
            header.max_msg_nums,
            self._message_filter,
            session.store_host,
            session.broker.limits.answer_size_max,
        )
        self.abandon()
        if taken:
            return self._answer(by_lane(taken), body)
        if is_last or self._source.has_more:
            return RemotingCommand(ResponseCode.POLLING_TIMEOUT, remark="no new message")
        return None

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait for something to take."""
        return self._source.watch(self._header.max_msg_nums, stir)

    def abandon(self) -> None:
        """Give back what came too late."""
        self._source.give_back()

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        """Nothing more to say."""
        return refused

    def _check_in_flight(self) -> None:
        broker, group = self._session.broker, self._header.consumer_group
        count = max(broker.invisible.count((lane, group)) for lane in self._lanes)
        if count >= broker.limits.in_flight_max:
            raise RequestRefusedError(
                ResponseCode.POLLING_FULL,
                f"{count} messages are popped and not acknowledged, which is the limit",
            )

    def _answer(self, taken: Mapping[Lane, list[int]], body: bytes) -> RemotingCommand:
        broker, header = self._session.broker, self._header
        now_ms = broker.now_ms()
        starts, all_offsets = [], []
        for lane, offsets in taken.items():
            key = (lane, header.consumer_group)
            progress = broker.positions.progress(lane, header.consumer_group)
            broker.invisible.hide(key, progress, offsets, now_ms, header.invisible_time / 1000)
            # The "0" says that this is no retry topic.
            starts.append(f"0 {lane.level} {offsets[0]}")
            all_offsets.append(f"0 {lane.level} {','.join(map(str, offsets))}")
        response = PopMessageResponse(
            pop_time=now_ms,
            invisible_time=header.invisible_time,
            revive_qid=0,
            rest_num=_rest(taken),
            start_offset_info=";".join(starts),
            msg_offset_info=";".join(all_offsets),
        )
        return success(response, body)


def _rest(taken: Mapping[Lane, list[int]]) -> int:
    """How many messages at most come behind these in their lanes."""
    return sum(max(0, lane.max_offset - 1 - max(offsets)) for lane, offsets in taken.items())
