"""Publisher confirms: who is told after a read, and who only after the disk has it."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from typing import TYPE_CHECKING

from protocols.amqp.codec import encode_method

if TYPE_CHECKING:
    from protocols.amqp.channel import Channel

_BASIC_ACK, _BASIC_NACK = 80, 120


class Confirming:
    """The publishes of one channel since confirm.select, by their numbers."""

    def __init__(self) -> None:
        self.published_count = 0
        self.confirmed_count = 0
        self.awaited_flush_count = 0
        self._refused: list[int] = []  # Those that are to be nacked in their turn, in order.

    @property
    def unconfirmed_count(self) -> int:
        """How many the client still waits for."""
        return self.published_count - self.confirmed_count

    def refuse_next(self) -> None:
        """The publish that comes next is not taken over by all that it was routed to."""
        self._refused.append(self.published_count + 1)

    def answers(self, channel: int, count: int) -> list[bytes]:
        """The frames that settle all up to the `count`-th publish."""
        frames: list[bytes] = []
        due = bisect_right(self._refused, count)
        for number in self._refused[:due]:
            self._settle(frames, channel, number - 1, _BASIC_ACK)
            self._settle(frames, channel, number, _BASIC_NACK)
        del self._refused[:due]
        self._settle(frames, channel, count, _BASIC_ACK)
        return frames

    def _settle(self, frames: list[bytes], channel: int, count: int, method: int) -> None:
        if count > self.confirmed_count:
            multiple = count - self.confirmed_count > 1
            self.confirmed_count = count
            arguments = count.to_bytes(8, "big") + bytes((multiple,))
            frames.append(encode_method(channel, 60, method, arguments))


class Confirms:
    """The channels of one connection whose publishes of this read are to be confirmed.

    `due` says of each whether it has to wait until what was appended is durable.
    """

    def __init__(self, when_durable: Callable[[Callable[[], None]], None]) -> None:
        self.due: dict[Channel, bool] = {}
        self._when_durable = when_durable

    def settle(self) -> None:
        """Confirm what needs no disk now, and the rest when it is durable; in order."""
        durable: list[tuple[Channel, Confirming, int]] = []
        for channel, is_durable in self.due.items():
            confirming = channel.confirming
            assert confirming is not None
            if is_durable or confirming.awaited_flush_count:
                confirming.awaited_flush_count += 1
                durable.append((channel, confirming, confirming.published_count))
            else:
                channel.confirm(confirming.published_count)
        self.due.clear()

        def flushed() -> None:
            for channel, confirming, count in durable:
                confirming.awaited_flush_count -= 1
                channel.confirm(count)

        if durable:
            self._when_durable(flushed)
