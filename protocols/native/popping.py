"""POP_MESSAGE and what follows it: acknowledge, one or many, and change the invisible time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated

import msgspec

from gateway.queues.lane import Lane
from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    ChangeInvisibleTimeRequest,
    ChangeInvisibleTimeResponse,
    PopHandle,
    PopMessageRequest,
    PopMessageResponse,
)

from .bodies import decode_body
from .collecting import collect
from .filters import MessageFilter
from .own_group import by_lane
from .progress import Source
from .replies import RequestRefusedError, success, topic_not_found
from .session import NativeSession

_COUNT_MAX = 32  # RocketMQ's: what one check point can mark.
_BATCH_SIZE_MAX = 64 * 1024  # A set of bits may name eight offsets by each octet.
_INVISIBLE_MAX_MS = 12 * 60 * 60 * 1000


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
    _check_invisible_time(header.invisible_time)
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


def ack_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """ACK_MESSAGE."""
    header = AckMessageRequest.from_ext(request.ext_fields)
    lane = session.broker.topics.find_lane(header.topic, header.queue_id)
    pop_time = PopHandle.parse(header.extra_info).pop_time
    key = (lane, header.consumer_group)
    if not session.broker.invisible.settle(key, [header.offset], pop_time):
        raise _not_held(header.offset)
    return success()


def change_invisible_time(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """CHANGE_MESSAGE_INVISIBLETIME: start anew, from now."""
    header = ChangeInvisibleTimeRequest.from_ext(request.ext_fields)
    _check_invisible_time(header.invisible_time)
    broker = session.broker
    lane = broker.topics.find_lane(header.topic, header.queue_id)
    pop_time = PopHandle.parse(header.extra_info).pop_time
    now_ms = broker.now_ms()
    key = (lane, header.consumer_group)
    if not broker.invisible.change(
        key, header.offset, pop_time, now_ms, header.invisible_time / 1000
    ):
        raise _not_held(header.offset)
    return success(ChangeInvisibleTimeResponse(now_ms, header.invisible_time, 0))


class _Ack(
    msgspec.Struct,
    rename={
        "group": "c", "topic": "t", "start": "so", "time": "pt", "bits": "b", "queue_id": "q"
    },
):  # fmt: skip
    """One entry of a batch: bit i of `bits`, little-endian, means offset start + i."""

    group: str
    topic: str
    start: int
    time: int
    bits: str
    queue_id: int = 0


# Other clients write the names in full.
_SHORT_NAMES = {
    "consumerGroup": "c",
    "topic": "t",
    "startOffset": "so",
    "popTime": "pt",
    "bitSet": "b",
    "queueId": "q",
}


class _BatchAck(msgspec.Struct):
    acks: Annotated[list[dict[str, object]], msgspec.Meta(max_length=1024)] = []


def batch_ack_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """BATCH_ACK_MESSAGE: what is no longer held is passed over."""
    batch = decode_body(request.body, _BatchAck, _BATCH_SIZE_MAX)
    try:
        acks = [
            msgspec.convert(
                {_SHORT_NAMES.get(name, name): value for name, value in ack.items()},
                _Ack,
                strict=False,
            )
            for ack in batch.acks
        ]
    except msgspec.MsgspecError as error:
        raise ProtocolError("the body is not a batch of acknowledgements") from error
    for ack in acks:
        lane = session.broker.topics.find_lane(ack.topic, ack.queue_id)
        offsets = [ack.start + index for index in _bits(ack.bits)]
        session.broker.invisible.settle((lane, ack.group), offsets, ack.time)
    return success()


def _bits(text: str) -> list[int]:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ProtocolError("the set of bits is not base64") from error
    return [8 * at + bit for at, octet in enumerate(data) for bit in range(8) if octet & (1 << bit)]


def _check_invisible_time(invisible_time_ms: int) -> None:
    if not 0 <= invisible_time_ms <= _INVISIBLE_MAX_MS:
        raise RequestRefusedError(
            ResponseCode.INVALID_PARAMETER, f"an invisible time of {invisible_time_ms} ms"
        )


def _not_held(offset: int) -> RequestRefusedError:
    return RequestRefusedError(
        ResponseCode.NO_MESSAGE,
        f"offset {offset} is not in flight by this handle: its invisible time is over,"
        " or it was acknowledged before",
    )


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
