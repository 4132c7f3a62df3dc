"""Which class serves which type of queue."""

from __future__ import annotations

from collections.abc import Mapping

from gateway.queue_types import CLASSIC, QueueType
from gateway.queues import Queue

_CLASSES: Mapping[QueueType, type[Queue]] = {CLASSIC: Queue}


def queue_class(queue_type: QueueType) -> type[Queue]:
    """The class of the queues of a type."""
    return _CLASSES[queue_type]
