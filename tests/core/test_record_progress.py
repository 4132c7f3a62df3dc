from hypothesis import given
from hypothesis import strategies as st

from core.progress import Entry, Kind
from core.record import HEADER_SIZE, ROW_SIZE
from core.record_progress import Places, RecordProgress

KINDS = (Kind.DELIVERED_IN_RECORD, Kind.SETTLED_IN_RECORD)


@st.composite
def said(draw: st.DrawFn) -> tuple[list[tuple[int, int]], list[Entry]]:
    """Records as short as they can be, with how many messages they have; and what is said."""
    at, records, entries = draw(st.integers(0, 2000)), [], []
    for count in draw(st.lists(st.integers(1, 40), min_size=1, max_size=30)):
        records.append((at, count))
        for kind in draw(st.lists(st.sampled_from(KINDS), max_size=3)):
            first = draw(st.integers(0, count - 1))
            entries.append(Entry(kind, at, first, draw(st.integers(1, count - first))))
        at += HEADER_SIZE + ROW_SIZE * count
    return records, draw(st.permutations(entries))


@given(said=said(), gone=st.integers(0, 30))
def test_knows_of_each_message_what_was_said(
    said: tuple[list[tuple[int, int]], list[Entry]], gone: int
) -> None:
    records, entries = said
    progress = RecordProgress()
    for entry in entries:
        progress.apply(entry)
    end = records[-gone][0] if 0 < gone <= len(records) else 1 << 40
    assert progress.void(end) is any(entry.id >= end for entry in entries)
    for at, count in records:
        told = Places(set(), set())
        for entry in entries:
            if entry.id == at < end:
                of_kind = told[KINDS.index(Kind(entry.kind))]
                of_kind.update(range(entry.a, entry.a + entry.b))
        assert progress.find(at, count) == (told if any(told) else None)
