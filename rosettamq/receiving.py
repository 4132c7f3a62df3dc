"""Pulling and popping: how messages are asked for and acknowledged; see `requests`."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rosettamq.errors import ProtocolError
from rosettamq.message import MessageQueue, ReceivedMessage, received_message
from rosettamq.remoting.codes import PullFlag, RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    ChangeInvisibleTimeRequest,
    ChangeInvisibleTimeResponse,
    PopHandle,
    PopMessageRequest,
    PopMessageResponse,
    PullMessageRequest,
    PullMessageResponse,
)
from rosettamq.remoting.records import decode_records
from rosettamq.requests import check
from rosettamq.subscriptions import Subscription


@dataclass(frozen=True, slots=True)
class PullResult:
    """What a pull found; `is_moved` says that the offset asked for does not exist (any more)."""

    messages: list[ReceivedMessage]
    next_offset: int
    is_moved: bool


def pull_request(
    group: str,
    queue: MessageQueue,
    offset: int,
    subscription: Subscription,
    count_max: int,
    suspend_s: float,
) -> RemotingCommand:
    """Ask for messages from `offset` on; the broker waits for the first for `suspend_s`."""
    header = PullMessageRequest(
        consumer_group=group,
        topic=queue.topic,
        queue_id=queue.queue_id,
        queue_offset=offset,
        max_msg_nums=count_max,
        sys_flag=PullFlag.SUBSCRIPTION | (PullFlag.SUSPEND if suspend_s else 0),
        suspend_timeout_millis=int(suspend_s * 1000),
        subscription=subscription.expression,
        expression_type=subscription.expression_type,
    )
    return RemotingCommand(RequestCode.PULL_MESSAGE, header.to_ext())


def pull_result(response: RemotingCommand, queue: MessageQueue) -> PullResult:
    """Read the answer; raises `ResponseError`."""
    empty = (
        ResponseCode.PULL_NOT_FOUND,
        ResponseCode.PULL_RETRY_IMMEDIATELY,
        ResponseCode.PULL_OFFSET_MOVED,
    )
    if response.code not in empty:
        check(response)
    header = PullMessageResponse.from_ext(response.ext_fields)
    records = decode_records(response.body) if response.code == ResponseCode.SUCCESS else []
    messages = [received_message(record, queue) for record in records]
    is_moved = response.code == ResponseCode.PULL_OFFSET_MOVED
    return PullResult(messages, header.next_begin_offset, is_moved)


def pop_request(
    group: str,
    subscription: Subscription,
    count_max: int,
    invisible_s: float,
    wait_s: float,
    now_ms: int,
) -> RemotingCommand:
    """Take messages from any queue of a topic on one broker."""
    header = PopMessageRequest(
        consumer_group=group,
        topic=subscription.topic,
        queue_id=-1,
        max_msg_nums=count_max,
        invisible_time=int(invisible_s * 1000),
        poll_time=int(wait_s * 1000),
        born_time=now_ms,
        exp_type=subscription.expression_type,
        exp=subscription.expression,
    )
    return RemotingCommand(RequestCode.POP_MESSAGE, header.to_ext())


def pop_result(response: RemotingCommand, topic: str, broker_name: str) -> list[ReceivedMessage]:
    """Read the answer; raises `ResponseError`."""
    empty = (
        ResponseCode.POLLING_TIMEOUT,
        ResponseCode.POLLING_FULL,
        ResponseCode.PULL_NOT_FOUND,
    )
    if response.code in empty:
        return []
    check(response)
    header = PopMessageResponse.from_ext(response.ext_fields)
    starts = _start_offsets(header.start_offset_info or "")
    messages = []
    for record in decode_records(response.body):
        queue = MessageQueue(topic, broker_name, record.queue_id)
        message = received_message(record, queue)
        given = message.properties.pop("POP_CK", None)
        message.handle = (
            PopHandle.parse(given)
            if given is not None
            else PopHandle(
                starts.get(record.queue_id, record.queue_offset),
                header.pop_time,
                header.invisible_time,
                header.revive_qid,
                "0",
                broker_name,
                record.queue_id,
                record.queue_offset,
            )
        )
        messages.append(message)
    return messages


def ack_request(group: str, message: ReceivedMessage) -> RemotingCommand:
    """Acknowledge a popped message."""
    handle = _handle(message)
    header = AckMessageRequest(
        group, _held_topic(group, message), handle.queue_id, str(handle), handle.queue_offset
    )
    return RemotingCommand(RequestCode.ACK_MESSAGE, header.to_ext())


def change_invisible_request(
    group: str, message: ReceivedMessage, invisible_s: float
) -> RemotingCommand:
    """Keep a popped message invisible for so long from now on."""
    handle = _handle(message)
    header = ChangeInvisibleTimeRequest(
        group,
        _held_topic(group, message),
        handle.queue_id,
        str(handle),
        handle.queue_offset,
        int(invisible_s * 1000),
    )
    return RemotingCommand(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, header.to_ext())


def changed_handle(response: RemotingCommand, message: ReceivedMessage) -> PopHandle:
    """Make the handle that replaces the message's own from now on."""
    header = ChangeInvisibleTimeResponse.from_ext(check(response).ext_fields)
    handle = _handle(message)
    return replace(
        handle,
        start_offset=handle.queue_offset,
        pop_time=header.pop_time,
        invisible_time=header.invisible_time,
        revive_queue_id=header.revive_qid,
    )


def _handle(message: ReceivedMessage) -> PopHandle:
    if message.handle is None:
        raise ProtocolError("the message was not received by a SimpleConsumer")
    return message.handle


def _held_topic(group: str, message: ReceivedMessage) -> str:
    """The topic that a popped message is in: Apache RocketMQ has retry topics for pops."""
    topic = message.queue.topic
    return {"1": f"%RETRY%{group}_{topic}", "2": f"%RETRY%{group}+{topic}"}.get(
        _handle(message).retry, topic
    )


def _start_offsets(info: str) -> dict[int, int]:
    """Read `<topic kind> <queue id> <offset>;...`."""
    starts = {}
    for entry in info.split(";"):
        words = entry.split(" ")
        if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
            starts[int(words[1])] = int(words[2])
    return starts
