"""Which class serves which type of queue."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.queue_types import CLASSIC, QUORUM, STREAM, QueueType
from gateway.queues import Queue
from gateway.quorum import QuorumQueue
from gateway.streams import Stream

_CLASSES: Mapping[QueueType, type[Queue]] = {
    CLASSIC: Queue,
    QUORUM: QuorumQueue,
    STREAM: Stream,
}


def queue_class(queue_type: QueueType) -> type[Queue]:
    """The class of the queues of a type."""
    return _CLASSES[queue_type]
