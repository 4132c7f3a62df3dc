"""Long queues spill their indexes: no message is lost by it, wherever a crash comes, nor a file."""

from __future__ import annotations

import os
import shutil
from array import array
from collections.abc import Callable
from errno import ENOSPC
from pathlib import Path

import pytest

from core.light_queue import LightQueue
from core.rewind import SinceOffset, Target
from core.route import Route
from core.stretch import Stretch
from tests.support.live_broker import LiveBroker, bodies, take_all

_COUNT = 60


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data", runs_in_memory=8, stretch_run_count=4)


def fill(live: LiveBroker, *queues: LightQueue, count: int = _COUNT, durable: bool = True) -> None:
    """Messages one by one, each to all these queues."""
    route = live.broker.route(queues)
    for number in range(count):
        live.append(route, b"%d" % number, durable=durable)
        assert all(queue.ready_count for queue in queues), "nothing is owed to them"


def numbers(first: int, end: int = _COUNT) -> list[bytes]:
    return [b"%d" % number for number in range(first, end)]


def consume(queue: LightQueue, count: int) -> None:
    done = 0
    while done < count:
        for start, messages, _ in queue.take(count - done):
            queue.settle(start, start + len(messages))
            done += len(messages)


def checkpoint(live: LiveBroker) -> None:
    live.end_turn()
    live.broker._checkpointing.begin()


def index_files(live: LiveBroker) -> list[Path]:
    return sorted((live.directory / "index").glob("*"))


def spilled_size(live: LiveBroker) -> int:
    log = live.broker._index_log._log
    return log.end if log is not None else 0


# What is in memory


@pytest.mark.parametrize("durable", [True, False])
def test_a_long_queue_has_little_in_memory(live: LiveBroker, durable: bool) -> None:
    queue = live.declare()
    fill(live, queue, durable=durable)
    assert queue.ready_count == _COUNT
    assert 0 < queue.run_count <= 12
    assert bodies(queue) == numbers(0)
    queue.settle(0, _COUNT)
    assert not live.broker._store._volatile


