"""CONSUMER_SEND_MSG_BACK: a client could not consume a message, and wants it again later.

Of the queue's own group the message stays in the queue, invisible for a time. For any other group
it is published once more, after a delay, to the group's retry topic `%RETRY%<group>`, which
RocketMQ's clients subscribe to by themselves. Delays grow as RocketMQ's do, to two hours. After the
last attempt the message goes to `%DLQ%<group>`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from gateway.messages import Message
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendBackRequest
from rosettamq.remoting.ids import encode_offset_message_id
from rosettamq.remoting.properties import TIMER_DELIVER_MS, decode_properties, encode_properties
from rosettamq.remoting.records import NO_HOST, Record, decode_record

from .delaying import level_s, without_delay
from .groups import attempts_max, dead_letter_topic, retry_topic
from .language import Place, to_record, to_stored
from .own_group import OwnLane
from .own_pulls import PulledMessage
from .replies import RequestRefusedError, success
from .session import NativeSession

_FIRST_LEVEL = 3


def send_back(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """CONSUMER_SEND_MSG_BACK; `offset` is a log offset."""
    header = SendBackRequest.from_ext(request.ext_fields)
    pulled = session.broker.own_pulls.find(session, header.group, header.offset)
    if pulled is not None:
        return _send_back_own(session, request, header, pulled)
    found = session.broker.topics.read_at(header.offset)
    if found is None:
        raise _not_found(header)
    _publish(session, request, _record(session, header, found.message))
    return None


def _send_back_own(
    session: NativeSession,
    request: RemotingCommand,
    header: SendBackRequest,
    pulled: PulledMessage,
) -> RemotingCommand | None:
    """Hide a message of the queue's own group, or move it to the dead letters."""
    broker = session.broker
    lane, offset, _, times = pulled
    if not _is_last(header, times):
        broker.own_pulls.forget(pulled)
        broker.hide(lane, header.group, [offset], _delay_s(header, times))
        return success()
    found = lane.read(offset, 1)
    if not found or found[0][0] != offset:
        raise _not_found(header)
    record = _record(session, header, found[0][1], times)
    # It stays in flight until its dead letter is safe: a crash may double, never lose it.
    _publish(session, request, record, lambda: OwnLane(lane).settle([offset]))
    broker.own_pulls.forget(pulled)
    return None


def _is_last(header: SendBackRequest, times: int) -> bool:
    return times >= attempts_max(header.max_reconsume_times) or header.delay_level < 0


def _delay_s(header: SendBackRequest, times: int) -> int:
    return level_s(header.delay_level or _FIRST_LEVEL + times)


def _record(
    session: NativeSession, header: SendBackRequest, message: Message, times: int = 0
) -> Record:
    """The message as it is appended again."""
    place = Place(header.origin_topic or "", 0, header.offset, 0, NO_HOST)
    record = decode_record(to_record(message, place))
    times = max(times, record.reconsume_times)
    texts = decode_properties(record.properties)
    texts = without_delay(texts)
    envelope = message[0]
    texts.setdefault("RETRY_TOPIC", envelope.exchange or envelope.routing_key)
    texts.setdefault(
        "ORIGIN_MESSAGE_ID", encode_offset_message_id(session.store_host, header.offset)
    )
    if _is_last(header, times):
        topic = dead_letter_topic(header.group)
    else:
        topic = retry_topic(header.group)
        due_ms = session.broker.now_ms() + 1000 * _delay_s(header, times)
        texts[TIMER_DELIVER_MS] = str(due_ms)
    return replace(
        record,
        topic=topic,
        queue_id=0,
        queue_offset=0,
        log_offset=0,
        store_timestamp=0,
        properties=encode_properties(texts),
        store_host=session.store_host,
        reconsume_times=times + 1,
    )


def _publish(
    session: NativeSession,
    request: RemotingCommand,
    record: Record,
    on_durable: Callable[[], None] | None = None,
) -> None:
    """Append a message once more; answer when it is durable. Raises `RequestRefusedError`."""
    host = session.broker.topics.virtual_host
    message, stored = to_stored(record)
    route = host.topic_route(record.topic, "", message[1])

    def answer() -> None:
        if on_durable is not None:
            on_durable()
        session.answer(request, success())

    if not host.intake.publish_together([(route, message, stored)], answer):
        raise RequestRefusedError(ResponseCode.SYSTEM_BUSY, f"the queue {record.topic} is full")


def _not_found(header: SendBackRequest) -> RequestRefusedError:
    return RequestRefusedError(
        ResponseCode.SYSTEM_ERROR, f"look message by offset failed, {header.offset}"
    )
