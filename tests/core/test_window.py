import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.offset_set import OffsetSet
from core.window import Window
from tests.support.chunks import use_small_chunks

END = 1 << 40


class WindowMachine(RuleBasedStateMachine):
    """A window against sets of offsets."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = pytest.MonkeyPatch()
        use_small_chunks(self.patch)
        self.window = Window()
        self.next_offset = 0
        self.in_flight: set[int] = set()
        self.returned: set[int] = set()
        self.settled: set[int] = set()
        self.delivered: set[int] = set()  # At least once, in this life or an earlier one.

    def teardown(self) -> None:
        self.patch.undo()

    @property
    def touched(self) -> set[int]:
        """What is not ready for the first time, or again after a restart."""
        return self.in_flight | self.returned | self.settled

    def first_ready(self, position: int) -> int:
        return next(offset for offset in range(position, END) if offset not in self.touched)

    @rule(count=st.integers(1, 5))
    def take(self, count: int) -> None:
        start = self.window.begin_run()
        assert start == self.first_ready(self.next_offset)
        taken = self.window.take(count)
        assert 1 <= taken <= count
        offsets = set(range(start, start + taken))
        assert not offsets & self.touched
        redelivered = {self.window.is_redelivered(offset) for offset in offsets}
        assert redelivered == {bool(offsets & self.delivered)}
        if offsets & self.delivered:
            assert offsets <= self.delivered
        self.in_flight |= offsets
        self.delivered |= offsets
        self.next_offset = start + taken

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def untake(self, data: st.DataObject) -> None:
        """Only ever said of what was just taken."""
        start = self.window.begin_run()
        fresh = start not in self.delivered
        taken = self.window.take(3)
        back = data.draw(st.integers(0, taken - 1))
        self.window.untake(back)
        offsets = set(range(start, start + taken - back))
        assert fresh == (not offsets & self.delivered)
        self.in_flight |= offsets
        self.delivered |= offsets
        self.next_offset = start + taken - back

    @rule(ahead=st.integers(0, 8))
    def take_at(self, ahead: int) -> None:
        """Somebody choosy takes what lies ahead."""
        start, end = self.window.ready_from(self.next_offset + ahead)
        assert start == self.first_ready(self.next_offset + ahead)
        later = [offset for offset in self.touched if offset > start]
        assert end == min(later, default=None)
        self.window.take_at(start)
        self.in_flight.add(start)
        self.delivered.add(start)

    @precondition(lambda self: self.returned)
    @rule(data=st.data())
    def take_returned_at(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.returned)))
        assert self.window.is_returned(offset)
        self.window.take_at(offset)
        assert not self.window.is_returned(offset)
        self.returned.remove(offset)
        self.in_flight.add(offset)

    @precondition(lambda self: self.returned)
    @rule()
    def take_returned(self) -> None:
        offset = self.window.take_returned()
        assert offset == min(self.returned)
        assert self.window.is_redelivered(offset)
        self.returned.remove(offset)
        self.in_flight.add(offset)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        start = data.draw(st.sampled_from(sorted(self.in_flight)))
        end = start + 1
        while end in self.in_flight and data.draw(st.booleans()):
            end += 1
        self.window.settle(start, end)
        self.in_flight -= set(range(start, end))
        self.settled |= set(range(start, end))

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        offset = data.draw(st.sampled_from(sorted(self.in_flight)))
        self.window.release(offset)
        self.in_flight.remove(offset)
        self.returned.add(offset)

    @rule(ahead=st.integers(0, 5))
    def purge(self, ahead: int) -> None:
        end = self.window.begin_run() + ahead
        ready = self.returned | (set(range(self.next_offset, end)) - self.touched)
        count, intervals = self.window.purge(end)
        purged = [offset for interval in intervals for offset in range(*interval)]
        assert count == len(ready)
        assert len(purged) == len(set(purged))
        self.settled |= ready
        assert ready <= set(purged) <= self.settled
        self.returned.clear()
        self.next_offset = max(end, self.next_offset)

    @rule()
    def restart(self) -> None:
        """What was in flight is ready again, and known to have been delivered."""
        settled = OffsetSet((offset, offset + 1) for offset in self.settled)
        below = max(self.delivered, default=-1) + 1
        assert below <= self.window.delivered_end
        self.window = Window()
        self.window.restore(settled, below)
        self.in_flight.clear()
        self.returned.clear()
        self.next_offset = self.window.floor
        self.delivered = set(range(below))

    @invariant()
    def floor_and_counts(self) -> None:
        window = self.window
        floor = next(offset for offset in range(END) if offset not in self.settled)
        assert window.floor == floor
        intervals = window.settled.runs() if window.settled else ()
        above = {offset for start, end in intervals for offset in range(start, end)}
        assert above == {offset for offset in self.settled if offset >= floor}
        assert window.in_flight_count == len(self.in_flight) == window.in_flight().count()
        assert all(map(window.in_flight().holds, self.in_flight))
        assert window.returned.keys() == self.returned
        is_next = min(self.returned, default=END) < self.first_ready(self.next_offset)
        assert window.is_return_next() is is_next
        assert set(window.delivery_counts) <= self.in_flight | self.returned


TestWindow = WindowMachine.TestCase
TestWindow.settings = settings(max_examples=60, stateful_step_count=30)


def test_counts_deliveries_of_what_came_back() -> None:
    window = Window()
    window.take(3)
    window.release(1)
    window.take_returned()
    window.release(1)
    assert window.delivery_counts == {1: 2}
    window.take_returned()
    window.settle(0, 3)
    assert window.delivery_counts == {}
    assert window.floor == 3


def test_what_is_not_held_is_passed_over() -> None:
    window = Window()
    window.take(2)
    window.skip_to(5)
    window.skip_to(4)
    assert window.begin_run() == 5
    window.settle(0, 2)
    assert window.floor == 5


@pytest.mark.parametrize("delivered_below", [0, 2, 9])
def test_a_run_has_been_delivered_before_or_not(delivered_below: int) -> None:
    window = Window()
    window.restore(OffsetSet(), delivered_below)
    window.begin_run()
    assert window.take(4) == {0: 4, 2: 2, 9: 4}[delivered_below]


def test_what_is_taken_out_of_the_middle_again_and_again_is_not_remembered() -> None:
    window = Window()
    window.take(2)
    for _ in range(1000):
        window.release(1)
        window.take_at(1)
    window.release(0)
    assert len(window._returned_heap) < 100
    assert window.take_returned() == 0
    assert not window.is_return_next()
