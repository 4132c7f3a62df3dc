"""POP_MESSAGE and what follows it: acknowledge, one or many, and change the invisible time."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated

import msgspec

from gateway.queues.queue import Queue
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

from .filters import MessageFilter
from .progress import OwnGroup, Progress
from .replies import RequestRefusedError, success, topic_not_found
from .session import NativeSession

_COUNT_MAX = 32  # RocketMQ's: what one check point can mark.
_INVISIBLE_MAX_MS = 12 * 60 * 60 * 1000


def pop_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """POP_MESSAGE: take, or wait."""
    header = PopMessageRequest.from_ext(request.ext_fields)
    if not 1 <= header.max_msg_nums <= _COUNT_MAX:
        raise RequestRefusedError(
            ResponseCode.INVALID_PARAMETER,
            f"the pop wants {header.max_msg_nums} messages; 1 to {_COUNT_MAX} are possible",
        )
    _check_invisible_time(header.invisible_time)
    broker = session.broker
    queue = broker.find_queue(header.topic, max(0, header.queue_id))  # -1 means all.
    message_filter = broker.message_filter(
        header.consumer_group, header.topic, header.exp or "*", header.exp_type
    )
    progress = broker.progress(queue, header.consumer_group, header.init_mode)
    attempt = _Pop(session, progress, header, message_filter)
    return session.hold(request, attempt, header.poll_time / 1000)


def ack_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """ACK_MESSAGE."""
    header = AckMessageRequest.from_ext(request.ext_fields)
    queue = session.broker.find_queue(header.topic, header.queue_id)
    pop_time = PopHandle.parse(header.extra_info).pop_time
    key = (queue, header.consumer_group)
    if not session.broker.invisible.settle(key, [header.offset], pop_time):
        raise _not_held(header.offset)
    return success()


def change_invisible_time(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """CHANGE_MESSAGE_INVISIBLETIME: start anew, from now."""
    header = ChangeInvisibleTimeRequest.from_ext(request.ext_fields)
    _check_invisible_time(header.invisible_time)
    broker = session.broker
    queue = broker.find_queue(header.topic, header.queue_id)
    pop_time = PopHandle.parse(header.extra_info).pop_time
    now_ms = broker.now_ms()
    key = (queue, header.consumer_group)
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
    try:
        batch = msgspec.json.decode(request.body, type=_BatchAck, strict=False)
        acks = [
            msgspec.convert(
                {_SHORT_NAMES.get(name, name): value for name, value in ack.items()},
                _Ack,
                strict=False,
            )
            for ack in batch.acks
        ]
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ProtocolError("the body is not a batch of acknowledgements") from error
    for ack in acks:
        queue = session.broker.find_queue(ack.topic, ack.queue_id)
        offsets = [ack.start + index for index in _bits(ack.bits)]
        session.broker.invisible.settle((queue, ack.group), offsets, ack.time)
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

    def __init__(
        self,
        session: NativeSession,
        progress: Progress,
        header: PopMessageRequest,
        message_filter: MessageFilter,
    ) -> None:
        self._session = session
        self._progress = progress
        self._header = header
        self._message_filter = message_filter

    def answer(self, is_last: bool) -> RemotingCommand | None:
        """Take what is there, and hide it."""
        session, header, progress = self._session, self._header, self._progress
        queue, broker = progress.queue, session.broker
        if not broker.is_current(queue):
            raise topic_not_found(header.topic)
        taken, body = broker.collect(
            header.topic, progress, header.max_msg_nums, self._message_filter, session.store_host
        )
        self.abandon()
        if not taken:
            if not is_last:
                return None
            return RemotingCommand(ResponseCode.POLLING_TIMEOUT, remark="no new message")
        now_ms = broker.now_ms()
        offsets = [entry.offset for entry in taken]
        key = (queue, header.consumer_group)
        broker.invisible.hide(key, progress, offsets, now_ms, header.invisible_time / 1000)
        # The "0"s: a normal topic, not a retry topic, and our one queue.
        response = PopMessageResponse(
            pop_time=now_ms,
            invisible_time=header.invisible_time,
            revive_qid=0,
            rest_num=_rest(queue, offsets),
            start_offset_info=f"0 0 {offsets[0]}",
            msg_offset_info=f"0 0 {','.join(map(str, offsets))}",
        )
        return success(response, body)

    def watch(self, stir: Callable[[], None]) -> Callable[[], None]:
        """Wait for something to take."""
        return self._progress.watch(self._header.max_msg_nums, stir)

    def abandon(self) -> None:
        """Give back what came too late."""
        if isinstance(self._progress, OwnGroup):
            self._progress.give_back_arrived()

    def refuse(self, refused: RemotingCommand) -> RemotingCommand:
        """Nothing more to say."""
        return refused


def _rest(queue: Queue, offsets: list[int]) -> int:
    return max(0, queue.max_offset - 1 - max(offsets))
