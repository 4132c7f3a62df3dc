import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.group_commit import sync_files
from core.journal import Journal, encode_event, encode_mark
from tests.support.disk import FullDisk

EVENTS = st.lists(st.binary(min_size=1, max_size=20), max_size=6)


def open_journal(path: Path) -> tuple[Journal, list[bytes]]:
    journal = Journal(path)
    replayed = list(journal.replay())
    journal.cut()
    return journal, replayed


@given(events=EVENTS, data=st.data())
def test_cut_at_any_byte_what_is_whole_comes_back(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    journal, _ = open_journal(path)
    ends = [0]
    for event in events:
        journal.append(encode_event(event))
        ends.append(journal.size)
    journal.close()
    cut = data.draw(st.integers(0, ends[-1]))
    os.truncate(path, cut)
    whole = sum(end <= cut for end in ends[1:])
    again, replayed = open_journal(path)
    assert replayed == events[:whole]
    assert again.size == path.stat().st_size == ends[whole]
    again.append(encode_event(b"further"))
    again.close()
    last, replayed = open_journal(path)
    assert replayed == [*events[:whole], b"further"]
    last.close()


@given(events=EVENTS, zeros=st.integers(1, 40))
def test_a_tail_of_zeros_is_no_event(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], zeros: int
) -> None:
    """After power loss, a file may be longer than what was written to it."""
    path = tmp_path_factory.mktemp("journal") / "journal"
    path.write_bytes(b"".join(map(encode_event, events)) + bytes(zeros))
    journal, replayed = open_journal(path)
    journal.close()
    assert replayed == events
    assert not journal.damage


@given(events=EVENTS.filter(bool), data=st.data())
def test_a_changed_byte_that_was_not_flushed_ends_the_replay(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    encoded = list(map(encode_event, events))
    damaged = change(encoded, data)
    path.write_bytes(b"".join(encoded))
    journal, replayed = open_journal(path)
    journal.close()
    assert replayed == events[:damaged]
    assert not journal.damage


@given(events=EVENTS.filter(bool), skip=st.booleans(), data=st.data())
def test_a_changed_byte_that_was_flushed_is_damage(
    tmp_path_factory: pytest.TempPathFactory, events: list[bytes], skip: bool, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("journal") / "journal"
    encoded = list(map(encode_event, events))
    end = sum(map(len, encoded))
    damaged = change(encoded, data)
    start = sum(map(len, encoded[:damaged]))
    path.write_bytes(b"".join(encoded) + encode_mark(end) + encode_event(b"behind"))
    journal = Journal(path)
    replayed = list(journal.replay(skip_damage=skip))
    journal.cut()
    journal.close()
    assert replayed == events[:damaged] + [*events[damaged + 1 :], b"behind"] * skip
    assert [begin for begin, _ in journal.damage] == [start]
    assert path.stat().st_size == (end + 16 + 14 if skip else start)


def change(encoded: list[bytes], data: st.DataObject) -> int:
    """Change one byte of one event, but not its size; returns of which."""
    damaged: int = data.draw(st.integers(0, len(encoded) - 1))
    event = bytearray(encoded[damaged])
    event[data.draw(st.integers(4, len(event) - 1))] ^= data.draw(st.integers(1, 255))
    encoded[damaged] = bytes(event)
    return damaged


def test_a_mark_says_what_was_flushed_when_the_next_event_came(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path / "journal")
    first, second, third = map(encode_event, (b"first", b"second", b"third"))
    journal.append(first)
    sync_files(journal.begin_sync())
    journal.append(second)  # That flush has not ended, as far as the journal knows.
    sync_files(journal.begin_sync())
    journal.append(third)
    journal.append(third)
    journal.close()
    written = first + second + encode_mark(len(first)) + third + third
    assert journal.path.read_bytes() == written
    assert open_journal(journal.path)[1] == [b"first", b"second", b"third", b"third"]


@pytest.mark.parametrize("room", [0, 3, 8, 12])
def test_a_full_disk_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    """Half an event in the middle would hide all that comes behind it."""
    journal, _ = open_journal(tmp_path / "journal")
    journal.append(encode_event(b"before"))
    size = journal.size
    disk = FullDisk(monkeypatch, room)
    with pytest.raises(OSError, match="No space left"):
        journal.append(encode_event(b"refused"))
    assert journal.size == size
    disk.room = 1 << 20
    journal.append(encode_event(b"behind"))
    assert open_journal(tmp_path / "journal")[1] == [b"before", b"behind"]


def test_is_flushed_only_when_something_was_written(tmp_path: Path) -> None:
    journal, _ = open_journal(tmp_path / "journal")
    assert journal.begin_sync() == []
    journal.append(encode_event(b"event"))
    (descriptor,) = journal.begin_sync()
    os.close(descriptor)
    assert journal.begin_sync() == []
