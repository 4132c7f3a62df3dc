"""Which requests a client makes and what their answers mean; no socket, no time, no threads."""

from __future__ import annotations

import json
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from rosettamq.errors import ProtocolError, ResponseError
from rosettamq.message import (
    Message,
    MessageQueue,
    ReceivedMessage,
    SendResult,
    SendStatus,
    property_string,
    received_message,
)
from rosettamq.remoting.codes import PullFlag, RequestCode, ResponseCode, SystemFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    ChangeInvisibleTimeRequest,
    ChangeInvisibleTimeResponse,
    ConsumerOffsetRequest,
    GroupRequest,
    OffsetResponse,
    PopHandle,
    PopMessageRequest,
    PopMessageResponse,
    PullMessageRequest,
    PullMessageResponse,
    QueueRequest,
    SearchOffsetRequest,
    SendMessageRequest,
    SendMessageResponse,
    TopicRequest,
    UnregisterClientRequest,
    UpdateConsumerOffsetRequest,
)
from rosettamq.remoting.properties import UNIQ_KEY, decode_properties
from rosettamq.remoting.records import BatchedMessage, decode_records, encode_batch
from rosettamq.subscriptions import Subscription

# A send that fails so may go well on another broker, or a moment later.
RETRIED_CODES = frozenset(
    (
        ResponseCode.SYSTEM_ERROR,
        ResponseCode.SYSTEM_BUSY,
        ResponseCode.SERVICE_NOT_AVAILABLE,
        ResponseCode.NO_PERMISSION,
        ResponseCode.TOPIC_NOT_EXIST,
        ResponseCode.NO_BUYER_ID,
        ResponseCode.NOT_IN_CURRENT_UNIT,
        ResponseCode.GO_AWAY,
    )
)
_STORED_CODES = frozenset(status.value for status in SendStatus)
_COMPRESSION_LEVEL = 5


def check(response: RemotingCommand) -> RemotingCommand:
    """Return a response that says success; raises `ResponseError` for another."""
    if response.code != ResponseCode.SUCCESS:
        raise ResponseError(response.code, response.remark or "")
    return response


def route_request(topic: str) -> RemotingCommand:
    """Ask a name server where a topic is."""
    return RemotingCommand(RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest(topic).to_ext())


