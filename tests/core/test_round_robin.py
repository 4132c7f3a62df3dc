"""Routes that take turns are found, with where their messages are; anything else is not."""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from core.consume_queue import SINGLES
from core.round_robin import find_turns
from core.route import Route


def routes(count: int) -> list[Route]:
    return [Route((), number) for number in range(count)]


def cut(every: Sequence[Route], sizes: Sequence[int]) -> list[tuple[int, Sequence[Route]]]:
    """The same routes in batches of these sizes, again and again; log offsets 1000, 2000 ..."""
    owed: list[tuple[int, Sequence[Route]]] = []
    while every:
        size = sizes[len(owed) % len(sizes)]
        owed.append((1000 * (len(owed) + 1), every[:size]))
        every = every[size:]
    return owed


@given(
    period=st.integers(2, 7),
    count=st.integers(0, 40),
    sizes=st.lists(st.integers(1, 9), min_size=1),
)
def test_turns_are_found_however_the_batches_are_cut(
    period: int, count: int, sizes: list[int]
) -> None:
    turns = routes(period)
    every = (turns * 40)[: period + 1 + count]
    owed = cut(every, sizes)
    found = find_turns(owed)
    assert found is not None
    expected: dict[Route, list[tuple[int, int]]] = {route: [] for route in turns}
    for log_offset, of_batch in owed:
        for place, route in enumerate(of_batch):
            expected[route].append((log_offset, SINGLES[place]))
    assert {
        route: list(zip(log_offsets, places, strict=True))
        for route, (log_offsets, places) in found.items()
    } == expected


def test_what_only_looks_like_turns_is_none() -> None:
    a, b, c = routes(3)
    for every in (
        [a],
        [a, b, c],
        [a, a, a, a],
        [a, b, b, a, b, b],
        [a, b, c, a, c, b],
        [a, b, a, b, a, c],
        [b, a, c, a, c, a, c],
    ):
        assert find_turns([(0, every)]) is None, every


def test_a_batch_of_very_many_is_left_to_others() -> None:
    assert find_turns([(0, routes(2) * len(SINGLES))]) is None
