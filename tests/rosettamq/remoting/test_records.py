import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosettamq.errors import ProtocolError
from rosettamq.remoting.ids import unpack_host
from rosettamq.remoting.records import (
    BatchedMessage,
    Record,
    decode_batch,
    decode_record,
    decode_records,
    encode_batch,
    encode_record,
)

# The fact sheet's vectors, 3.5 and 3.6.
RECORD = bytes.fromhex(
    "0000006c daa320a7 3610a686 00000002 00000000 0000000000000005 0000000000000400"
    "00000000 0000018bcfe56800 0a000001 00009c40 0000018bcfe56801 0a000002 00002a9f"
    "00000000 0000000000000000 00000005 68656c6c6f 02 5431 000a 54414753015461674102"
)
BATCH = bytes.fromhex(
    "00000025 00000000 00000000 00000000 00000005 68656c6c6f 000a 54414753015461674102"
)

INT32 = st.integers(-(1 << 31), (1 << 31) - 1)
INT64 = st.integers(-(1 << 63), (1 << 63) - 1)
HOSTS = st.tuples(
    (st.binary(min_size=4, max_size=4) | st.binary(min_size=16, max_size=16)).map(unpack_host),
    st.integers(0, 65535),
)
RECORDS = st.builds(
    Record,
    topic=st.text(st.characters(codec="ascii"), max_size=255),
    body=st.binary(max_size=50),
    properties=st.binary(max_size=50),
    queue_id=INT32,
    flag=INT32,
    queue_offset=INT64,
    log_offset=INT64,
    system_flag=st.sampled_from([0, 1, 0x300]),
    born_timestamp=INT64,
    born_host=HOSTS,
    store_timestamp=INT64,
    store_host=HOSTS,
    reconsume_times=INT32,
    prepared_transaction_offset=INT64,
)


def test_the_record_vector() -> None:
    record = Record(
        topic="T1",
        body=b"hello",
        properties=b"TAGS\x01TagA\x02",
        queue_id=2,
        queue_offset=5,
        log_offset=1024,
        born_timestamp=1700000000000,
        born_host=("10.0.0.1", 40000),
        store_timestamp=1700000000001,
        store_host=("10.0.0.2", 10911),
    )
    assert encode_record(record) == RECORD
    assert decode_record(RECORD) == record


def test_the_batch_vector() -> None:
    messages = [BatchedMessage(b"hello", b"TAGS\x01TagA\x02")]
    assert encode_batch(messages) == BATCH
    assert decode_batch(BATCH + BATCH) == messages * 2


@given(st.lists(RECORDS, max_size=3))
def test_records_there_and_back(records: list[Record]) -> None:
    decoded = decode_records(b"".join(map(encode_record, records)))
    # The two bits that say IPv6 follow from the hosts.
    for before, after in zip(records, decoded, strict=True):
        assert after.system_flag & ~0x30 == before.system_flag
        assert encode_record(after) == encode_record(before)
        assert (after.topic, after.body, after.born_host) == (
            before.topic,
            before.body,
            before.born_host,
        )


@given(
    st.lists(
        st.builds(
            BatchedMessage,
            body=st.binary(max_size=20),
            properties=st.binary(max_size=20),
            flag=INT32,
        ),
        max_size=4,
    )
)
def test_batches_there_and_back(messages: list[BatchedMessage]) -> None:
    assert decode_batch(encode_batch(messages)) == messages


@given(st.binary(max_size=150), st.integers(0, 107))
def test_junk_raises_only_a_protocol_error(junk: bytes, at: int) -> None:
    damaged = RECORD[:at] + junk[: 108 - at] + RECORD[at + len(junk[: 108 - at]) :]
    for data in (junk, damaged, len(junk).to_bytes(4, "big") + junk[4:]):
        for decode in (decode_record, decode_records, decode_batch):
            try:
                decode(data)
            except ProtocolError:
                pass


def test_a_damaged_body_does_not_pass() -> None:
    with pytest.raises(ProtocolError, match="checksum"):
        decode_record(RECORD.replace(b"hello", b"hellO"))
