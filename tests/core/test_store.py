from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.commit_log import CommitLog
from core.errors import CorruptRecordError
from core.store import VOLATILE_BASE, Store
from tests.support.disk import FullDisk

ORIGIN = 1


def open_store(directory: Path, cache_size: int = 0, volatile_size: int = 1 << 20) -> Store:
    store = Store(directory, 1 << 12, cache_size, volatile_size, lambda: 1234)
    store.parsers = {ORIGIN: bytes}
    store.commit_log.open_at(store.commit_log.end)
    return store


def append_durable(store: Store, *messages: bytes, origin: int = ORIGIN) -> int:
    sizes = list(map(len, messages))
    return store.append_durable(origin, [1] * len(sizes), sizes, list(messages), messages)


def append_volatile(store: Store, *messages: bytes, references: int = 1) -> int:
    sizes = list(map(len, messages))
    log_offset = store.append_volatile(ORIGIN, sizes, list(messages), messages)
    store.refer(log_offset, references)
    return log_offset


def fetch(store: Store, log_offset: int, first: int, count: int) -> list[bytes]:
    return list(store.fetch(log_offset, first, count)[0])


def count_reads(log: CommitLog, patch: pytest.MonkeyPatch) -> list[int]:
    """A list that grows with every read, by its size."""
    sizes: list[int] = []
    read = log.read

    def counting_read(log_offset: int, size: int) -> bytes:
        data = read(log_offset, size)
        sizes.append(len(data))
        return data

    patch.setattr(log, "read", counting_read)
    return sizes


@pytest.mark.parametrize("cache_size", [0, 1000, 1 << 20])
@given(
    batches=st.lists(st.lists(st.binary(max_size=30), min_size=1, max_size=8), max_size=8),
    data=st.data(),
)
def test_what_was_appended_can_be_fetched_warm_and_cold(
    tmp_path_factory: pytest.TempPathFactory,
    cache_size: int,
    batches: list[list[bytes]],
    data: st.DataObject,
) -> None:
    store = open_store(tmp_path_factory.mktemp("store"), cache_size, 600)
    stored: list[tuple[int, list[bytes]]] = []
    for batch in batches:
        is_durable = data.draw(st.booleans())
        append = append_durable if is_durable else append_volatile
        stored.append((append(store, *batch), batch))
    for log_offset, batch in data.draw(st.permutations(stored)):
        first = data.draw(st.integers(0, len(batch) - 1))
        count = data.draw(st.integers(1, len(batch) - first))
        assert fetch(store, log_offset, first, count) == batch[first : first + count]
        assert store.timestamp_ms(log_offset) == 1234
    store.close()


