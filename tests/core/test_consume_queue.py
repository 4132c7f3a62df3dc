import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.consume_queue import VOLATILE_BASE, ConsumeQueue, Run
from core.errors import OffsetOutOfRangeError


class Model:
    """A queue as a list of its messages: offset, log offset, place in the record."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self.max_offset = 0

    def append(self, log_offset: int, first: int, count: int) -> None:
        self.runs.append((self.max_offset, log_offset, first, count))
        self.max_offset += count

    def run_at(self, offset: int) -> Run | None:
        for start, log_offset, first, count in self.runs:
            if offset < start + count:
                ahead = max(0, offset - start)
                return start + ahead, log_offset, first + ahead, count - ahead
        return None

    def drop_before(self, offset: int) -> list[int]:
        dropped = []
        while self.runs and self.runs[0][0] + self.runs[0][3] <= offset:
            dropped.append(self.runs.pop(0)[1])
        return dropped


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 5)),
        st.tuples(st.just("skip"), st.integers(1, 5)),
        st.tuples(st.just("drop"), st.integers(0, 60)),
        st.tuples(st.just("look"), st.integers(0, 60)),
        st.tuples(st.just("read on"), st.integers(1, 4)),
        st.tuples(st.just("save"), st.just(0)),
    ),
    max_size=40,
)


@pytest.mark.parametrize("trim_size_min", [3, 1024 * 3])
@given(steps=STEPS)
def test_is_a_list_of_runs(trim_size_min: int, steps: list[tuple[str, int]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.consume_queue._TRIM_SIZE_MIN", trim_size_min)
        check_steps(steps)


def check_steps(steps: list[tuple[str, int]]) -> None:
    queue, model, next_offset = ConsumeQueue(), Model(), 0
    for number, (step, argument) in enumerate(steps):
        if step == "append":
            assert queue.append(number * 100, number, argument) == model.max_offset
            model.append(number * 100, number, argument)
        elif step == "skip":
            queue.skip(argument)
            model.max_offset += argument
        elif step == "drop":
            assert list(queue.drop_before(argument)) == model.drop_before(argument)
        elif step == "look":
            offset = max(argument, queue.min_offset)
            assert queue.run_at(offset) == model.run_at(offset)
        elif step == "read on":
            next_offset = max(next_offset, queue.min_offset)
            run = queue.run_at(next_offset)
            assert run == model.run_at(next_offset)
            next_offset = run[0] + min(run[3], argument) if run else next_offset
        else:
            queue = ConsumeQueue(queue.max_offset, queue.to_bytes())
        assert queue.max_offset == model.max_offset
        assert queue.min_offset == (model.runs[0][0] if model.runs else model.max_offset)
        assert len(queue) == len(model.runs)
        assert list(queue.runs[1::3]) == [run[1] for run in model.runs]


def test_a_checkpoint_leaves_out_what_lies_in_memory_only() -> None:
    queue = ConsumeQueue()
    for log_offset in (10, VOLATILE_BASE, 20):
        queue.append(log_offset, 0, 2)
        if log_offset == VOLATILE_BASE:
            queue.mark_transient()
    saved = ConsumeQueue(queue.max_offset, queue.to_bytes())
    behind = (4, 20, 0, 2)
    found = [saved.run_at(offset) for offset in range(7)]
    assert found == [(0, 10, 0, 2), (1, 10, 1, 1), behind, behind, behind, (5, 20, 1, 1), None]


def test_a_checkpoint_leaves_out_what_is_transient() -> None:
    queue = ConsumeQueue()
    for number in range(3):
        queue.append(10 * number, 5, 2)
        if number == 1:
            queue.mark_transient()
    assert queue.run_at(2) == (2, 10, 5, 2)
    saved = ConsumeQueue(queue.max_offset, queue.to_bytes())
    assert list(saved.runs[1::3]) == [0, 20]
    assert saved.run_at(2) == (4, 20, 5, 2)


def test_an_offset_is_held_or_refused() -> None:
    queue = ConsumeQueue(5)
    queue.append(0, 0, 2)
    queue.check(5)
    queue.check(6)
    for offset in (4, 7):
        with pytest.raises(OffsetOutOfRangeError):
            queue.check(offset)


def test_an_empty_queue_keeps_no_room_for_what_it_had() -> None:
    """There may be 100,000 idle reply queues."""
    queue = ConsumeQueue()
    for offset in range(100_000):
        queue.append(offset, 0, 1)
        queue.drop_before(offset + 1)
    assert len(queue) == 0
    assert len(queue._runs) * queue._runs.itemsize <= 2048


def test_what_was_dropped_may_be_put_before_the_rest_again() -> None:
    index = ConsumeQueue()
    index.append(100, 0, 3)
    index.append(VOLATILE_BASE, 0, 1)
    index.append(200, 5, 2)
    assert index.first_kept() == (100, 0)
    index.drop_before(3)
    assert index.first_kept() == (200, 5)
    index.prepend(index_of((50, 1, 1), (100, 0, 2)))
    assert index.min_offset == 0
    assert [index.run_at(offset) for offset in (0, 2, 3, 4)] == [
        (0, 50, 1, 1),
        (2, 100, 1, 1),
        (3, VOLATILE_BASE, 0, 1),
        (4, 200, 5, 2),
    ]
    index.drop_before(6)
    assert index.first_kept() is None
    index.prepend(index_of((200, 6, 1)))
    assert (index.min_offset, index.max_offset) == (5, 6)


def index_of(*runs: tuple[int, int, int]) -> ConsumeQueue:
    """An index with these runs: log offset, first message, count."""
    index = ConsumeQueue()
    for run in runs:
        index.append(*run)
    return index


@pytest.mark.parametrize("end", range(8))
def test_the_end_may_be_cut_off_anywhere(end: int) -> None:
    index = index_of((50, 1, 3), (100, 0, 1), (150, 2, 3))
    index.run_at(6)
    index.cut(end)
    assert index.max_offset == end
    kept = [
        (start, offset, first, min(count, end - start))
        for start, offset, first, count in [(0, 50, 1, 3), (3, 100, 0, 1), (4, 150, 2, 3)]
        if start < end
    ]
    found, offset = [], 0
    while (run := index.run_at(offset)) is not None:
        found.append(run)
        offset = run[0] + run[3]
    assert found == kept
