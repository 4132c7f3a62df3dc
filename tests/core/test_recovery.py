"""What comes back from a data folder to which something happened."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.consume_queue import Run
from core.light_queue import LightQueue
from tests.support.live_broker import LiveBroker, bodies, cut_log, damage_log, take_all

HEAD_SIZE = 44  # Of a record of one message.


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def fresh(tmp_path_factory: pytest.TempPathFactory) -> LiveBroker:
    return LiveBroker(tmp_path_factory.mktemp("broker") / "data", segment_size=600)


def runs(queue: LightQueue) -> list[Run]:
    found = []
    offset = queue.min_offset
    while (run := queue.index.run_at(offset)) is not None:
        found.append(run)
        offset = run[0] + run[3]
    return found


def held(queue: LightQueue) -> list[tuple[int, bytes]]:
    return [(offset, bytes(message)) for offset, message in queue.read(0, 1000)]


@given(sizes=st.lists(st.integers(1, 200), min_size=1, max_size=12), data=st.data())
@settings(max_examples=60)
def test_cut_at_any_byte_a_prefix_comes_back(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], data: st.DataObject
) -> None:
    """And what is said of messages that are gone is not said of those that come later."""
    live = fresh(tmp_path_factory)
    queue = live.declare()
    messages = [b"%d." % number + b"x" * size for number, size in enumerate(sizes)]
    ends = []
    for message in messages:
        live.append(queue, message)
        ends.append(live.broker.log_end)
    taken = [offset for offset, _, _ in take_all(queue)]
    settled = data.draw(st.sets(st.sampled_from(taken)))
    for offset in settled:
        queue.settle(offset, offset + 1)
    live.broker.commit_group_offset(queue, "reader", len(messages))
    cut = data.draw(st.integers(0, ends[-1]))
    whole = sum(end <= cut for end in ends)

    live = live.crash(meanwhile=lambda folder: cut_log(folder, cut))
    queue = live.queue(queue.id)
    expected = [(o, messages[o], True) for o in range(whole) if o not in settled]
    assert queue.ready_count == len(expected)
    assert take_all(queue) == expected
    first_new = queue.max_offset
    assert first_new == max([whole, len(messages) if taken else 0])
    live.append(queue, b"new", b"newer")
    assert bodies(queue) == [b"new", b"newer"]
    queue.settle(first_new, first_new + 1)

    live = live.crash()
    queue = live.queue(queue.id)
    assert [(o, m) for o, m, _ in take_all(queue)] == [
        *((offset, message) for offset, message, _ in expected),
        (first_new + 1, b"newer"),
    ]
    assert queue.group_offsets["reader"] <= first_new
    live.kill()


def test_a_damaged_size_that_fits_some_of_the_rows(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    live = fresh(tmp_path_factory)
    queue = live.declare()
    live.append(queue, b"x" * 33, b"y" * 33)
    live.append(queue, b"z")
    one_row_less = 118 ^ 77
    live = live.crash(meanwhile=lambda folder: damage_log(folder, 3, one_row_less))
    assert [(o, m) for o, m, _ in take_all(live.queue(queue.id))] == [(2, b"z")]
    live.kill()


@given(
    batches=st.lists(st.integers(1, 4), min_size=2, max_size=8),
    data=st.data(),
)
@settings(max_examples=100)
def test_damage_in_the_middle_costs_what_it_hits(
    tmp_path_factory: pytest.TempPathFactory, batches: list[int], data: st.DataObject
) -> None:
    """The rest is served, at its own offsets; only a route id has nothing to check it by."""
    live = fresh(tmp_path_factory)
    queue, other = live.declare(), live.declare()
    routes = [live.broker.route([queue]), live.broker.route([other])]
    starts, model = [], []
    for number, count in enumerate(batches):
        starts.append(live.broker.log_end)
        messages = [b"%d.%d" % (number, place) + b"x" * 30 for place in range(count)]
        chosen = [data.draw(st.integers(0, 1)) for _ in messages]
        live.append([routes[choice] for choice in chosen], *messages)
        model += [
            (number, message, choice) for message, choice in zip(messages, chosen, strict=True)
        ]
    hit = data.draw(st.integers(0, len(batches) - 2))
    at = data.draw(st.integers(0, starts[hit + 1] - starts[hit] - 1))
    rows = range(36, 36 + 8 * batches[hit])
    if at in rows and (at - 36) % 8 < 4:
        at = rows[-1]
    change = data.draw(st.integers(1, 255))
    live = live.crash(meanwhile=lambda folder: damage_log(folder, starts[hit] + at, change))
    for choice, id in enumerate([queue.id, other.id]):
        mine = [(number, message) for number, message, whose in model if whose == choice]
        expected = [(o, message) for o, (number, message) in enumerate(mine) if number != hit]
        assert live.queue(id).max_offset == len(mine)
        assert [(o, m) for o, m, _ in take_all(live.queue(id))] == expected
    live.kill()


@pytest.mark.parametrize("size", [1, 20, 36, 44])
def test_several_damaged_records_keep_their_places(live: LiveBroker, size: int) -> None:
    queue = live.declare()
    starts = []
    for number in range(6):
        starts.append(live.broker.log_end)
        live.append(queue, b"%d" % number)

    def damage(folder: Path) -> None:
        damage_log(folder, starts[2] + HEAD_SIZE)
        damage_log(folder, starts[3], 0x01, size - 8 if size == 44 else min(size, 36))

    queue = live.crash(meanwhile=damage).queue(queue.id)
    assert [(o, m) for o, m, _ in take_all(queue)] == [(0, b"0"), (1, b"1"), (4, b"4"), (5, b"5")]


def test_a_record_larger_than_what_is_read_at_once(live: LiveBroker) -> None:
    queue = live.declare()
    live.append(queue, b"before")
    live.append(queue, b"x" * (5 << 20))
    live.append(queue, b"behind")
    again = live.crash().queue(queue.id)
    assert [len(body) for body in bodies(again)] == [6, 5 << 20, 6]


def test_a_lost_segment_costs_only_its_own_messages(live: LiveBroker) -> None:
    """The later ones are not taken for the torn end of the log."""
    queue = live.declare()
    for number in range(8):
        live.append(queue, b"%d" % number + b"x" * 2000)
    names = [segment.path.name for segment in live.broker._store.commit_log.segments]
    assert len(names) == 4

    def lose(folder: Path) -> None:
        (folder / "commitlog" / names[1]).unlink()

    live = live.crash(meanwhile=lose)
    left = [segment.path.name for segment in live.broker._store.commit_log.segments]
    assert left == [names[0], *names[2:]]
    assert b"".join(body[:1] for body in bodies(live.queue(queue.id))) == b"014567"


@pytest.mark.parametrize("checkpoint_distance", [1, 500, 1 << 30])
def test_queues_rebuilt_from_the_log_equal_those_kept_live(
    tmp_path: Path, checkpoint_distance: int
) -> None:
    """With transient messages in between, segments that roll and checkpoints at any time."""
    live = LiveBroker(tmp_path / "data", checkpoint_distance=checkpoint_distance, segment_size=900)
    queues = [live.declare() for _ in range(3)]
    routes = [live.broker.route(chosen) for chosen in (queues, queues[:1], queues[1:])]
    for number in range(60):
        route = routes[number % 3]
        durable = number % 7 != 0
        live.append(
            [route, route, routes[(number + 1) % 3]], b"a", b"b", b"%d" % number, durable=durable
        )
        if number % 5 == 0:
            live.end_turn()
    live.end_turn()
    volatile_base = 1 << 62
    expected = {
        queue.id: (queue.max_offset, [run for run in runs(queue) if run[1] < volatile_base])
        for queue in queues
    }
    live = live.crash()
    found = {queue.id: (queue.max_offset, runs(queue)) for queue in live.broker.queues.values()}
    assert found == expected
    live = live.restart()
    found = {queue.id: (queue.max_offset, runs(queue)) for queue in live.broker.queues.values()}
    assert found == expected


def test_only_the_tail_behind_the_checkpoint_is_read(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = live.declare()
    for number in range(20):
        live.append(queue, b"%d" % number)
    live.end_turn()
    live.broker._checkpointing.begin()
    end = live.broker.log_end
    live.append(queue, b"tail")
    starts: list[int] = []
    scan = type(live.broker._store.commit_log).scan
    monkeypatch.setattr(
        "core.commit_log.CommitLog.scan",
        lambda log, start: starts.append(start) or scan(log, start),  # type: ignore[func-returns-value]
    )
    again = live.crash()
    assert starts[0] == end
    assert len(bodies(again.queue(queue.id))) == 21


def test_queues_that_were_deleted_stay_so(live: LiveBroker) -> None:
    kept, deleted = live.declare(), live.declare()
    live.append(live.broker.route([kept, deleted]), b"both")
    live.append(deleted, b"gone")
    live.broker.delete_queue(deleted)
    live.append(live.broker.route([kept]), b"one")
    live = live.crash()
    assert list(live.broker.queues) == [kept.id]
    assert bodies(live.queue(kept.id)) == [b"both", b"one"]


def test_ids_are_never_used_again(live: LiveBroker) -> None:
    """Not even if power loss took the document that reserved them, and left what bears them."""
    other = live.declare()
    live.append(other, b"settled")
    bodies(other)
    live.end_turn()
    before = (live.directory / "metadata").read_bytes()
    queue = live.declare()
    route = live.broker.route([queue])
    live.append(route, b"lost")
    bodies(queue)
    queue.settle(0, 1)
    live.broker.commit_group_offset(queue, "reader", 1)

    def forget(folder: Path) -> None:
        (folder / "metadata").write_bytes(before)

    live = live.crash(meanwhile=forget)
    new = live.declare()
    new_route = live.broker.route([new])
    assert new.id > queue.id
    assert new_route.id > route.id
    live.append(new_route, b"found")
    live = live.crash()
    assert bodies(live.queue(new.id)) == [b"found"]
    later = live.declare()
    assert later.id > new.id
    assert live.broker.route([later]).id > new_route.id


@pytest.mark.parametrize("has_checkpoint", [False, True])
def test_what_was_settled_here_and_there_stays_so(live: LiveBroker, has_checkpoint: bool) -> None:
    """Whether the journal says it, or the checkpoint: there, it takes a bit for each message."""
    queue = live.declare()
    live.append(queue, *(b"%d" % number for number in range(5000)))
    take_all(queue)
    for offset in range(1, 5000, 2):
        queue.settle(offset, offset + 1)
    queue.settle(2000, 2001)
    if has_checkpoint:
        live = live.restart()
        assert (live.directory / "checkpoint").stat().st_size < 1000
    live = live.crash()
    queue = live.queue(queue.id)
    assert queue.ready_count == 2499
    expected = [offset for offset in range(0, 5000, 2) if offset != 2000]
    assert [(o, bytes(m)) for o, m, _ in take_all(queue)] == [(o, b"%d" % o) for o in expected]
    queue.release(expected[1:])
    assert queue.purge() == 2498
    live = live.crash()
    assert bodies(live.queue(queue.id)) == [b"0"]
    live.kill()