def test_the_log_offset_of_a_message_is_where_its_bytes_are(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    append_durable(store, b"before")
    log_offset = append_durable(store, b"one", b"two", b"three")
    assert store.commit_log.read(store.message_offset(log_offset, 2), 5) == b"three"
    volatile = append_volatile(store, b"one", b"two")
    assert store.message_offset(volatile, 1) == volatile + 1
    with pytest.raises(CorruptRecordError):
        store.message_offset(log_offset + 1, 0)


@pytest.mark.parametrize("cache_size", [0, 1 << 20])
def test_the_size_of_messages_is_known_without_reading_them(
    tmp_path: Path, cache_size: int
) -> None:
    store = open_store(tmp_path, cache_size)
    few = append_durable(store, b"a", b"bb", b"ccc")
    many = append_durable(store, *[b"1234"] * 2000)
    assert [store.size(few, first, count) for first, count in ((0, 3), (1, 1), (2, 1))] == [6, 2, 3]
    assert store.size(many, 500, 1500) == 6000
    assert store.size(store.commit_log.end, 0, 1) == 0


def test_memory_holds_no_more_than_it_may(tmp_path: Path) -> None:
    store = open_store(tmp_path, cache_size=10_000)
    offsets = [append_durable(store, b"x" * 1000) for _ in range(100)]
    for log_offset in offsets * 2:
        assert fetch(store, log_offset, 0, 1) == [b"x" * 1000]
        assert store._cache_size <= 10_000
        assert sum(batch.size for batch in store._cache.values()) == store._cache_size
        assert len(store._cache) == len(store._cache_order)


def test_what_was_read_ahead_in_vain_is_not_read_ahead_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A hundred queues take turns, and memory has room for a part of what lies between."""
    store = open_store(tmp_path)
    offsets = [append_durable(store, b"%d" % number) for number in range(1000)]
    store._cache_size_max = 1000
    reads = count_reads(store.commit_log, monkeypatch)
    for first in range(100):
        for number in range(first, 1000, 100):
            assert fetch(store, offsets[number], 0, 1) == [b"%d" % number]
    assert sum(size > 4096 for size in reads) <= 1


def test_reading_on_is_prepared(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who reads a second record cold finds those behind it warm."""
    store = open_store(tmp_path)
    offsets = [append_durable(store, b"%d" % number) for number in range(50)]
    store._cache_size_max = 1 << 20
    reads = count_reads(store.commit_log, monkeypatch)
    assert [fetch(store, offset, 0, 1) for offset in offsets] == [[b"%d" % n] for n in range(50)]
    assert len(reads) == 3


@pytest.mark.parametrize("whole", [True, False], ids=["whole", "one of many"])
@pytest.mark.parametrize("place", ["magic", "log offset", "origin"])
def test_a_damaged_head_is_reported_and_skipped(tmp_path: Path, place: str, whole: bool) -> None:
    store = open_store(tmp_path)
    before = append_durable(store, b"before")
    damaged = append_durable(store, *[b"damaged"] * 8)
    behind = append_durable(store, b"behind")
    append_durable(store, b"which the cache holds")
    with store.commit_log.segments[0].path.open("r+b") as file:
        file.seek(damaged + {"magic": 4, "log offset": 16, "origin": 14}[place])
        file.write(b"\xff")
    assert fetch(store, before, 0, 1) == [b"before"]
    assert fetch(store, damaged, 0, 8 if whole else 1) == []
    assert fetch(store, behind, 0, 1) == [b"behind"]


@pytest.mark.parametrize("count", [1, 8], ids=["alone", "among others"])
def test_a_damaged_body_is_reported_and_skipped(tmp_path: Path, count: int) -> None:
    store = open_store(tmp_path)
    damaged = append_durable(store, *[b"damaged"] * count)
    append_durable(store, b"which the cache holds")
    with store.commit_log.segments[0].path.open("r+b") as file:
        file.seek(damaged + 36 + 8 * count + 3)
        file.write(b"\xff")
    assert fetch(store, damaged, 0, 1) == []


def test_a_message_of_many_is_read_alone_once_the_record_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A thousand queues that share a record must not read it a thousand times."""
    store = open_store(tmp_path)
    log_offset = append_durable(store, *[b"x" * 1000] * 100)
    append_durable(store, b"which the cache holds")
    reads = count_reads(store.commit_log, monkeypatch)
    for number in range(3):
        assert fetch(store, log_offset, number, 1) == [b"x" * 1000]
    assert sum(size > 4096 for size in reads) == 1


def test_a_record_of_which_one_after_the_other_is_read_is_read_once_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every second message is, where the others are acknowledged."""
    store = open_store(tmp_path)
    log_offset = append_durable(store, *[b"x" * 1000] * 100)
    append_durable(store, b"which the cache holds")
    reads = count_reads(store.commit_log, monkeypatch)
    for number in range(0, 100, 2):
        assert fetch(store, log_offset, number, 1) == [b"x" * 1000]
    assert sum(size > 4096 for size in reads) == 2
    assert len(reads) < 15


@pytest.mark.parametrize("count", [1, 8])
def test_a_message_that_its_language_cannot_read_is_reported_and_skipped(
    tmp_path: Path, count: int
) -> None:
    def parse(stored: bytes) -> Any:
        raise CorruptRecordError("not one of ours")

    store = open_store(tmp_path)
    damaged = append_durable(store, *[b"damaged"] * 8)
    append_durable(store, b"which the cache holds")
    store.parsers = {ORIGIN: parse}
    assert fetch(store, damaged, 0, count) == []


class TestVolatile:
    def test_goes_with_the_last_reference(self, tmp_path: Path) -> None:
        store = open_store(tmp_path)
        log_offset = append_volatile(store, b"a", references=3)
        assert log_offset >= VOLATILE_BASE
        for _ in range(2):
            store.release(log_offset)
            assert fetch(store, log_offset, 0, 1) == [b"a"]
        store.release(log_offset)
        assert not store._volatile
        assert store._volatile_size == 0
        assert store.commit_log.end == 0

    @pytest.mark.parametrize("volatile_size", [0, 1000])
    def test_what_nobody_refers_to_is_not_kept(self, tmp_path: Path, volatile_size: int) -> None:
        """The queues of a route may be gone when its messages are appended."""
        store = open_store(tmp_path, volatile_size=volatile_size)
        append_volatile(store, b"a", references=0)
        assert not store._volatile
        assert not any(store._spill_references.values())
        assert store._volatile_size == 0

    @given(data=st.data())
    def test_spills_past_its_budget_and_comes_back(
        self, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
    ) -> None:
        """In whatever order batches are let go."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("core.store._SPILL_SEGMENT_SIZE", 300)
            store = open_store(tmp_path_factory.mktemp("store"), volatile_size=1000)
            held: dict[int, list[bytes]] = {}
            for number in range(data.draw(st.integers(1, 20))):
                messages = [b"%d" % number] * data.draw(st.integers(1, 3))
                log_offset = append_volatile(store, *messages, references=2)
                held[log_offset] = messages
                store.release(log_offset)
                if data.draw(st.booleans()):
                    gone = data.draw(st.sampled_from(sorted(held)))
                    store.release(gone)
                    del held[gone]
                assert store._volatile_size <= 1000
                for log_offset, expected in held.items():
                    assert fetch(store, log_offset, 0, len(expected)) == expected
            for log_offset in data.draw(st.permutations(sorted(held))):
                store.release(log_offset)
            assert not store._volatile
            assert not any(store._spill_references.values())
            assert store._spill is None or len(store._spill.segments) == 1
            store.close()

    def test_a_spill_file_that_was_read_is_deleted(self, tmp_path: Path) -> None:
        store = open_store(tmp_path, volatile_size=0)
        patch = pytest.MonkeyPatch()
        patch.setattr("core.store._SPILL_SEGMENT_SIZE", 300)
        offsets = [append_volatile(store, b"x" * 100) for _ in range(10)]
        patch.undo()
        assert len(list((tmp_path / "volatile").iterdir())) == 5
        for number, log_offset in enumerate(offsets):
            assert fetch(store, log_offset, 0, 1) == [b"x" * 100]
            store.release(log_offset)
            left = max(1, 5 - (number + 1) // 2)
            assert len(list((tmp_path / "volatile").iterdir())) == left

    def test_a_spilled_batch_alone_is_read(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What follows it is not kept in memory, so reading it ahead would be in vain."""
        store = open_store(tmp_path, volatile_size=0)
        offsets = [append_volatile(store, b"x" * 100) for _ in range(100)]
        assert store._spill is not None
        reads = count_reads(store._spill, monkeypatch)
        for log_offset in offsets:
            fetch(store, log_offset, 0, 1)
        assert max(reads) <= 4096

    def test_what_was_spilled_takes_no_memory(self, tmp_path: Path) -> None:
        """Only its file is known, by whoever refers to it."""
        store = open_store(tmp_path, volatile_size=0)
        offsets = [append_volatile(store, b"x") for _ in range(1000)]
        assert len(set(offsets)) == 1000
        assert not store._volatile
        assert list(store._spill_references.values()) == [1000]

    def test_a_spill_file_stays_for_what_nobody_was_told_of_yet(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("core.store._SPILL_SEGMENT_SIZE", 300)
        store = open_store(tmp_path, volatile_size=0)
        payload = [b"x" * 200]
        offsets = [store.append_volatile(ORIGIN, [200], payload, payload) for _ in range(3)]
        for log_offset in offsets:
            store.refer(log_offset, 1)
            assert fetch(store, log_offset, 0, 1) == payload

    def test_a_full_disk_refuses_and_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        store = open_store(tmp_path, volatile_size=0)
        disk = FullDisk(monkeypatch, 20)
        with pytest.raises(OSError, match="No space left"):
            append_volatile(store, b"refused")
        assert not any(store._spill_references.values())
        disk.room = 1 << 20
        assert fetch(store, append_volatile(store, b"taken"), 0, 1) == [b"taken"]

    def test_nothing_is_left_of_an_earlier_life(self, tmp_path: Path) -> None:
        store = open_store(tmp_path, volatile_size=0)
        append_volatile(store, b"x")
        assert (tmp_path / "volatile").exists()
        open_store(tmp_path)
        assert not (tmp_path / "volatile").exists()
