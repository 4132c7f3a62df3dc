import errno
import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.task import Clock

from core.compacting import Compacting
from core.group_commit import GroupCommit, flush_blocking
from core.metadata import Metadata
from core.turn import Turn
from tests.support.disk import FullDisk, HeldDisk


class Live:
    """Metadata whose file is replaced now and then, on a disk that takes its time."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.clock = Clock()
        self.disk = HeldDisk()
        self.failures: list[BaseException] = []
        self.metadata = Metadata(directory / "metadata")
        self.turn = Turn()
        self.commit = GroupCommit(
            self.metadata.begin_sync,
            flush_blocking(self.disk.run),
            self.turn,
            self.failures.append,
        )
        self.compacting = self.compact()

    def compact(self) -> Compacting:
        return Compacting(
            self.metadata, self.clock, self.commit, self.disk.run, self.failures.append
        )

    def after_a_crash(self) -> dict[str, int]:
        """What a restart would find if the process died now."""
        copy = self.directory.with_name(self.directory.name + "-copy")
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(self.directory, copy)
        metadata = Metadata(copy / "metadata")
        found = dict(metadata.items("kind"))
        metadata.close()
        return found

    def finish(self) -> None:
        self.disk.release()
        for _ in range(20):
            self.clock.advance(0.001)


@pytest.fixture
def live(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Live:
    monkeypatch.setattr("core.compacting._DOCUMENTS_PER_ROUND", 2)
    directory = tmp_path / "data"
    directory.mkdir()
    return Live(directory)


@given(
    steps=st.lists(
        st.one_of(
            st.tuples(st.sampled_from("abcdef"), st.none() | st.integers(0, 9)),
            st.sampled_from(("begin", "round", "disk")),
        ),
        max_size=30,
    )
)
def test_whenever_it_crashes_all_is_there(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int | None] | str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.compacting._DOCUMENTS_PER_ROUND", 2)
        patch.setattr(os, "fsync", lambda descriptor: None)
        patch.setattr(os, "fdatasync", lambda descriptor: None)
        directory = tmp_path_factory.mktemp("data")
        live = Live(directory)
        live.disk.held = True
        expected: dict[str, int] = {}
        for step in ("begin", *steps):
            if step == "begin":
                live.compacting.begin()
            elif step == "round":
                live.clock.advance(0.001)
            elif step == "disk":
                if live.disk.waiting:
                    live.disk.release_one()
            elif step[1] is None:
                live.metadata.delete("kind", step[0])
                expected.pop(step[0], None)
            else:
                assert isinstance(step[1], int)
                live.metadata.put("kind", step[0], step[1])
                expected[step[0]] = step[1]
            assert live.after_a_crash() == expected
        live.compacting.stop()
        live.metadata.close()
        assert live.after_a_crash() == expected
        assert not live.failures


def fill(live: Live) -> dict[str, int]:
    for number in range(10):
        for key in "abcde":
            live.metadata.put("kind", key, number)
    return dict.fromkeys("abcde", 9)


def test_a_long_history_is_replaced_in_rounds(live: Live) -> None:
    expected = fill(live)
    size = (live.directory / "metadata").stat().st_size
    live.compacting.begin()
    live.clock.advance(0.001)
    assert live.metadata.is_compacting
    live.metadata.put("kind", "a", 7)
    live.finish()
    assert not live.metadata.is_compacting
    assert (live.directory / "metadata").stat().st_size < size / 3
    assert live.after_a_crash() == {**expected, "a": 7}
    live.metadata.put("kind", "f", 1)
    assert live.after_a_crash() == {**expected, "a": 7, "f": 1}


def test_it_begins_by_itself(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.metadata._COMPACT_SIZE_MIN", 200)
    live.metadata = Metadata(live.directory / "metadata")
    live.compact()
    fill(live)
    live.clock.advance(0.001)
    assert live.metadata.is_compacting


def test_a_full_disk_ends_it_and_harms_nobody(live: Live, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = fill(live)
    live.compacting.begin()
    with monkeypatch.context() as patch:
        FullDisk(patch, 5)
        live.clock.advance(0.001)
    assert not live.metadata.is_compacting
    live.finish()
    assert live.after_a_crash() == expected
    assert [path.name for path in live.directory.iterdir()] == ["metadata"]


def test_an_old_file_that_cannot_be_replaced_stays(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = fill(live)
    live.compacting.begin()

    def refuse(*_: object) -> None:
        raise OSError(errno.EIO, "no")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", refuse)
        live.finish()
    assert not live.metadata.is_compacting
    assert not live.failures
    assert live.after_a_crash() == expected


def test_a_name_that_may_be_lost_is_a_failure_of_the_disk(
    live: Live, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(live)
    live.compacting.begin()

    def refuse(directory: Path) -> None:
        raise OSError(errno.EIO, "no")

    monkeypatch.setattr("core.metadata.sync_directory", refuse)
    live.finish()
    assert len(live.failures) == 1


def test_stopping_gives_up_what_was_begun(live: Live) -> None:
    expected = fill(live)
    live.compacting.begin()
    live.clock.advance(0.001)
    live.compacting.stop()
    live.metadata.close()
    assert live.after_a_crash() == expected
    assert [path.name for path in live.directory.iterdir()] == ["metadata"]


@pytest.mark.parametrize("is_done", [True, False])
def test_what_the_thread_was_asked_for_may_come_after_the_stop(live: Live, is_done: bool) -> None:
    expected = fill(live)
    live.disk.held = True
    live.compacting.begin()
    for _ in range(20):
        live.clock.advance(0.001)
    live.disk.release_one()  # The flush; replacing is next.
    ((replace_file, done),) = live.disk.waiting
    if is_done:
        replace_file()
    live.compacting.stop()
    live.metadata.close()
    done(None)
    assert live.after_a_crash() == expected
