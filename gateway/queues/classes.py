"""Which class serves which type of queue."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.queues.queue import Queue
from gateway.queues.quorum import QuorumQueue
from gateway.queues.streams import Stream
from gateway.queues.types import CLASSIC, QUORUM, STREAM, QueueType

_CLASSES: Mapping[QueueType, type[Queue]] = {
    CLASSIC: Queue,
    QUORUM: QuorumQueue,
    STREAM: Stream,
}


def queue_class(queue_type: QueueType) -> type[Queue]:
    """The class of the queues of a type."""
    return _CLASSES[queue_type]