# Sending


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A send, ready but for its queue: the same on each attempt, ids included."""

    header: SendMessageRequest
    body: bytes
    message_ids: tuple[str, ...]
    code: RequestCode = RequestCode.SEND_MESSAGE_V2

    def request(self, queue: MessageQueue, one_way: bool = False) -> RemotingCommand:
        """Address it to one queue."""
        header = replace(self.header, queue_id=queue.queue_id)
        command = RemotingCommand(self.code, header.to_letters(), self.body)
        command.flag = 2 if one_way else 0
        return command

    def results(self, response: RemotingCommand, queue: MessageQueue) -> list[SendResult]:
        """Read the answer; raises `ResponseError`."""
        if response.code not in _STORED_CODES:
            check(response)
        header = SendMessageResponse.from_ext(response.ext_fields)
        stored_in = MessageQueue(queue.topic, queue.broker_name, header.queue_id)
        ids = header.msg_id.split(",")
        return [
            SendResult(
                message_id,
                ids[index] if index < len(ids) else "",
                stored_in,
                header.queue_offset + index,
                SendStatus(response.code),
            )
            for index, message_id in enumerate(self.message_ids)
        ]


def outgoing_message(
    group: str, message: Message, unique_key: str, now_ms: int, compress_over: int
) -> Outgoing:
    """Prepare a message; raises `MessageError`."""
    properties = property_string(message, unique_key)
    body, system_flag = message.body, 0
    if len(body) >= compress_over:
        body, system_flag = zlib.compress(body, _COMPRESSION_LEVEL), int(SystemFlag.COMPRESSED)
    header = SendMessageRequest(
        producer_group=group,
        topic=message.topic,
        queue_id=0,
        sys_flag=system_flag,
        born_timestamp=now_ms,
        flag=0,
        properties=properties.decode(),
    )
    return Outgoing(header, body, (decode_properties(properties)[UNIQ_KEY],))


def outgoing_batch(
    group: str, messages: Sequence[Message], unique_keys: Sequence[str], now_ms: int
) -> Outgoing:
    """Prepare messages of one topic as one atomic send; raises `MessageError`."""
    parts = [
        BatchedMessage(message.body, property_string(message, key))
        for message, key in zip(messages, unique_keys, strict=True)
    ]
    header = SendMessageRequest(
        producer_group=group,
        topic=messages[0].topic,
        queue_id=0,
        sys_flag=0,
        born_timestamp=now_ms,
        flag=0,
        batch="true",
    )
    ids = tuple(decode_properties(part.properties)[UNIQ_KEY] for part in parts)
    return Outgoing(header, encode_batch(parts), ids, RequestCode.SEND_BATCH_MESSAGE)


# Receiving


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
    messages = _received(response, queue) if response.code == ResponseCode.SUCCESS else []
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
        group, message.queue.topic, handle.queue_id, str(handle), handle.queue_offset
    )
    return RemotingCommand(RequestCode.ACK_MESSAGE, header.to_ext())


def change_invisible_request(
    group: str, message: ReceivedMessage, invisible_s: float
) -> RemotingCommand:
    """Keep a popped message invisible for so long from now on."""
    handle = _handle(message)
    header = ChangeInvisibleTimeRequest(
        group,
        message.queue.topic,
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


def _received(response: RemotingCommand, queue: MessageQueue) -> list[ReceivedMessage]:
    return [received_message(record, queue) for record in decode_records(response.body)]


def _start_offsets(info: str) -> dict[int, int]:
    """Read `<topic kind> <queue id> <offset>;...`."""
    starts = {}
    for entry in info.split(";"):
        words = entry.split(" ")
        if len(words) == 3 and words[1].isdecimal() and words[2].isdecimal():
            starts[int(words[1])] = int(words[2])
    return starts


# Groups and offsets


def _subscription_data(subscription: Subscription, version: int) -> dict[str, object]:
    return {
        "topic": subscription.topic,
        "subString": subscription.expression,
        "tagsSet": sorted(subscription.tags or ()),
        "codeSet": [],
        "subVersion": version,
        "expressionType": subscription.expression_type,
        "classFilterMode": False,
    }


def check_subscription_request(
    client_id: str, group: str, subscription: Subscription
) -> RemotingCommand:
    """Ask whether the broker understands a subscription."""
    body = {
        "clientId": client_id,
        "group": group,
        "namespace": "",
        "subscriptionData": _subscription_data(subscription, 0),
    }
    return RemotingCommand(RequestCode.CHECK_CLIENT_CONFIG, body=json.dumps(body).encode())


def heartbeat_request(
    client_id: str,
    producer_groups: Iterable[str] = (),
    consumer_group: str | None = None,
    subscriptions: Iterable[Subscription] = (),
    is_pop: bool = False,
    version: int = 0,
) -> RemotingCommand:
    """Say who is there and what it wants."""
    consumers = []
    if consumer_group is not None:
        consumers.append(
            {
                "groupName": consumer_group,
                "consumeType": "CONSUME_POP" if is_pop else "CONSUME_PASSIVELY",
                "messageModel": "CLUSTERING",
                "consumeFromWhere": "CONSUME_FROM_LAST_OFFSET",
                "unitMode": False,
                "subscriptionDataSet": [
                    _subscription_data(subscription, version) for subscription in subscriptions
                ],
            }
        )
    body = {
        "clientID": client_id,
        "producerDataSet": [{"groupName": group} for group in producer_groups],
        "consumerDataSet": consumers,
    }
    return RemotingCommand(RequestCode.HEART_BEAT, body=json.dumps(body).encode())


def unregister_request(
    client_id: str, producer_group: str | None, consumer_group: str | None
) -> RemotingCommand:
    """Say goodbye."""
    ext = UnregisterClientRequest(producer_group, consumer_group).to_ext()
    return RemotingCommand(RequestCode.UNREGISTER_CLIENT, ext | {"clientID": client_id})


def consumer_list_request(group: str) -> RemotingCommand:
    """Ask who is in a group."""
    return RemotingCommand(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GroupRequest(group).to_ext())


def consumer_list(response: RemotingCommand) -> list[str]:
    """Read the answer; raises `ResponseError`, also for a group without members."""
    try:
        document = json.loads(check(response).body)
        return [str(client_id) for client_id in document["consumerIdList"]]
    except (ValueError, KeyError, TypeError) as error:
        raise ProtocolError("the broker's answer is no list of consumers") from error


def query_offset_request(group: str, queue: MessageQueue) -> RemotingCommand:
    """Ask what a group has committed."""
    header = ConsumerOffsetRequest(group, queue.topic, queue.queue_id)
    return RemotingCommand(RequestCode.QUERY_CONSUMER_OFFSET, header.to_ext())


def committed_offset(response: RemotingCommand) -> int | None:
    """Read the answer; None if the group never committed."""
    if response.code == ResponseCode.QUERY_NOT_FOUND:
        return None
    return offset(response)


def update_offset_request(group: str, queue: MessageQueue, commit_offset: int) -> RemotingCommand:
    """Commit an offset."""
    header = UpdateConsumerOffsetRequest(group, queue.topic, queue.queue_id, commit_offset)
    return RemotingCommand(RequestCode.UPDATE_CONSUMER_OFFSET, header.to_ext())


def edge_offset_request(queue: MessageQueue, at_end: bool) -> RemotingCommand:
    """Ask for the first offset of a queue, or the one that its next message gets."""
    code = RequestCode.GET_MAX_OFFSET if at_end else RequestCode.GET_MIN_OFFSET
    return RemotingCommand(code, QueueRequest(queue.topic, queue.queue_id).to_ext())


def search_offset_request(queue: MessageQueue, timestamp_ms: int) -> RemotingCommand:
    """Ask for the first message stored at that time or later."""
    header = SearchOffsetRequest(queue.topic, queue.queue_id, timestamp_ms)
    return RemotingCommand(RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, header.to_ext())


def offset(response: RemotingCommand) -> int:
    """Read the answer to a question after an offset; raises `ResponseError`."""
    return OffsetResponse.from_ext(check(response).ext_fields).offset
