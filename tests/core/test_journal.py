import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.journal import Journal, decode_events, encode_event
from tests.support.disk import FullDisk

EVENTS = st.lists(st.binary(min_size=1, max_size=20), max_size=6)


def open_journal(path: Path) -> tuple[Journal, list[bytes]]:
    journal = Journal(path)
    return journal, list(journal.replay())


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
def test_a_tail_of_zeros_is_no_event(events: list[bytes], zeros: int) -> None:
    """After power loss, a file may be longer than what was written to it."""
    data = b"".join(map(encode_event, events))
    assert [event for event, _ in decode_events(data + bytes(zeros))] == events


@given(events=EVENTS.filter(bool), data=st.data())
def test_a_changed_byte_ends_the_replay(events: list[bytes], data: st.DataObject) -> None:
    encoded = list(map(encode_event, events))
    damaged = data.draw(st.integers(0, len(events) - 1))
    position = data.draw(st.integers(0, len(encoded[damaged]) - 1))
    event = bytearray(encoded[damaged])
    event[position] ^= data.draw(st.integers(1, 255))
    encoded[damaged] = bytes(event)
    assert [event for event, _ in decode_events(b"".join(encoded))] == events[:damaged]


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
