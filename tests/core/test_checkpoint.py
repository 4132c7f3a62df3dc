from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.checkpoint import (
    Checkpoint,
    QueueCheckpoint,
    encode_checkpoint,
    read_checkpoint,
    replace_checkpoint,
)
from core.errors import StoreFormatError
from core.journal import encode_event

BITMAPS = {1: b"\x55" * 128}
SAVED = Checkpoint(
    3, 4096, 2, {3: QueueCheckpoint(9, 1, 7, [(2, 4)], b"r" * 24, {}, b"", BITMAPS)}, {5: 6}, [0]
)


def test_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = tmp_path / "checkpoint"
    assert read_checkpoint(path) == Checkpoint()
    for checkpoint in (Checkpoint(1, 1), SAVED):
        replace_checkpoint(path, encode_checkpoint(checkpoint))
        assert read_checkpoint(path) == checkpoint
    assert [file.name for file in tmp_path.iterdir()] == ["checkpoint"]


@pytest.mark.parametrize(
    ("version", "queue", "expected"),
    [
        (
            1,
            [9, 1, 7, [[2, 4]], b"r" * 24, {2: 1}],
            QueueCheckpoint(9, 1, 7, [(2, 4)], b"r" * 24, {2: 1}),
        ),
        (
            2,
            [9, 1, 7, [[2, 4]], b"", {}, b"s" * 72],
            QueueCheckpoint(9, 1, 7, [(2, 4)], b"", {}, b"s" * 72),
        ),
    ],
)
def test_older_versions_are_read(
    tmp_path: Path, version: int, queue: list[object], expected: QueueCheckpoint
) -> None:
    event = msgspec.msgpack.encode([version, 4096, 2, {3: queue}, {5: 6}, [0]])
    (tmp_path / "checkpoint").write_bytes(encode_event(event))
    checkpoint = read_checkpoint(tmp_path / "checkpoint")
    assert checkpoint == Checkpoint(version, 4096, 2, {3: expected}, {5: 6}, [0])


@given(data=st.data())
def test_damage_is_refused_wherever_it_is(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Going on without it would bring back what was settled."""
    path = tmp_path_factory.mktemp("checkpoint") / "checkpoint"
    content = bytearray(encode_checkpoint(SAVED))
    position = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content[position] ^= data.draw(st.integers(1, 255))
    else:
        del content[position:]
    path.write_bytes(content)
    with pytest.raises(StoreFormatError):
        read_checkpoint(path)


@pytest.mark.parametrize(
    "content",
    [b"", bytes(100), encode_event(msgspec.msgpack.encode([4, 0, 0, {}, {}, []]))],
    ids=["empty", "zeros", "version 4"],
)
def test_what_is_not_one_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "checkpoint").write_bytes(content)
    with pytest.raises(StoreFormatError):
        read_checkpoint(tmp_path / "checkpoint")


def test_one_that_a_crash_cut_off_leaves_the_old_one(tmp_path: Path) -> None:
    replace_checkpoint(tmp_path / "checkpoint", encode_checkpoint(SAVED))
    (tmp_path / "checkpoint.new").write_bytes(b"half")
    assert read_checkpoint(tmp_path / "checkpoint") == SAVED
    replace_checkpoint(tmp_path / "checkpoint", encode_checkpoint(Checkpoint()))
    assert read_checkpoint(tmp_path / "checkpoint") == Checkpoint()
