import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import StoreFormatError
from core.group_commit import sync_files
from core.journal import encode_event
from core.metadata import Metadata
from tests.support.disk import FullDisk

NAMES = st.sampled_from(["a", "b", "c"])
DOCUMENTS = st.one_of(
    st.integers(0, 9), st.text(max_size=5), st.lists(st.integers(0, 9), max_size=3)
)
CHANGES = st.lists(st.tuples(NAMES, NAMES, st.none() | DOCUMENTS), max_size=12)


def state(metadata: Metadata) -> dict[str, dict[str, Any]]:
    return {kind: dict(metadata.items(kind)) for kind in "abc" if metadata.items(kind)}


def change(metadata: Metadata, kind: str, key: str, document: Any) -> None:
    if document is None:
        metadata.delete(kind, key)
    else:
        metadata.put(kind, key, document)


@pytest.mark.parametrize("compact_size_min", [1, 60, 1 << 20])
@given(changes=CHANGES, data=st.data())
def test_cut_at_any_byte_some_moment_of_its_past_comes_back(
    compact_size_min: int,
    tmp_path_factory: pytest.TempPathFactory,
    changes: list[tuple[str, str, Any]],
    data: st.DataObject,
) -> None:
    """The last one, if nothing is cut off."""
    path = tmp_path_factory.mktemp("metadata") / "metadata"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("core.metadata._COMPACT_SIZE_MIN", compact_size_min)
        patch.setattr(os, "fsync", lambda descriptor: None)
        metadata = Metadata(path)
        past = [state(metadata)]
        for kind, key, document in changes:
            change(metadata, kind, key, document)
            past.append(state(metadata))
        metadata.close()
        whole = Metadata(path)
        assert state(whole) == past[-1]
        whole.close()
        if compact_size_min == 1 << 20:
            os.truncate(path, data.draw(st.integers(0, path.stat().st_size)))
            cut = Metadata(path)
            assert state(cut) in past
            cut.close()


def test_history_is_replaced_by_what_there_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("core.metadata._COMPACT_SIZE_MIN", 1000)
    metadata = Metadata(tmp_path / "metadata")
    metadata.put("a", "kept", "x" * 100)
    for number in range(1000):
        metadata.put("a", "changing", number)
    assert (tmp_path / "metadata").stat().st_size < 1100
    metadata.close()
    assert Metadata(tmp_path / "metadata").items("a") == {"kept": "x" * 100, "changing": 999}
    assert [path.name for path in tmp_path.iterdir()] == ["metadata"]


def test_a_compaction_that_a_crash_cut_off_changes_nothing(tmp_path: Path) -> None:
    metadata = Metadata(tmp_path / "metadata")
    metadata.put("a", "b", 1)
    metadata.close()
    (tmp_path / "metadata.new").write_bytes(b"half")
    assert Metadata(tmp_path / "metadata").items("a") == {"b": 1}


def test_a_full_disk_leaves_the_documents_as_they_were(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    metadata = Metadata(tmp_path / "metadata")
    metadata.put("a", "b", 1)
    disk = FullDisk(monkeypatch, 5)
    with pytest.raises(OSError, match="No space left"):
        metadata.put("a", "b", 2)
    with pytest.raises(OSError, match="No space left"):
        metadata.delete("a", "b")
    assert metadata.items("a") == {"b": 1}
    disk.room = 1 << 20
    metadata.put("a", "c", 3)
    metadata.close()
    assert Metadata(tmp_path / "metadata").items("a") == {"b": 1, "c": 3}


def test_what_cannot_be_read_is_refused(tmp_path: Path) -> None:
    (tmp_path / "metadata").write_bytes(encode_event(b"\xc1"))
    with pytest.raises(StoreFormatError):
        Metadata(tmp_path / "metadata")


def test_deleting_what_is_not_there_writes_nothing(tmp_path: Path) -> None:
    metadata = Metadata(tmp_path / "metadata")
    metadata.delete("a", "b")
    assert metadata.begin_sync() == []


def test_many_are_deleted_with_one_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    metadata = Metadata(tmp_path / "metadata")
    for key in "abcd":
        metadata.put("kind", key, 1)
    with monkeypatch.context() as patch:
        disk = FullDisk(patch, 0)
        with pytest.raises(OSError, match="space"):
            metadata.delete_all("kind", "acx")
        assert len(metadata.items("kind")) == 4
        disk.room = 1 << 20
        metadata.delete_all("kind", "acx")
    metadata.close()
    assert dict(Metadata(tmp_path / "metadata").items("kind")) == {"b": 1, "d": 1}


def test_what_stands_behind_damage_is_not_lost(tmp_path: Path) -> None:
    path = tmp_path / "metadata"
    metadata = Metadata(path)
    for key in "abcd":
        metadata.put("kind", key, key * 9)
        sync_files(metadata.begin_sync())
    metadata.close()
    content = bytearray(path.read_bytes())
    content[content.index(b"b" * 9)] ^= 1
    path.write_bytes(content)
    metadata = Metadata(path)
    assert metadata.items("kind") == {key: key * 9 for key in "acd"}
    assert len(metadata.damage) == 1
    assert path.read_bytes() == content
    metadata.mend()
    metadata.put("kind", "b", "again")
    metadata.close()
    assert (tmp_path / "metadata.damaged").read_bytes() == content
    again = Metadata(path)
    assert not again.damage
    assert again.items("kind").keys() == set("abcd")
    again.close()
