"""What follows a pop: acknowledge, one message or many, and change the invisible time."""

from __future__ import annotations

import base64
import binascii
from typing import Annotated

import msgspec

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    ChangeInvisibleTimeRequest,
    ChangeInvisibleTimeResponse,
    PopHandle,
)

from .bodies import decode_body
from .invisible import check_invisible_time
from .replies import RequestRefusedError, success
from .session import NativeSession

_BATCH_SIZE_MAX = 64 * 1024  # A set of bits may name eight offsets by each octet.


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
    check_invisible_time(header.invisible_time)
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


def _not_held(offset: int) -> RequestRefusedError:
    return RequestRefusedError(
        ResponseCode.NO_MESSAGE,
        f"offset {offset} is not in flight by this handle: its invisible time is over,"
        " or it was acknowledged before",
    )
