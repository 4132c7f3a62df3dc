import errno
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commit_log import CommitLog
from core.errors import CorruptRecordError, MessageTooLargeError
from core.record import RECORD_SIZE_MAX, encode_head
from tests.support.disk import FullDisk

SEGMENT_SIZE = 300


def append(log: CommitLog, message: bytes) -> int:
    size = 44 + len(message)
    log_offset = log.prepare(size)
    log.append([encode_head(1, log_offset, 0, [5], [len(message)], [message]), message], size)
    return log_offset


def messages(log: CommitLog, start: int = 0, chunk_size: int = 4 << 20) -> list[bytes]:
    return [data[44:] for _, data in log.scan(start, chunk_size)]


@pytest.fixture
def log(tmp_path: Path) -> CommitLog:
    log = CommitLog(tmp_path / "log", SEGMENT_SIZE)
    log.open_at(0)
    return log


def names(log: CommitLog) -> list[str]:
    return [segment.path.name for segment in log.segments]


def test_records_follow_one_another_and_segments_roll(log: CommitLog) -> None:
    """A segment is named by its first log offset, and none ends within a record."""
    offsets = [append(log, b"x" * 56) for _ in range(4)]
    assert offsets == [0, 100, 200, 300]
    assert append(log, b"y" * 100) == 400
    assert append(log, b"z" * 100) == 544
    assert names(log) == [f"{base:020d}" for base in (0, 300, 544)]
    assert [segment.path.stat().st_size for segment in log.segments[:2]] == [300, 244]


def test_a_record_larger_than_a_segment_has_one_of_its_own(log: CommitLog) -> None:
    append(log, b"small")
    append(log, b"x" * 1000)
    append(log, b"small, too")
    assert len(log.segments) == 3
    assert messages(log) == [b"small", b"x" * 1000, b"small, too"]


def test_a_record_that_could_not_be_read_back_is_refused(log: CommitLog) -> None:
    with pytest.raises(MessageTooLargeError):
        log.prepare(RECORD_SIZE_MAX + 1)
    assert log.end == 0


@given(sizes=st.lists(st.integers(0, 400), max_size=12), chunk_size=st.integers(1, 700))
def test_scan_finds_what_was_appended_wherever_it_begins(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], chunk_size: int
) -> None:
    log = CommitLog(tmp_path_factory.mktemp("log"), SEGMENT_SIZE)
    log.open_at(0)
    appended = [(append(log, bytes([size % 256]) * size), size) for size in sizes]
    for number, (log_offset, _) in enumerate(appended):
        found = messages(log, log_offset, chunk_size)
        assert list(map(len, found)) == sizes[number:]
    log.close()


def test_read_never_passes_the_end_of_a_segment(log: CommitLog) -> None:
    for _ in range(4):
        append(log, b"x" * 56)
    assert len(log.read(200, 1000)) == 100
    assert len(log.read(300, 1000)) == 100
    assert log.read(400, 10) == b""
    assert log.read(1000, 10) == b""


def test_what_lies_before_the_start_cannot_be_read(log: CommitLog) -> None:
    for _ in range(7):
        append(log, b"x" * 56)
    assert log.drop_before(299) == 0
    assert log.drop_before(300) == 1
    assert log.start == 300
    with pytest.raises(CorruptRecordError):
        log.read(200, 10)
    assert log.drop_before(10_000) == 1, "the last segment is appended to"
    assert log.start == 600
    assert append(log, b"x") == 700


@pytest.mark.parametrize("room", [0, 1, 30, 60, 99])
def test_a_full_disk_leaves_the_log_as_it_was(
    log: CommitLog, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    append(log, b"before")
    end = log.end
    disk = FullDisk(monkeypatch, room)
    with pytest.raises(OSError, match="No space left") as raised:
        append(log, b"x" * 56)
    assert raised.value.errno == errno.ENOSPC
    assert log.end == end
    disk.room = 1 << 20
    append(log, b"behind")
    assert messages(log) == [b"before", b"behind"]


def test_a_full_disk_at_the_roll_leaves_the_log_as_it_was(
    log: CommitLog, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    append(log, b"x" * 200)
    disk = FullDisk(monkeypatch, 10)
    with pytest.raises(OSError, match="No space left"):
        append(log, b"x" * 200)
    disk.room = 1 << 20
    append(log, b"y" * 100)
    assert messages(log) == [b"x" * 200, b"y" * 100]
    log.close()
    again = CommitLog(tmp_path / "log", SEGMENT_SIZE)
    assert messages(again) == [b"x" * 200, b"y" * 100]


def test_a_write_cut_short_is_continued(log: CommitLog, monkeypatch: pytest.MonkeyPatch) -> None:
    writev = os.writev
    monkeypatch.setattr(os, "writev", lambda fd, pieces: writev(fd, [b"".join(pieces)[:7]]))
    append(log, b"abc")
    append(log, b"def")
    assert messages(log) == [b"abc", b"def"]


def test_more_pieces_than_one_call_takes(log: CommitLog) -> None:
    pieces = [b"%d" % (number % 10) for number in range(2000)]
    size = 44 + len(pieces)
    head = encode_head(1, log.prepare(size), 0, [1], [len(pieces)], pieces)
    log.append([head, *pieces], size)
    assert messages(log) == [b"".join(pieces)]


def test_opening_cuts_off_what_stands_behind_the_end(log: CommitLog, tmp_path: Path) -> None:
    offsets = [append(log, b"x" * 56) for _ in range(7)]
    log.close()
    again = CommitLog(tmp_path / "log", SEGMENT_SIZE)
    again.open_at(offsets[2])
    assert names(again) == [f"{0:020d}"]
    append(again, b"new")
    assert messages(again) == [b"x" * 56, b"x" * 56, b"new"]


def test_every_file_with_new_data_is_flushed_once(log: CommitLog) -> None:
    def flushed() -> set[int]:
        descriptors = log.begin_sync()
        inodes = {os.fstat(descriptor).st_ino for descriptor in descriptors}
        for descriptor in descriptors:
            os.close(descriptor)
        return inodes

    flushed()
    assert flushed() == set()
    for _ in range(4):
        append(log, b"x" * 56)
    folder = log.segments[0].path.parent.stat().st_ino
    files = {segment.path.stat().st_ino for segment in log.segments}
    assert flushed() == files | {folder}, "a new file's name must be durable, too"
    append(log, b"x")
    assert flushed() == {log.segments[-1].path.stat().st_ino}
