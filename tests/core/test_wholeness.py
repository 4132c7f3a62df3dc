"""A data folder of which a part is missing, or is not what it was."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.logger import LogEvent, capturedLogs, formatEvent

from core.errors import StoreFormatError
from tests.support.live_broker import LiveBroker, bodies, cut_log


def content(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def stopped(folder: Path) -> None:
    """A broker with three messages, of which the first was acknowledged, was stopped."""
    live = LiveBroker(folder)
    queue = live.declare()
    live.append(queue, b"a", b"b", b"c")
    bodies(queue)
    queue.settle(0, 1)
    live.broker.stop()


def zero(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def said(events: list[LogEvent]) -> list[str | None]:
    return [formatEvent(event) for event in events]


@pytest.mark.parametrize("damage", [Path.unlink, lambda path: os.truncate(path, 0), zero])
def test_metadata_that_knows_less_than_the_checkpoint(
    tmp_path: Path, damage: Callable[[Path], None]
) -> None:
    """Going on would lose every message: nothing is changed, so it can be put back."""
    stopped(tmp_path)
    metadata = (tmp_path / "metadata").read_bytes()
    damage(tmp_path / "metadata")
    before = content(tmp_path)
    with pytest.raises(StoreFormatError, match="metadata: it does not know the queues"):
        LiveBroker(tmp_path)
    assert {"metadata": b"", **before} == content(tmp_path)
    (tmp_path / "metadata").write_bytes(metadata)
    live = LiveBroker(tmp_path)
    assert bodies(live.queue(1)) == [b"b", b"c"]
    live.kill()


def test_a_missing_checkpoint(tmp_path: Path) -> None:
    """Without it, what was acknowledged before it would be delivered again."""
    stopped(tmp_path)
    (tmp_path / "checkpoint").rename(tmp_path / "elsewhere")
    before = content(tmp_path)
    with pytest.raises(StoreFormatError, match="checkpoint: it is missing"):
        LiveBroker(tmp_path)
    assert before == content(tmp_path)
    (tmp_path / "elsewhere").rename(tmp_path / "checkpoint")
    live = LiveBroker(tmp_path)
    assert bodies(live.queue(1)) == [b"b", b"c"]
    live.kill()


def test_a_missing_progress_journal_is_told(tmp_path: Path) -> None:
    stopped(tmp_path)
    live = LiveBroker(tmp_path)
    queue = live.queue(1)
    bodies(queue)
    queue.settle(1, 2)
    live.end_turn()
    live.kill()
    (path,) = (tmp_path / "progress").iterdir()
    path.unlink()
    with capturedLogs() as events:
        live = LiveBroker(tmp_path)
    assert said(events) == [
        "the progress journal is missing: what was acknowledged since the last checkpoint is"
        " delivered again"
    ]
    assert bodies(live.queue(1)) == [b"b", b"c"]
    live.kill()


def test_metadata_that_is_gone_after_a_crash_is_told(tmp_path: Path) -> None:
    """There is no checkpoint that tells; power loss may take the newest of it."""
    live = LiveBroker(tmp_path)
    live.append(live.declare(), b"a")
    live.end_turn()
    live.kill()
    zero(tmp_path / "metadata")
    zeros = (tmp_path / "metadata").read_bytes()
    with capturedLogs() as events:
        live = LiveBroker(tmp_path)
    assert said(events) == [
        f"metadata is damaged from byte 0 to {len(zeros)}: what stood there is lost; the file is"
        " kept as metadata.damaged",
        "queue 1 has messages or progress, and metadata does not know it: what it held is lost",
    ]
    assert (tmp_path / "metadata.damaged").read_bytes() == zeros
    live.kill()


def test_a_log_that_is_shorter_than_it_was_is_told(tmp_path: Path) -> None:
    stopped(tmp_path)
    live = LiveBroker(tmp_path)
    end = live.broker.log_end
    live.broker.stop()
    cut_log(tmp_path, end - 1)
    with capturedLogs() as events:
        live = LiveBroker(tmp_path)
    assert said(events) == [
        f"the log ends at {end - 1}, and was on the disk up to {end}: the rest is lost"
    ]
    live.kill()


def test_messages_that_only_the_progress_journal_knows_are_told(tmp_path: Path) -> None:
    live = LiveBroker(tmp_path)
    queue = live.declare()
    live.append(queue, b"a", b"b")
    bodies(queue)
    live.end_turn()
    live.kill()
    cut_log(tmp_path, 0)
    with capturedLogs() as events:
        live = LiveBroker(tmp_path)
    assert said(events) == ["1 queues had messages that the log does not have"]
    live.kill()


def test_a_first_start_and_one_after_a_crash_have_nothing_to_tell(tmp_path: Path) -> None:
    with capturedLogs() as events:
        live = LiveBroker(tmp_path / "data")
        queue = live.declare()
        live.append(queue, b"a")
        live.append(queue, b"transient", durable=False)
        live.append(queue, b"b")
        bodies(queue)
        live = live.crash()
        live = live.restart()
    assert said(events) == []
    live.kill()
