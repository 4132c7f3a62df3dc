"""The crash test's own judgement: it must refuse every way in which a broker can be wrong."""

from __future__ import annotations

from collections.abc import Iterable

import pytest

from tests.crash.amqp_wire import Delivered
from tests.crash.load import Confirms
from tests.crash.test_kill import Aftermath, check_kept, check_worked

AFTERMATH = Aftermath(
    sent=6, confirmed={1, 2, 3, 4}, delivered={1, 2, 3}, acknowledged={1, 2}, settled={1}
)


def drained(numbers: Iterable[int], redelivered: Iterable[int] = ()) -> list[Delivered]:
    marked = set(redelivered)
    return [Delivered(tag, number, number in marked) for tag, number in enumerate(numbers, 1)]


@pytest.mark.parametrize("numbers", [[1, 2, 3, 4], [1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 6]])
def test_a_queue_that_nobody_read(numbers: list[int]) -> None:
    check_kept(drained(numbers), AFTERMATH)


@pytest.mark.parametrize(
    ("numbers", "redelivered"),
    [
        ([1, 2, 4], []),  # One lost.
        ([1, 2, 2, 3, 4], []),  # One twice.
        ([1, 3, 2, 4], []),  # Out of order.
        ([1, 2, 3, 4, 7], []),  # Never sent.
        ([1, 2, 3, 4], [3]),  # Marked, but new.
    ],
)
def test_a_queue_that_nobody_read_gone_wrong(numbers: list[int], redelivered: list[int]) -> None:
    with pytest.raises(AssertionError):
        check_kept(drained(numbers, redelivered), AFTERMATH)


@pytest.mark.parametrize(
    ("numbers", "redelivered"),
    [([3, 4], [3]), ([2, 3, 4], [2, 3]), ([3, 4, 5], [3, 4])],
)
def test_a_queue_that_somebody_read(numbers: list[int], redelivered: list[int]) -> None:
    check_worked(drained(numbers, redelivered), AFTERMATH)


@pytest.mark.parametrize(
    ("numbers", "redelivered"),
    [
        ([4], []),  # One lost.
        ([3, 4], []),  # Delivered before, but not marked.
        ([1, 3, 4], [1, 3]),  # Acknowledged long ago.
        ([3, 3, 4], [3]),  # One twice.
    ],
)
def test_a_queue_that_somebody_read_gone_wrong(numbers: list[int], redelivered: list[int]) -> None:
    with pytest.raises(AssertionError):
        check_worked(drained(numbers, redelivered), AFTERMATH)


def test_confirms_in_any_order() -> None:
    confirms = Confirms()
    for tag, multiple in [(2, False), (1, False), (5, False), (4, True), (7, False)]:
        confirms.add(tag, multiple)
    assert confirms.numbers() == {1, 2, 3, 4, 5, 7}
    assert len(confirms) == 6
