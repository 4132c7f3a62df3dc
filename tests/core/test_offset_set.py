import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from core.offset_set import OffsetSet

CHUNK = 1024
END = 6 * CHUNK

# Offsets near the borders of chunks, and anywhere.
OFFSETS = st.one_of(
    st.builds(
        lambda chunk, ahead: max(0, chunk * CHUNK + ahead), st.integers(0, 5), st.integers(-3, 3)
    ),
    st.integers(0, END),
)
RUNS = st.tuples(OFFSETS, OFFSETS).map(lambda edges: (min(edges), max(edges)))


@st.composite
def scattered(draw: st.DrawFn) -> set[int]:
    """Runs, and every n-th offset of others."""
    numbers: set[int] = set()
    for start, end in draw(st.lists(RUNS, max_size=4)):
        numbers |= set(range(start, end, draw(st.sampled_from([1, 1, 2, 3, 100]))))
    return numbers


def runs_of(numbers: set[int]) -> list[tuple[int, int]]:
    """The slow and obvious way."""
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    ends = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    return list(zip(starts, ends, strict=True))


def check(offsets: OffsetSet, numbers: set[int]) -> None:
    """It is this set, and as small as it can be."""
    assert list(offsets.runs()) == runs_of(numbers)
    assert bool(offsets) is bool(numbers)
    assert offsets.count() == len(numbers)
    assert offsets.end == max(numbers, default=-1) + 1
    assert offsets._numbers == sorted(offsets)
    chunks = [set(range(start, start + CHUNK)) for start in range(0, END + CHUNK, CHUNK)]
    full = {number for number, chunk in enumerate(chunks) if chunk <= numbers}
    partial = {number for number, chunk in enumerate(chunks) if chunk & numbers} - full
    assert set(offsets) == partial | {start for start, _ in runs_of(full)}


class OffsetSetMachine(RuleBasedStateMachine):
    """Against a set of integers."""

    def __init__(self) -> None:
        super().__init__()
        self.offsets = OffsetSet()
        self.numbers: set[int] = set()

    @rule(run=RUNS)
    def add(self, run: tuple[int, int]) -> None:
        self.offsets.add(*run)
        self.numbers |= set(range(*run))

    @rule(run=RUNS)
    def discard(self, run: tuple[int, int]) -> None:
        self.offsets.discard(*run)
        self.numbers -= set(range(*run))

    @rule(start=OFFSETS, step=st.sampled_from([2, 3, 500]), is_backwards=st.booleans())
    def add_one_by_one(self, start: int, step: int, is_backwards: bool) -> None:
        numbers = range(start, min(start + 1100, END), step)
        for number in reversed(numbers) if is_backwards else numbers:
            self.offsets.add(number, number + 1)
        self.numbers |= set(numbers)

    @rule(other=scattered())
    def add_all(self, other: set[int]) -> None:
        self.offsets.add_all(OffsetSet(runs_of(other)))
        self.numbers |= other

    @rule(other=scattered())
    def discard_all(self, other: set[int]) -> None:
        self.offsets.discard_all(OffsetSet(runs_of(other)))
        self.numbers -= other

    @precondition(lambda self: self.numbers)
    @rule(data=st.data())
    def pop_at(self, data: st.DataObject) -> None:
        runs = runs_of(self.numbers)
        start, end = data.draw(st.sampled_from([runs[0], runs[-1]]) | st.sampled_from(runs))
        assert self.offsets.pop_at(start) == end
        self.numbers -= set(range(start, end))

    @rule(position=OFFSETS)
    def look(self, position: int) -> None:
        hole = next(number for number in range(position, END + 2) if number not in self.numbers)
        ahead = (number for number in range(position, END + 2) if number in self.numbers)
        assert self.offsets.hole_from(position) == hole
        assert self.offsets.first_from(position) == next(ahead, None)
        assert self.offsets.holds(position) is (position in self.numbers)
        end = position + 1500
        between = {number for number in self.numbers if position <= number < end}
        assert list(self.offsets.runs(position, end)) == runs_of(between)
        if position not in self.numbers:
            assert self.offsets.pop_at(position) == position

    @rule()
    def copy(self) -> None:
        twin, self.offsets = self.offsets, self.offsets.copy()
        twin.add(0, END + CHUNK)

    @rule()
    def pack(self) -> None:
        self.offsets = OffsetSet.unpack(*self.offsets.pack())

    @invariant()
    def is_the_same_set(self) -> None:
        check(self.offsets, self.numbers)


TestOffsetSet = OffsetSetMachine.TestCase
TestOffsetSet.settings = settings(max_examples=60, stateful_step_count=15)


@given(numbers=scattered())
def test_what_is_packed_is_short(numbers: set[int]) -> None:
    intervals, bitmaps = OffsetSet(runs_of(numbers)).pack()
    check(OffsetSet.unpack(intervals, bitmaps), numbers)
    assert all(len(bitmap) == CHUNK // 8 for bitmap in bitmaps.values())
    for start, end in intervals:
        assert start // CHUNK not in bitmaps
        assert numbers >= set(range(start, end))
    chunk_count = len({number // CHUNK for number in numbers})
    assert len(intervals) <= 8 * (chunk_count - len(bitmaps))


@pytest.mark.parametrize("end", [1, 7 * CHUNK - 1, 10_000_000, 1 << 40])
def test_a_long_run_is_nothing_much(end: int) -> None:
    offsets = OffsetSet([(5, end + 5)])
    assert len(offsets) <= 3
    assert len(offsets.pack()[0]) <= 3
    assert offsets.count() == end
    assert offsets.pop_at(5) == end + 5
    assert not offsets


def test_one_that_is_filled_one_by_one_collapses() -> None:
    offsets = OffsetSet()
    for number in range(1, 5 * CHUNK, 2):
        offsets.add(number, number + 1)
    assert len(offsets.pack()[1]) == 5
    for number in range(2, 5 * CHUNK, 2):
        offsets.add(number, number + 1)
    assert offsets.pack() == ([(1, CHUNK), (CHUNK, 5 * CHUNK)], {})
