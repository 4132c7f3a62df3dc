"""Which segments go, seen from outside: files, and what is still there after a restart."""

from __future__ import annotations

from pathlib import Path

from tests.support.live_broker import LiveBroker, bodies, take_all

MESSAGE = b"m" * 500  # Seven fill a segment of 4 KiB.


def segment_count(live: LiveBroker) -> int:
    return len(list((live.directory / "commitlog").iterdir()))


def reclaiming(directory: Path, retention_s: float = 72 * 3600.0) -> LiveBroker:
    return LiveBroker(
        directory,
        checkpoint_distance=1,
        retained_size_max=0,
        housekeeping_interval_s=60.0,
        retention_s=retention_s,
    )


def keep_house(live: LiveBroker) -> None:
    live.clock.advance(60)
    live.end_turn()


def test_what_is_settled_goes(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data")
    queue = live.declare()
    for _ in range(40):
        live.append(queue, MESSAGE)
    assert segment_count(live) > 5
    assert len(take_all(queue)) == 40
    queue.settle(0, 40)
    live.end_turn()
    keep_house(live)
    assert segment_count(live) == 1
    live.append(queue, b"after")
    live = live.crash()
    assert bodies(live.queue(queue.id)) == [b"after"]


def test_what_a_group_has_not_read_is_kept_for_the_retention_time(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data", retention_s=600.0)
    queue = live.declare()
    live.broker.commit_group_offset(queue, "gone", 0)
    for _ in range(40):
        live.append(queue, MESSAGE)
    take_all(queue)
    queue.settle(0, 40)
    live.clock.advance(540)
    live.append(queue, b"younger")
    keep_house(live)
    assert (queue.min_offset, segment_count(live)) == (0, 6)
    keep_house(live)
    keep_house(live)
    assert (queue.min_offset, segment_count(live)) == (40, 1)
    live = live.crash()
    assert bodies(live.queue(queue.id)) == [b"younger"]


def test_what_nobody_took_stays_however_old_it_is(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data", retention_s=600.0)
    queue = live.declare()
    live.broker.commit_group_offset(queue, "g", 0)
    live.append(queue, b"ready")
    live.clock.advance(1200)
    assert bodies(queue) == [b"ready"]


def test_a_queue_that_is_only_read_keeps_what_is_young(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data", retention_s=600.0)
    queue = live.declare()
    queue.only_read = True
    live.append(queue, b"old")
    live.clock.advance(540)
    live.append(queue, b"young")
    live.broker.commit_group_offset(queue, "has read all", 2)
    live.clock.advance(120)
    assert [message for _, message in queue.read(0, 9)] == [b"young"]
    live.clock.advance(600)
    assert (queue.min_offset, queue.ready_count) == (2, 0)


def test_what_is_in_flight_or_ready_stays(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data")
    queue = live.declare()
    for _ in range(20):
        live.append(queue, MESSAGE)
    before = segment_count(live)
    queue.take(10)
    keep_house(live)
    assert segment_count(live) == before
    live = live.crash()
    assert len(take_all(live.queue(queue.id))) == 20


def test_one_message_keeps_its_own_segment_only(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data")
    stuck, queue = live.declare(), live.declare()
    live.append(stuck, b"nobody wants me")
    for _ in range(40):
        live.append(queue, MESSAGE)
    live.append(stuck, b"nor me")
    take_all(queue)
    queue.settle(0, 40)
    live.end_turn()
    keep_house(live)
    assert segment_count(live) == 2
    live = live.crash()
    assert bodies(live.queue(stuck.id)) == [b"nobody wants me", b"nor me"]
    live.append(live.queue(queue.id), b"new")
    live = live.restart()
    assert bodies(live.queue(queue.id)) == [b"new"]


def test_another_group_keeps_what_it_has_not_read(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data")
    queue = live.declare()
    live.broker.commit_group_offset(queue, "other", 0)
    for _ in range(20):
        live.append(queue, MESSAGE)
    take_all(queue)
    queue.settle(0, 20)
    keep_house(live)
    assert segment_count(live) > 2
    live.broker.commit_group_offset(queue, "other", 20)
    live.end_turn()
    keep_house(live)
    assert segment_count(live) == 1


def test_transient_messages_between_do_not_hide_a_durable_one(tmp_path: Path) -> None:
    live = reclaiming(tmp_path / "data")
    queue, other = live.declare(), live.declare()
    live.append(queue, b"transient", durable=False)
    live.append(queue, b"durable")
    live.append(queue, b"transient", durable=False)
    for _ in range(20):
        live.append(other, MESSAGE)
    take_all(other)
    other.settle(0, 20)
    live.end_turn()
    keep_house(live)
    assert segment_count(live) == 2
    assert bodies(live.crash().queue(queue.id)) == [b"durable"]


def test_settled_segments_stay_while_young_and_few(tmp_path: Path) -> None:
    """Until the retention time is over, as long as the log is not larger than it should be."""
    live = LiveBroker(tmp_path / "data", checkpoint_distance=1, retained_size_max=8 << 10)
    queue = live.declare()
    for _ in range(40):
        live.append(queue, MESSAGE)
    take_all(queue)
    queue.settle(0, 40)
    live.end_turn()
    keep_house(live)
    assert 2 <= segment_count(live) <= 3
