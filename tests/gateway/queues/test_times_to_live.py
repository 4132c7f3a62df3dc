from __future__ import annotations

from gateway.queues.times_to_live import TimesToLive


def test_what_came_before_a_change_keeps_its_time() -> None:
    times = TimesToLive(None)
    assert times.at(5) is None
    assert times.history == []
    times.change(1000, 10, is_empty=False)
    times.change(500, 20, is_empty=False)
    assert [times.at(stored) for stored in (0, 9, 10, 19, 20, 99)] == [
        None, None, 1000, 1000, 500, 500
    ]  # fmt: skip
    again = TimesToLive(500, times.history)
    assert [again.at(stored) for stored in (9, 10, 20)] == [None, 1000, 500]


def test_an_empty_queue_has_no_history() -> None:
    times = TimesToLive(7)
    times.change(1000, 10, is_empty=False)
    times.change(2000, 20, is_empty=True)
    assert times.history == []
    assert times.at(0) == 2000


def test_a_history_has_an_end() -> None:
    times = TimesToLive(None)
    for number in range(1000):
        times.change(number, number, is_empty=False)
    assert len(times.history) < 100
    assert times.at(2000) == 999
    assert times.at(0) == times.history[0][1]
