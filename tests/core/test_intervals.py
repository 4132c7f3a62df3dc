from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.intervals import Intervals, OrderedIntervals, join, subtract

Runs = list[tuple[int, int]]


def runs_of(numbers: set[int]) -> Runs:
    """The slow and obvious way."""
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    ends = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    return list(zip(starts, ends, strict=True))


@st.composite
def disjoint_runs(draw: st.DrawFn) -> Runs:
    edges = sorted(draw(st.sets(st.integers(0, 40), max_size=20)))
    runs = [run for run in pairwise(edges) if draw(st.booleans())]
    return draw(st.permutations(runs))


@given(runs=disjoint_runs(), popped=st.integers(0, 40))
def test_is_a_set_of_numbers(runs: Runs, popped: int) -> None:
    intervals = Intervals()
    numbers: set[int] = set()
    for start, end in runs:
        intervals.add(start, end)
        numbers |= set(range(start, end))
        assert intervals.in_order() == runs_of(numbers)
    expected = dict(runs_of(numbers)).get(popped)
    assert intervals.pop_at(popped) == expected
    numbers -= set(range(popped, expected or popped))
    assert intervals.in_order() == runs_of(numbers)
    assert len(intervals._start_of) == len(intervals)


def test_an_interval_is_not_empty() -> None:
    with pytest.raises(AssertionError):
        Intervals().add(3, 3)


@given(runs=disjoint_runs(), pops=st.lists(st.booleans(), max_size=12), position=st.integers(0, 42))
def test_ordered_ones_tell_what_lies_ahead(runs: Runs, pops: list[bool], position: int) -> None:
    intervals = OrderedIntervals()
    numbers: set[int] = set()
    popped = list(pops)
    for start, end in runs:
        intervals.add(start, end)
        numbers |= set(range(start, end))
        if popped and popped.pop():
            first = runs_of(numbers)[0]
            assert (intervals.first_start, intervals.pop_first()) == first
            numbers -= set(range(*first))
    assert bool(intervals) is bool(numbers)
    hole = next(number for number in range(position, 99) if number not in numbers)
    ahead = [number for number in numbers if number > hole]
    assert intervals.hole_at(position) == (hole, min(ahead, default=None))


def test_what_is_popped_is_forgotten() -> None:
    intervals = OrderedIntervals([(start, start + 1) for start in range(0, 2000, 2)])
    for _ in range(990):
        intervals.pop_first()
    assert len(intervals._starts) < 200
    assert intervals.hole_at(1985) == (1985, 1986)


INTERVALS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=8)


def numbers(intervals: list[tuple[int, int]]) -> set[int]:
    return {number for start, end in intervals for number in range(start, end)}


@given(intervals=INTERVALS, others=INTERVALS)
def test_joining_and_subtracting(
    intervals: list[tuple[int, int]], others: list[tuple[int, int]]
) -> None:
    for result, expected in (
        (join(intervals), numbers(intervals)),
        (subtract(intervals, others), numbers(intervals) - numbers(others)),
    ):
        assert numbers(result) == expected
        assert all(end < start for (_, end), (start, _) in pairwise(result))
