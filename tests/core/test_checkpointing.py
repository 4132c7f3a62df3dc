"""Checkpoints that the disk refuses: the old one stays, and what came since is in the journals."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest
from twisted.logger import capturedLogs, formatEvent

from core.progress import Progress
from tests.support.live_broker import LiveBroker, bodies

REFUSED = "no checkpoint could be written: [Errno 28] No space left on device"


def refuse(*arguments: object) -> int:
    raise OSError(errno.ENOSPC, "No space left on device")


def with_two_messages(folder: Path) -> LiveBroker:
    """The first is acknowledged."""
    live = LiveBroker(folder)
    queue = live.declare()
    live.append(queue, b"a", b"b")
    bodies(queue)
    queue.settle(0, 1)
    return live


@pytest.mark.parametrize(
    "refusing", ["core.checkpointing.replace_checkpoint", "core.progress.Journal"]
)
def test_a_stop_on_a_full_disk_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, refusing: str
) -> None:
    live = with_two_messages(tmp_path)
    with monkeypatch.context() as patch, capturedLogs() as events:
        patch.setattr(refusing, refuse)
        live.broker.stop()
    assert [formatEvent(event) for event in events] == [REFUSED]
    live = LiveBroker(tmp_path)
    assert bodies(live.queue(1)) == [b"b"]
    live.kill()


def test_a_broken_disk_is_no_clean_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    live = with_two_messages(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(Progress, "begin_next", broken)
        with pytest.raises(OSError, match="Input/output error"):
            live.broker.stop()


def broken(*arguments: object) -> int:
    raise OSError(errno.EIO, "Input/output error")


def test_one_that_cannot_begin_is_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    live = with_two_messages(tmp_path)
    told: list[BaseException | None] = []
    begin_for = live.broker._checkpointing.begin_for
    with monkeypatch.context() as patch, capturedLogs() as events:
        patch.setattr("core.progress.Journal", refuse)
        begin_for(told.append)
    assert [str(error) for error in told] == ["[Errno 28] No space left on device"]
    assert [formatEvent(event) for event in events] == [REFUSED]
    begin_for(told.append)
    assert told[1:] == [None]
    assert (tmp_path / "checkpoint").exists()
    live.end_turn()
    live.kill()
