"""Who keeps a delivery for too long.

It is looked at now and then, so that no delivery has to remember when it went out: a mark says
which was the last one at what time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

from protocols.amqp.replies import AmqpError

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel
    from protocols.amqp.settling import Outstanding

_INTERVAL_S = 60.0


def check_interval_s(default_ms: int) -> float:
    """How often to look; a timeout shorter than that is noticed as late, as in RabbitMQ."""
    return min(_INTERVAL_S, default_ms / 2000) if default_ms else _INTERVAL_S


def find_overdue(
    channels: Iterable[Channel], default_ms: int, now: float
) -> Iterator[tuple[Channel, AmqpError]]:
    """The channels that have kept a delivery for too long, and what they are told."""
    for channel in channels:
        channel.settling.enter()
        timeout_ms = channel.marks.exceeded_ms(channel.unacknowledged, default_ms, now)
        channel.marks.note(channel.unacknowledged, channel.delivery_tag, now)
        if timeout_ms is not None:
            text = (
                f"delivery acknowledgement on channel {channel.number} timed out. Timeout value"
                f" used: {timeout_ms} ms. This timeout value can be configured, see consumers doc"
                " guide to learn more"
            )
            yield channel, AmqpError("PRECONDITION_FAILED", text)


class DeliveryMarks:
    """Delivery tags of one channel, and when each was the last; oldest first."""

    def __init__(self) -> None:
        self._marks: list[tuple[int, float]] = []

    def note(self, unacknowledged: Mapping[int, Outstanding], last_tag: int, now: float) -> None:
        """Mark what went out so far; forget the marks that no delivery needs."""
        oldest = next(iter(unacknowledged), None)
        if oldest is None:
            self._marks.clear()
            return
        self._marks = [mark for mark in self._marks if mark[0] >= oldest]
        if not self._marks or self._marks[-1][0] < last_tag:
            self._marks.append((last_tag, now))

    def forget(self) -> None:
        """Acknowledgements could not arrive: begin to count anew."""
        self._marks.clear()

    def exceeded_ms(
        self, unacknowledged: Mapping[int, Outstanding], default_ms: int, now: float
    ) -> int | None:
        """The timeout that one of these deliveries has exceeded; None if none has.

        Each has that of its queue, or the default one; the smaller of both, and 0 is none.
        """
        marks = iter(self._marks)
        tag_marked, since = next(marks, (0, now))
        for tag, (holder, _) in unacknowledged.items():
            while tag > tag_marked:
                following = next(marks, None)
                if following is None:
                    return None  # This one went out after the last look.
                tag_marked, since = following
            own_ms = holder.queue.options.consumer_timeout_ms or default_ms
            timeout_ms = min(own_ms, default_ms or own_ms)
            if timeout_ms and (now - since) * 1000 >= timeout_ms:
                return timeout_ms
        return None
