from collections.abc import Collection

from twisted.internet.task import Clock

from core.turn import Turn
from gateway.declarations import QueueDeclaration
from gateway.queues.lane import Lane
from protocols.native.invisible import InvisibleMessages
from tests.support.native_peer import NativeBroker


class Recorder:
    """Remembers what becomes of messages."""

    def __init__(self) -> None:
        self.settled: list[list[int]] = []
        self.released: list[list[int]] = []

    def settle(self, offsets: Collection[int]) -> None:
        self.settled.append(list(offsets))

    def release(self, offsets: Collection[int]) -> None:
        self.released.append(list(offsets))


def test_what_is_acknowledged_together_is_settled_at_once(broker: NativeBroker) -> None:
    """Of several pops, too; what is left of each comes back when its time is over."""
    clock, progress = Clock(), Recorder()
    messages = InvisibleMessages(clock, Turn())
    key = (Lane(broker.virtual_host.declare_queue(QueueDeclaration("T"))), "G")
    messages.hide(key, progress, range(4), 7, 10)
    messages.hide(key, progress, range(4, 6), 7, 20)
    messages.hide(key, progress, [6], 8, 20)
    assert messages.settle(key, range(1, 9), 7) == 5
    assert progress.settled == [[1, 2, 3, 4, 5]]
    assert messages.count(key) == 2
    clock.advance(10)
    assert progress.released == [[0]]
    clock.advance(10)
    assert (progress.released, messages.count(key)) == ([[0], [6]], 0)
    assert not clock.getDelayedCalls()
