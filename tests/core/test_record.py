import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CorruptRecordError
from core.record import (
    HEADER_SIZE,
    MAGIC,
    ROW_SIZE,
    decode,
    decode_header,
    decode_rows,
    encode_head,
)

BATCHES = st.lists(st.tuples(st.integers(0, (1 << 32) - 1), st.binary(max_size=20)), max_size=5)


def encode(batch: list[tuple[int, bytes]], origin: int = 3, log_offset: int = 100) -> bytes:
    route_ids = [route_id for route_id, _ in batch]
    payload = [message for _, message in batch]
    sizes = list(map(len, payload))
    return encode_head(origin, log_offset, 1234, route_ids, sizes, payload) + b"".join(payload)


def test_a_record_by_its_bytes() -> None:
    data = encode([(1, b"abc"), (2, b"")])
    assert data[:4] == len(data).to_bytes(4, "big")
    assert data[4:8] == b"RMQ1" == MAGIC.to_bytes(4, "big")
    assert data[12:36] == (
        b"\0\1\0\3" + (100).to_bytes(8, "big") + (1234).to_bytes(8, "big") + b"\0\0\0\2"
    )
    assert data[36:52] == b"\0\0\0\1\0\0\0\3\0\0\0\2\0\0\0\0"
    assert data[52:] == b"abc"


@given(batch=BATCHES, before=st.binary(max_size=9), behind=st.binary(max_size=50))
def test_there_and_back_is_the_identity(
    batch: list[tuple[int, bytes]], before: bytes, behind: bytes
) -> None:
    data = before + encode(batch) + behind
    header = decode_header(data, len(before))
    assert header is not None
    assert (header.origin, header.log_offset, header.timestamp_ms) == (3, 100, 1234)
    record = decode(data, header, len(before))
    assert list(zip(record.route_ids, record.messages, strict=True)) == batch
    assert decode_rows(data, header, len(before))[0] == record.route_ids
    assert decode_rows(data, header, len(before))[1] == tuple(map(len, record.messages))


@given(batch=BATCHES, data=st.data())
def test_no_damage_goes_unnoticed(batch: list[tuple[int, bytes]], data: st.DataObject) -> None:
    """A changed byte, anywhere: no header, or no record."""
    encoded = bytearray(encode(batch))
    position = data.draw(st.integers(0, len(encoded) - 1))
    encoded[position] ^= data.draw(st.integers(1, 255))
    header = decode_header(bytes(encoded))
    if header is not None:
        with pytest.raises(CorruptRecordError):
            decode(bytes(encoded), header)


@given(data=st.binary(max_size=100))
def test_junk_is_no_record(data: bytes) -> None:
    header = decode_header(data)
    if header is not None:
        with pytest.raises(CorruptRecordError):
            decode(data, header)


@pytest.mark.parametrize("end", range(HEADER_SIZE))
def test_a_cut_header_is_no_header(end: int) -> None:
    assert decode_header(encode([(1, b"abc")])[:end]) is None


def test_a_cut_record_is_corrupt() -> None:
    data = encode([(1, b"abc")])
    header = decode_header(data)
    assert header is not None
    assert header.size == len(data) == HEADER_SIZE + ROW_SIZE + 3
    with pytest.raises(CorruptRecordError, match="cut short"):
        decode(data[:-1], header)
