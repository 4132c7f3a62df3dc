from pathlib import Path

import pytest

from core.log_marks import MARK_DISTANCE, LogMarks
from core.record import HEADER_SIZE, ROW_SIZE
from core.store import Store

ORIGIN = 1
MESSAGE = b"m" * 1000
FIRST = HEADER_SIZE + ROW_SIZE  # Of the only message in a record, its own bytes.


@pytest.fixture
def store(tmp_path: Path) -> Store:
    store = Store(tmp_path, 1 << 12, 0, 0, lambda: 1234)
    store.commit_log.open_at(0)
    return store


def append(store: Store, count: int) -> list[int]:
    return [
        store.append_durable(ORIGIN, [0], [len(MESSAGE)], [MESSAGE], [MESSAGE])
        for _ in range(count)
    ]


def test_a_message_before_all_marks_is_found(store: Store) -> None:
    offsets = append(store, 3)
    marks = LogMarks(store)
    marks.restore(offsets[2:])
    found = [marks.read_message(offset + FIRST) for offset in offsets]
    assert [each and each[:2] for each in found] == [(ORIGIN, MESSAGE)] * 3
    assert marks.read_message(offsets[0]) is None
    assert marks.read_message(store.commit_log.end) is None
    store.close()


def test_what_was_reclaimed_before_it_is_no_hindrance(store: Store) -> None:
    offsets = append(store, 10)
    marks = LogMarks(store)
    marks.add(offsets[0])
    middle = store.commit_log.segments[1]
    store.commit_log.drop(middle)
    found = [marks.read_message(offset + FIRST) for offset in offsets]
    assert [each and each[:2] for each in found] == [
        None if middle.base <= offset < middle.end else (ORIGIN, MESSAGE) for offset in offsets
    ]
    assert found[-1] is not None
    assert found.count(None) == (middle.end - middle.base) // (offsets[1] - offsets[0])
    store.close()


def test_marks_go_with_their_segments(store: Store) -> None:
    offsets = append(store, 10)
    marks = LogMarks(store)
    marks.add(offsets[0])
    assert marks.due_at == offsets[0] + MARK_DISTANCE
    marks.add(offsets[9])
    store.commit_log.drop(store.commit_log.segments[0])
    marks.forget_reclaimed()
    assert marks.offsets == offsets[9:]
    assert marks.before(1235) == offsets[9]
    assert marks.before(1234) == store.commit_log.start
    store.close()
