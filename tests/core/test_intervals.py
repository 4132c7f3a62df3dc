from hypothesis import given
from hypothesis import strategies as st

from core.intervals import runs_of


@given(numbers=st.sets(st.integers(0, 40)))
def test_runs_are_as_long_as_can_be(numbers: set[int]) -> None:
    starts = sorted(number for number in numbers if number - 1 not in numbers)
    ends = sorted(number + 1 for number in numbers if number + 1 not in numbers)
    assert runs_of(sorted(numbers)) == list(zip(starts, ends, strict=True))
