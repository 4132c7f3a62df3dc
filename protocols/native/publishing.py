"""The hot path in: all sends of one read are appended together, and answered when durable.

One append costs a system call and one flush covers it, however many messages it has; a client that
does not wait for each answer gets the benefit. The queue offsets that the answers tell are known
before the append, as nobody else appends meanwhile; where the records lie is asked after it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from core.light_queue import LightQueue
from gateway.messages import Item
from rosettamq.remoting.codes import RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendMessageResponse
from rosettamq.remoting.ids import encode_offset_message_id

from .language import NativeHeader
from .replies import RequestRefusedError, refusal, success

if TYPE_CHECKING:
    from .session import NativeSession

SEND_CODES = frozenset(
    (RequestCode.SEND_MESSAGE, RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_BATCH_MESSAGE)
)
# Java's producer reads these from every answer to a send.
_REGION = {"MSG_REGION": "DefaultRegion", "TRACE_ON": "true"}
_NOWHERE = -1  # As a log offset: an id that no look-up finds.

Place = tuple[LightQueue, int, int]  # With the offset, and the queue id.


@dataclass(slots=True)
class _Send:
    """One request, and where its messages go: a queue that they are in, and the offset there."""

    request: RemotingCommand
    levels: Mapping[LightQueue, int]  # What the topic's readers read, with the queue ids.
    places: list[Place | None]
    unique_key: str
    is_refused: bool = False  # By a queue that is full.


@dataclass(slots=True)
class _Append:
    """What is appended together."""

    items: list[Item] = field(default_factory=list)
    sends: list[_Send] = field(default_factory=list)
    starts: dict[LightQueue, int] = field(default_factory=dict)  # The first offset in each queue.
    ends: dict[LightQueue, int] = field(default_factory=dict)  # The next one.
    responses: list[tuple[RemotingCommand, RemotingCommand]] | None = None
    is_durable: bool = False


class Publisher:
    """The sends of one session that are not appended yet.

    It does not know the session, which knows it: a circle would keep both, and all that the client
    has sent, until the garbage collector comes.
    """

    def __init__(self) -> None:
        self._append = _Append()

    def add(
        self, session: NativeSession, request: RemotingCommand, topic: str, items: list[Item]
    ) -> None:
        """Append these when the read is handled; one request's messages stay together."""
        append = self._append
        header = items[0][1][1]
        lanes = session.broker.topics.lanes(topic)
        levels = {light: level for level, light in lanes.items()}
        unique_key = header.unique_key if isinstance(header, NativeHeader) else ""
        send = _Send(request, levels, [], unique_key)
        for item in items:
            append.items.append(item)
            send.places.append(_place(append, levels, item[0].queues))
        append.sends.append(send)

    def flush(self, session: NativeSession) -> None:
        """Append what was added."""
        append = self._append
        if not append.items:
            return
        self._append = _Append()

        def on_durable() -> None:
            append.is_durable = True
            _answer(session, append)

        try:
            refused = session.broker.topics.virtual_host.intake.publish(append.items, on_durable)
        except OSError as error:
            for send in append.sends:
                session.answer(send.request, session.refuse_without_room(error))
            return
        if refused:
            _count_anew(append, frozenset(refused))
        session.note_published()
        append.responses = [(send.request, _response(session, send)) for send in append.sends]
        _answer(session, append)


def _response(session: NativeSession, send: _Send) -> RemotingCommand:
    if send.is_refused:
        return refusal(RequestRefusedError(ResponseCode.SYSTEM_BUSY, "the queue is full"))
    store_host = session.store_host
    ids = []
    for place in send.places:
        log_offset = _NOWHERE
        if place is not None and place[1] < place[0].max_offset:
            log_offset = place[0].location(place[1])[0]
        ids.append(encode_offset_message_id(store_host, log_offset))
    first = send.places[0]
    queue_offset, queue_id = (0, 0) if first is None else first[1:]
    header = SendMessageResponse(",".join(ids), queue_id, queue_offset, send.unique_key)
    response = success(header)
    response.ext_fields |= _REGION
    return response


def _answer(session: NativeSession, append: _Append) -> None:
    if append.is_durable and append.responses is not None:
        for request, response in append.responses:
            session.answer(request, response)


def _place(
    append: _Append, levels: Mapping[LightQueue, int], queues: Iterable[LightQueue]
) -> Place | None:
    """Count the message in all of its queues; choose the one that readers of the topic read."""
    place: Place | None = None
    for queue in queues:
        offset = append.ends.get(queue)
        if offset is None:
            offset = append.starts[queue] = queue.max_offset
        append.ends[queue] = offset + 1
        if place is None or queue in levels:
            place = queue, offset, levels.get(queue, 0)
    return place


def _count_anew(append: _Append, refused: Collection[int]) -> None:
    """A queue that may refuse messages did: what came after these has lower offsets.

    A request is refused if one of its messages is; the others are where they are.
    """
    append.ends = dict(append.starts)
    position = 0
    for send in append.sends:
        for index in range(len(send.places)):
            queues: Iterable[LightQueue] = append.items[position][0].queues
            if position in refused:
                send.is_refused = True
                queues = [queue for queue in queues if not queue.guarded]
            send.places[index] = _place(append, send.levels, queues)
            position += 1
