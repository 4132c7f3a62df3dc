"""CONSUMER_SEND_MSG_BACK: a client could not consume a message, and wants it again later.

Of the queue's own group the message stays in the queue, invisible for a time. For any other group
it is published once more, after a delay, to the group's retry topic `%RETRY%<group>`, which
RocketMQ's clients subscribe to by themselves. Delays grow as RocketMQ's do, to two hours. After the
last attempt the message goes to `%DLQ%<group>`.
"""

from __future__ import annotations

from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendBackRequest

from .delaying import level_s
from .groups import attempts_max
from .language import NativeHeader
from .own_group import OwnLane
from .own_pulls import PulledMessage
from .replies import RequestRefusedError, success
from .retry_topics import Return, publish_return
from .session import NativeSession

_FIRST_LEVEL = 3


def send_back(session: NativeSession, request: RemotingCommand) -> RemotingCommand | None:
    """CONSUMER_SEND_MSG_BACK; `offset` is a log offset."""
    header = SendBackRequest.from_ext(request.ext_fields)
    broker = session.broker
    pulled = broker.own_pulls.find(session, header.group, header.offset)
    if pulled is not None:
        return _send_back_own(session, request, header, pulled)
    found = broker.topics.read_at(header.offset)
    if found is None:
        raise _not_found(header)
    native = found.message[1]
    times = native.reconsume_times if isinstance(native, NativeHeader) else 0
    back = Return(found.message, header.group, header.offset, times)
    if _is_last(header, times):
        record = back.dead_letter(session.store_host)
    else:
        due_ms = broker.now_ms() + 1000 * _delay_s(header, times)
        record = back.retry(due_ms, session.store_host)
    publish_return(broker.topics.virtual_host, record, lambda: session.answer(request, success()))
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
    back = Return(found[0][1], header.group, header.offset, times)

    def on_durable() -> None:
        OwnLane(lane).settle([offset])
        session.answer(request, success())

    # It stays in flight until its dead letter is safe: a crash may double, never lose it.
    publish_return(broker.topics.virtual_host, back.dead_letter(session.store_host), on_durable)
    broker.own_pulls.forget(pulled)
    return None


def _is_last(header: SendBackRequest, times: int) -> bool:
    return times >= attempts_max(header.max_reconsume_times) or header.delay_level < 0


def _delay_s(header: SendBackRequest, times: int) -> int:
    return level_s(header.delay_level or _FIRST_LEVEL + times)


def _not_found(header: SendBackRequest) -> RequestRefusedError:
    return RequestRefusedError(
        ResponseCode.SYSTEM_ERROR, f"look message by offset failed, {header.offset}"
    )
