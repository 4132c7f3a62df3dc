"""Messages as sends, and what their answers mean; see `requests`."""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rosettamq.message import Message, MessageQueue, SendResult, SendStatus, property_string
from rosettamq.remoting.codes import RequestCode, ResponseCode, SystemFlag
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendMessageRequest, SendMessageResponse
from rosettamq.remoting.properties import UNIQ_KEY, decode_properties
from rosettamq.remoting.records import BatchedMessage, encode_batch
from rosettamq.requests import check

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


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A send, ready but for its queue: the same on each attempt, ids included."""

    header: SendMessageRequest
    body: bytes
    message_ids: tuple[str, ...]
    code: RequestCode = RequestCode.SEND_MESSAGE_V2

    def request(self, queue: MessageQueue) -> RemotingCommand:
        """Address it to one queue."""
        header = replace(self.header, queue_id=queue.queue_id)
        return RemotingCommand(self.code, header.to_letters(), self.body)

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
