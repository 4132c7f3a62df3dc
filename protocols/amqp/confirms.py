"""Publisher confirms: who is told after a read, and who only after the disk has it."""

from __future__ import annotations

from collections.abc import Callable

from protocols.amqp.channel import Channel


class Confirms:
    """The channels of one connection whose publishes of this read are to be confirmed.

    `due` says of each whether it has to wait until what was appended is durable.
    """

    def __init__(self, when_durable: Callable[[Callable[[], None]], None]) -> None:
        self.due: dict[Channel, bool] = {}
        self._when_durable = when_durable

    def settle(self) -> None:
        """Confirm what needs no disk now, and the rest when it is durable; in order."""
        durable: list[tuple[Channel, int]] = []
        for channel, is_durable in self.due.items():
            if is_durable or channel.awaited_flush_count:
                channel.awaited_flush_count += 1
                durable.append((channel, channel.published_count))
            else:
                channel.confirm(channel.published_count)
        self.due.clear()

        def flushed() -> None:
            for channel, count in durable:
                channel.awaited_flush_count -= 1
                channel.confirm(count)

        if durable:
            self._when_durable(flushed)