def test_only_the_longest_are_spilled(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data", runs_in_memory=100, stretch_run_count=64)
    long, short = live.declare(), live.declare()
    fill(live, short, count=3)
    fill(live, long, count=200)
    assert (short.ready_count, long.ready_count) == (3, 200)
    assert short.run_count == 3
    assert long.run_count < 150


def test_nothing_is_spilled_while_there_is_room(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path / "data", runs_in_memory=100)
    queue = live.declare()
    for _ in range(10):
        fill(live, queue)
        consume(queue, _COUNT)
    checkpoint(live)
    assert not index_files(live)


def test_a_queue_may_be_deleted_with_all_that_was_spilled(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue, count=30)
    fill(live, queue, count=30, durable=False)
    assert spilled_size(live)
    live.broker.delete_queue(queue)
    assert not live.broker._store._volatile
    assert not any(live.broker._index_log._live.values())
    assert not index_files(live.restart())


# Ends


def test_a_restart_brings_back_what_was_spilled(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue)
    consume(queue, 10)
    live = live.restart()
    queue = live.queue(queue.id)
    assert queue.run_count <= 12
    assert [message for _, message, _ in take_all(queue)] == numbers(10)


@pytest.mark.parametrize("consumed", [0, 7, 45, _COUNT])
def test_each_step_of_a_checkpoint_may_be_the_last(live: LiveBroker, consumed: int) -> None:
    """The folder is copied whenever something was written or deleted."""
    queue = live.declare()
    fill(live, queue)
    checkpoint(live)
    consume(queue, consumed)
    live.end_turn()
    live.disk.held = True
    copies = []
    for _ in range(2):
        checkpoint(live)
        while live.disk.waiting:
            copies.append(copy_of(live))
            live.disk.release_one()
        copies.append(copy_of(live))
        fill(live, queue, count=20)  # That is not in the checkpoint.
    assert len(copies) >= 6
    for number, copy in enumerate(copies):
        restarted = LiveBroker(copy, live.options)
        expected = numbers(consumed) + (numbers(0, 20) if number * 2 >= len(copies) else [])
        assert bodies(restarted.queue(queue.id)) == expected
        restarted.kill()


def copy_of(live: LiveBroker) -> Path:
    """The folder as it is now."""
    to = live.directory.with_name(f"copy {len(list(live.directory.parent.iterdir()))}")
    shutil.copytree(live.directory, to)
    return to


def test_what_no_checkpoint_names_is_gone_after_a_crash(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue)
    assert spilled_size(live)
    live = live.crash()
    assert not index_files(live), "the log's tail was short"
    assert bodies(live.queue(queue.id)) == numbers(0)


def test_what_was_written_after_the_checkpoint_is_written_over(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue)
    checkpoint(live)
    named = spilled_size(live)
    fill(live, queue)
    assert spilled_size(live) > named
    live = live.crash()
    assert spilled_size(live) == named
    fill(live, live.queue(queue.id))
    assert bodies(live.queue(queue.id)) == numbers(0) * 3


def test_no_file_stays_when_all_is_consumed(live: LiveBroker) -> None:
    queue = live.declare()
    fill(live, queue)
    live = live.restart()
    consume(live.queue(queue.id), _COUNT)
    live = live.restart().restart()
    assert not index_files(live)


# Damage


def take_away(path: Path) -> None:
    path.unlink()


def cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


def damage(path: Path) -> None:
    path.write_bytes(bytes(byte ^ 0x55 for byte in path.read_bytes()))


def harm_all(folder: Path, harm: Callable[[Path], None]) -> None:
    for path in (folder / "index").iterdir():
        harm(path)


@pytest.mark.parametrize("harm", [take_away, cut, damage])
@pytest.mark.parametrize("clean", [True, False])
def test_what_was_harmed_is_found_again_in_the_log(
    live: LiveBroker, harm: Callable[[Path], None], clean: bool
) -> None:
    """What was acknowledged in any order stays so."""
    queue, other = live.declare(), live.declare()
    both, mine, theirs = (live.broker.route(each) for each in ([queue, other], [queue], [other]))
    for number in range(0, _COUNT, 5):
        body = [b"%d" % each for each in range(number, number + 5)]
        live.append([both, mine, theirs, mine, both], *body)
    queue.take(30)
    queue.settle(3, 9)
    queue.settle(20, 21)
    checkpoint(live)
    queue.settle(11, 14)
    live.end_turn()
    if clean:
        live.broker.stop()
        harm_all(live.directory, harm)
        live = LiveBroker(live.directory, live.options)
    else:
        live = live.crash(meanwhile=lambda folder: harm_all(folder, harm))
    settled = {*range(3, 9), 20, *range(11, 14)}
    mine_expected = [b"%d" % each for each in range(_COUNT) if each % 5 != 2]
    expected = [each for at, each in enumerate(mine_expected) if at not in settled]
    assert bodies(live.queue(queue.id)) == expected
    assert bodies(live.queue(other.id)) == [b"%d" % n for n in range(_COUNT) if n % 5 in (0, 2, 4)]
    again = live.crash()
    assert bodies(again.queue(queue.id)) == expected, "it was written again"


@pytest.mark.parametrize("harm", [take_away, cut, damage])
def test_nothing_is_lost_with_the_offsets_of_transient_ones(
    live: LiveBroker, harm: Callable[[Path], None]
) -> None:
    queue = live.declare()
    kept = live.broker.route([queue])
    for number in range(_COUNT):
        route: Route = kept if number % 3 else kept.without_restart
        live.append([route], b"%d" % number, durable=bool(number % 3))
    queue.take(30)
    for offset in (4, 11, 17, 25):
        queue.settle(offset, offset + 1)
    checkpoint(live)
    live = live.crash(meanwhile=lambda folder: harm_all(folder, harm))
    found = bodies(live.queue(queue.id))
    wanted = [n for n in range(_COUNT) if n % 3 and n not in (4, 11, 17, 25)]
    assert set(map(int, found)) >= set(wanted)
    assert sorted(found, key=int) == found


def test_a_message_that_is_not_in_the_log_any_more_is_passed_over(tmp_path: Path) -> None:
    live = LiveBroker(
        tmp_path / "data", runs_in_memory=8, stretch_run_count=4, segment_size=1 << 10
    )
    queue = live.declare()
    fill(live, queue)
    live.broker.stop()
    (live.directory / "index").joinpath("0" * 20).unlink()
    min((live.directory / "commitlog").iterdir()).unlink()
    live = LiveBroker(live.directory, live.options)
    found = bodies(live.queue(queue.id))
    assert found == numbers(_COUNT - len(found))
    assert live.queue(queue.id).ready_count == 0


# Rewinding


def rewind(live: LiveBroker, queue: LightQueue, target: Target) -> int | BaseException:
    results: list[int | BaseException] = []
    live.broker.rewind([queue], target, results.append)
    while not results:
        live.clock.advance(0)
    return results[0]


@pytest.mark.parametrize("start", [0, 13, 40])
@pytest.mark.parametrize("consumed", [_COUNT, 45])
def test_all_that_a_rewind_finds_is_spilled(live: LiveBroker, consumed: int, start: int) -> None:
    queue = live.declare()
    fill(live, queue)
    consume(queue, consumed)
    assert rewind(live, queue, SinceOffset(start)) == consumed - start
    assert queue.run_count <= 12
    live = live.crash()
    queue = live.queue(queue.id)
    assert bodies(queue) == numbers(start)
    queue.settle(start, _COUNT)
    assert not any(live.broker._index_log._live.values())


def test_a_rewind_that_finds_no_room_changes_nothing(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = live.declare()
    fill(live, queue)
    consume(queue, 45)
    append, left = live.broker._index_log.append, [5]

    def refuse(queue_id: int, runs: array[int], has_transient: bool) -> Stretch:
        left[0] -= 1
        if not left[0]:
            raise OSError(ENOSPC, "No space left on device")
        return append(queue_id, runs, has_transient)

    before = live.broker._index_log._live.total()
    monkeypatch.setattr(live.broker._index_log, "append", refuse)
    assert isinstance(rewind(live, queue, SinceOffset(0)), OSError)
    assert live.broker._index_log._live.total() == before
    assert bodies(queue) == numbers(45)


# A full disk


def test_what_finds_no_room_stays_in_memory_until_there_is_some(
    live: LiveBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = live.declare()
    refused = []

    def refuse(*arguments: object) -> None:
        refused.append(arguments)
        raise OSError(ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(live.broker._index_log, "append", refuse)
        fill(live, queue)
    assert refused
    assert queue.run_count == _COUNT
    fill(live, queue)
    assert queue.ready_count == 2 * _COUNT
    assert queue.run_count < _COUNT
    assert bodies(queue) == numbers(0) * 2
