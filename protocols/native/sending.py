"""SEND_MESSAGE, its one-letter form and SEND_BATCH_MESSAGE; VIEW_MESSAGE_BY_ID.

A send is checked here, and appended by `publishing`. Its offset message id is where the record lies
in the log, so that the id can be looked up.
"""

from __future__ import annotations

import re
from dataclasses import replace

from gateway.errors import PreconditionFailedError
from gateway.messages import Item
from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendMessageRequest, ViewMessageRequest
from rosettamq.remoting.properties import (
    POP_CK,
    SIZE_MAX,
    TAGS,
    TRANSACTION,
    UNIQ_KEY,
    decode_properties,
    encode_properties,
)
from rosettamq.remoting.records import BatchedMessage, Record, decode_batch

from .delaying import find_schedule, may_delay, without_delay
from .groups import attempts_max, dead_letter_topic, is_retry_topic, retrying_group
from .language import Place, to_record, to_stored
from .replies import RequestRefusedError, success
from .session import NativeSession

# RocketMQ's characters, and the dot, which AMQP's users like. Existing names may have any.
_NEW_TOPIC = re.compile(r"[%|a-zA-Z0-9_.-]{1,127}", re.ASCII)
_CLOSED_TOPICS = frozenset(
    """SCHEDULE_TOPIC_XXXX RMQ_SYS_TRANS_HALF_TOPIC RMQ_SYS_TRANS_OP_HALF_TOPIC
    TRANS_CHECK_MAX_TIME_TOPIC SELF_TEST_TOPIC OFFSET_MOVED_EVENT TBW102""".split()  # noqa: SIM905
)


def send_message(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """SEND_MESSAGE, SEND_MESSAGE_V2 and SEND_BATCH_MESSAGE."""
    if request.code == RequestCode.SEND_MESSAGE:
        header = SendMessageRequest.from_ext(request.ext_fields)
    else:
        header = SendMessageRequest.from_letters(request.ext_fields)
    if is_retry_topic(header.topic):
        header = _retried(header)
    check_topic(session, header.topic)
    if len(request.body) > session.broker.limits.message_size_max:
        raise RequestRefusedError(
            ResponseCode.MESSAGE_ILLEGAL,
            f"the message body has {len(request.body)} bytes;"
            f" the limit is {session.broker.limits.message_size_max}",
        )
    items = [_item(session, header, message) for message in _messages(request, header)]
    session.publisher.add(session, request, header.topic, items)
    return None


def view_message_by_id(session: NativeSession, request: RemotingCommand) -> RemotingCommand:
    """VIEW_MESSAGE_BY_ID: the record at a log offset."""
    log_offset = ViewMessageRequest.from_ext(request.ext_fields).offset
    found = session.broker.topics.read_at(log_offset)
    if found is None:
        raise RequestRefusedError(
            ResponseCode.SYSTEM_ERROR, f"can not find message by the offset, {log_offset}"
        )
    envelope = found.message[0]
    topic = envelope.exchange or envelope.routing_key
    place = Place(topic, 0, log_offset, found.timestamp_ms, session.store_host)
    return success(body=to_record(found.message, place))


def check_topic(session: NativeSession, topic: str) -> None:
    """Raise `RequestRefusedError` if clients may not send to a topic of this name."""
    if topic in _CLOSED_TOPICS:
        raise RequestRefusedError(
            ResponseCode.NO_PERMISSION, f"the topic[{topic}] is conflict with system topic."
        )
    if topic not in session.broker.topics and _NEW_TOPIC.fullmatch(topic) is None:
        raise RequestRefusedError(
            ResponseCode.INVALID_PARAMETER,
            f"the topic {topic[:127]!r} is not 1 to 127 of the characters % | a-z A-Z 0-9 _ - .",
        )


def _retried(header: SendMessageRequest) -> SendMessageRequest:
    """A client's own send to a retry topic: once too often makes it a dead letter.

    Clients do so when CONSUMER_SEND_MSG_BACK fails, and always for ordered consumption.
    """
    if header.reconsume_times <= attempts_max(header.max_reconsume_times):
        return header
    topic = dead_letter_topic(retrying_group(header.topic))
    texts = without_delay(decode_properties(header.properties.encode("utf-8", "replace")))
    return replace(header, topic=topic, properties=encode_properties(texts).decode())


def _messages(request: RemotingCommand, header: SendMessageRequest) -> list[BatchedMessage]:
    """Give the one message of a send, or those of a batch.

    The C++ client sends a batch as SEND_MESSAGE with batch "1", which Java takes for false; we
    take it for a batch if the whole body is one.
    """
    is_batch = request.code == RequestCode.SEND_BATCH_MESSAGE
    if is_batch or header.batch in ("true", "1"):
        try:
            messages = decode_batch(request.body)
        except ProtocolError:
            if is_batch or header.batch == "true":
                raise
        else:
            if messages:
                return messages
    properties = header.properties.encode("utf-8", "replace")
    return [BatchedMessage(request.body, properties, header.flag)]


def _item(session: NativeSession, header: SendMessageRequest, message: BatchedMessage) -> Item:
    broker = session.broker
    texts = decode_properties(message.properties)
    _check_properties(message.properties, texts)
    properties = message.properties
    if texts.pop(POP_CK, None) is not None:
        properties = encode_properties(texts)
    if UNIQ_KEY not in texts:
        separator = b"" if not properties or properties.endswith(b"\x02") else b"\x02"
        unique_key = broker.unique_keys.make()
        properties += separator + f"{UNIQ_KEY}\x01{unique_key}\x02".encode()
        texts[UNIQ_KEY] = unique_key
    record = Record(
        topic=header.topic,
        body=message.body,
        properties=properties,
        queue_id=int(header.topic in broker.topics.virtual_host.exchanges),
        flag=message.flag,
        system_flag=header.sys_flag,
        born_timestamp=header.born_timestamp,
        born_host=session.peer_host,
        store_host=session.store_host,
        reconsume_times=header.reconsume_times,
    )
    stored_message, stored = to_stored(record, texts)
    route = broker.topics.route(header.topic, texts.get(TAGS, ""), stored_message[1])
    return route, stored_message, stored


def _check_properties(properties: bytes, texts: dict[str, str]) -> None:
    # Room for the id that we add.
    if len(properties) > SIZE_MAX - 64:
        raise RequestRefusedError(
            ResponseCode.MESSAGE_ILLEGAL,
            f"the properties have {len(properties)} bytes; the limit is {SIZE_MAX - 64}",
        )
    if texts.get(TRANSACTION) == "true":
        raise RequestRefusedError(
            ResponseCode.NO_PERMISSION, "transaction messages are not supported yet"
        )
    if may_delay(texts):
        try:
            find_schedule(texts)
        except PreconditionFailedError as error:
            raise RequestRefusedError(ResponseCode.MESSAGE_ILLEGAL, str(error)) from error
