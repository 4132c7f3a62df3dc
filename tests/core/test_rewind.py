"""Rewinding: what a group was done with comes again, in its order, once, and after a crash."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.light_queue import LightQueue
from core.rewind import SinceOffset, SinceTime, Target
from tests.support.chunks import use_small_chunks
from tests.support.live_broker import LiveBroker, bodies, take_all


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def rewind(live: LiveBroker, queue: LightQueue, target: Target) -> int:
    """Rewind to the end; return how many messages more are ready."""
    results: list[Any] = []
    live.broker.rewind([queue], target, results.append)
    while not results:
        live.clock.advance(0)
    (result,) = results
    assert isinstance(result, int), result
    return result


def consume(queue: LightQueue, count: int) -> list[bytes]:
    """Take and settle."""
    got: list[bytes] = []
    while len(got) < count:
        for start, messages, _ in queue.take(count - len(got)):
            got += messages
            queue.settle(start, start + len(messages))
    return got


def fill(live: LiveBroker, queue: LightQueue, *numbers: int) -> None:
    """One message a second."""
    for number in numbers:
        live.append(queue, b"%d" % number)
        live.clock.advance(1)


def test_what_was_acknowledged_comes_again_before_what_is_newer(live: LiveBroker) -> None:
    queue, other = live.declare(), live.declare()
    for number in range(10):
        live.append(other, b"of another")
        fill(live, queue, number)
    assert consume(queue, 7) == [b"%d" % number for number in range(7)]
    assert queue.min_offset == 7, "the index has forgotten them"
    assert rewind(live, queue, SinceTime(4000)) == 3
    assert take_all(queue) == [(n, b"%d" % n, n < 7) for n in range(4, 10)]


def test_also_of_records_that_other_queues_share(live: LiveBroker) -> None:
    queue, other = live.declare(), live.declare()
    both, mine, theirs = (live.broker.route(each) for each in ([queue, other], [queue], [other]))
    live.append([mine, theirs, both, theirs, mine, mine], *(b"%d" % n for n in range(6)))
    assert consume(queue, 3) == [b"0", b"2", b"4"]
    assert rewind(live, queue, SinceTime(0)) == 3
    assert bodies(queue) == [b"0", b"2", b"4", b"5"]
    assert bodies(other) == [b"1", b"2", b"3"]


def test_what_is_in_flight_or_ready_is_there_once(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, *range(8))
    assert queue.take(6)
    queue.settle(0, 2)  # 2 stays in flight, 5 too.
    queue.settle(3, 5)
    queue.release([5])
    queue.take(1)
    queue.release([5])
    assert rewind(live, queue, SinceTime(0)) == 4
    assert (queue.ready_count, queue.in_flight_count) == (7, 1)
    got = take_all(queue)
    assert got == [(n, b"%d" % n, n < 6) for n in (0, 1, 3, 4, 5, 6, 7)]
    queue.release([2])
    assert take_all(queue) == [(2, b"2", True)]
    queue.settle(0, 8)
    assert (queue.ready_count, queue.in_flight_count, len(queue.index)) == (0, 0, 0)


def test_transient_messages_that_are_still_there_keep_their_places(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, 0)
    live.append(queue, b"transient 1", durable=False)
    fill(live, queue, 2)
    live.append(queue, b"transient 3", durable=False)
    assert consume(queue, 2) == [b"0", b"transient 1"]
    assert rewind(live, queue, SinceTime(0)) == 1, "what lived in memory is gone"
    assert bodies(queue) == [b"0", b"2", b"transient 3"]


def test_to_an_offset(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, *range(10))
    consume(queue, 8)
    assert rewind(live, queue, SinceOffset(6)) == 2
    assert bodies(queue) == [b"6", b"7", b"8", b"9"]
    assert rewind(live, queue, SinceOffset(99)) == 0
    queue.settle(6, 10)
    assert rewind(live, queue, SinceOffset(0)) == 10
    assert [offset for offset, _, _ in take_all(queue)] == list(range(10))


def test_older_ready_messages_stay_before_it(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, *range(6))
    queue.take(6)
    queue.release([1])
    queue.settle(4, 6)
    assert rewind(live, queue, SinceTime(4000)) == 2
    assert [offset for offset, _, _ in take_all(queue)] == [1, 4, 5]
    assert queue.in_flight_count == 6


def test_a_crash_keeps_it_or_has_not_seen_it(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, *range(6))
    consume(queue, 6)
    live.end_turn()
    live.disk.held = True
    results: list[Any] = []
    live.broker.rewind([queue], SinceTime(3000), results.append)
    assert queue.ready_count == 3
    consume(queue, 1)
    live = live.crash()
    queue = live.queue(queue.id)
    assert (results, queue.ready_count) == ([], 0), "it was not told to be done"
    assert rewind(live, queue, SinceTime(3000)) == 3
    assert consume(queue, 1) == [b"3"]
    live = live.crash()
    assert bodies(live.queue(queue.id)) == [b"4", b"5"]
    live = live.restart()
    assert bodies(live.queue(queue.id)) == [b"4", b"5"]


def test_a_checkpoint_on_its_way_does_not_pass_for_it(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, *range(3))
    consume(queue, 3)
    live.disk.held = True
    live.broker._checkpointing.begin()
    results: list[Any] = []
    live.broker.rewind([queue], SinceTime(0), results.append)
    while live.disk.waiting and not results:
        live.disk.release_one()
    assert results == [3]
    live = live.crash()
    assert bodies(live.queue(queue.id)) == [b"0", b"1", b"2"]


def test_the_log_is_read_in_pieces_while_the_broker_goes_on(live: LiveBroker) -> None:
    queue = live.declare()
    body = bytes(1000)
    for _ in range(900):
        live.append(queue, body)
    consume(queue, 890)
    results: list[Any] = []
    live.broker.rewind([queue], SinceTime(0), results.append)
    assert results == []
    live.append(queue, b"new")
    assert len(consume(queue, 10)) == 10
    while not results:
        live.clock.advance(0)
    assert results == [900]
    got = bodies(queue)
    assert got == [body] * 900 + [b"new"]


def test_segments_stay_while_they_are_read(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data", retained_size_max=0)
    queue = live.declare()
    for _ in range(600):
        live.append(queue, bytes(1000))
    consume(queue, 600)
    results: list[Any] = []
    live.broker.rewind([queue], SinceTime(0), results.append)
    live.broker._checkpointing.begin()
    assert results == []
    while not results:
        live.clock.advance(0)
    assert results == [600]
    assert len(bodies(queue)) == 600


def test_what_was_reclaimed_is_gone(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data", retained_size_max=0)
    queue, other = live.declare(), live.declare()
    for number in range(20):
        live.append(queue, b"%d" % number)
        live.append(other, bytes(1000))
    consume(queue, 20)
    consume(other, 20)
    live.broker._checkpointing.begin()
    left = rewind(live, queue, SinceTime(0))
    assert 0 < left < 20
    assert bodies(queue) == [b"%d" % number for number in range(20 - left, 20)]


def test_damage_is_passed_over(live: LiveBroker) -> None:
    queue = live.declare()
    for number in range(9):
        live.append(queue, b"%d" % number)
    where = live.broker.log_end // 9
    consume(queue, 9)
    log = next((live.directory / "commitlog").iterdir())
    data = bytearray(log.read_bytes())
    data[4 * where + 4 : 4 * where + 8] = b"oops"
    log.write_bytes(data)
    live.broker._store._cache.clear()
    assert rewind(live, queue, SinceTime(0)) == 8
    assert bodies(queue) == [b"%d" % number for number in range(9) if number != 4]


def test_a_queue_that_is_deleted_meanwhile(live: LiveBroker) -> None:
    queue = live.declare()
    for _ in range(600):
        live.append(queue, bytes(1000))
    consume(queue, 600)
    results: list[Any] = []
    live.broker.rewind([queue], SinceTime(0), results.append)
    live.broker.delete_queue(queue)
    while not results:
        live.clock.advance(0)
    assert results == [0]


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.integers(1, 4), st.booleans()),
        st.tuples(st.just("take"), st.integers(1, 5), st.none()),
        st.tuples(st.just("settle"), st.integers(0, 99), st.none()),
        st.tuples(st.just("release"), st.integers(0, 99), st.none()),
        st.tuples(st.just("rewind"), st.integers(0, 40), st.none()),
        st.tuples(st.just("restart"), st.just(0), st.booleans()),
    ),
    max_size=40,
)


def test_what_is_not_kept_is_gone_once_it_is_settled_also_if_its_fellows_hold_it(
    live: LiveBroker,
) -> None:
    queue = live.declare()
    live.append(queue, b"0", b"1", durable=False)
    live.append(queue, b"2")
    assert consume(queue, 1) == [b"0"]
    assert queue.min_offset == 0, "the run of both is held"
    assert rewind(live, queue, SinceTime(0)) == 0
    assert bodies(queue) == [b"1", b"2"]


class Model:
    """One queue as a list of what was ever appended."""

    def __init__(self) -> None:
        self.messages: list[tuple[bytes, int, bool]] = []  # Body, stored in ms, kept?
        self.state: list[str] = []

    def ready(self) -> set[bytes]:
        return self._of("ready")

    def in_flight(self) -> set[bytes]:
        return self._of("in flight")

    def _of(self, wanted: str) -> set[bytes]:
        return {
            body
            for (body, _, _), state in zip(self.messages, self.state, strict=True)
            if state == wanted
        }

    def set(self, bodies: set[bytes], state: str) -> None:
        for index, (body, _, _) in enumerate(self.messages):
            if body in bodies:
                self.state[index] = state

    def rewind(self, timestamp_ms: int) -> None:
        for index, (_, stored_ms, kept) in enumerate(self.messages):
            if stored_ms >= timestamp_ms and self.state[index] == "settled" and kept:
                self.state[index] = "ready"

    def restart(self) -> None:
        for index, (_, _, kept) in enumerate(self.messages):
            if not kept:
                self.state[index] = "settled"
            elif self.state[index] == "in flight":
                self.state[index] = "ready"


@settings(max_examples=150, deadline=None)
@given(steps=STEPS)
def test_is_what_a_list_would_do(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int, bool | None]]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        use_small_chunks(patch)
        compare(tmp_path_factory.mktemp("rewind"), steps)


def compare(folder: Path, steps: list[tuple[str, int, bool | None]]) -> None:
    """Take these steps with a queue and with the model."""
    live = LiveBroker(folder / "data")
    queue = live.declare()
    model = Model()
    held: dict[bytes, int] = {}
    now_s = 0
    for step, number, flag in steps:
        if step == "append":
            fresh = [b"%d" % (len(model.messages) + n) for n in range(number)]
            live.append(queue, *fresh, durable=bool(flag))
            model.messages += [(body, now_s * 1000, bool(flag)) for body in fresh]
            model.state += ["ready"] * number
            live.clock.advance(1)
            now_s += 1
        elif step == "take":
            got = [each for span in queue.take(number) for each in enumerate(span[1], span[0])]
            assert len(got) == min(number, len(model.ready()))
            assert {body for _, body in got} <= model.ready()
            model.set({body for _, body in got}, "in flight")
            held.update((body, offset) for offset, body in got)
        elif step in ("settle", "release") and held:
            body = sorted(held)[number % len(held)]
            offset = held.pop(body)
            if step == "settle":
                queue.settle(offset, offset + 1)
                model.set({body}, "settled")
            else:
                queue.release([offset])
                model.set({body}, "ready")
        elif step == "rewind":
            before = len(model.ready())
            more = rewind(live, queue, SinceTime(number * 1000))
            model.rewind(number * 1000)
            assert more == len(model.ready()) - before
        elif step == "restart":
            live = live.crash() if flag else live.restart()
            live.clock.advance(now_s)
            queue = live.queue(queue.id)
            model.restart()
            held.clear()
        assert queue.ready_count == len(model.ready())
        assert queue.in_flight_count == len(model.in_flight())
    got_bodies = bodies(queue)
    assert got_bodies == sorted(model.ready(), key=int)
    live.broker.stop()
    shutil.rmtree(folder)
