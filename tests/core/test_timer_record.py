import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CorruptRecordError
from core.timer_record import FIRE_MS_MAX, Timer, TimerId, decode_timer, encode_timer

ids = st.builds(TimerId, st.integers(0, FIRE_MS_MAX), st.integers(0, FIRE_MS_MAX))
timers = st.builds(
    Timer,
    st.integers(0, FIRE_MS_MAX),
    st.integers(0, (1 << 32) - 1),
    st.integers(0, (1 << 16) - 1),
    st.binary(max_size=50),
    st.none() | ids,
)


@given(timers)
def test_comes_back_as_it_was_written(timer: Timer) -> None:
    assert decode_timer(encode_timer(timer)) == timer


@given(timers, st.data())
def test_no_changed_or_missing_byte_goes_unnoticed(timer: Timer, data: st.DataObject) -> None:
    encoded = bytearray(encode_timer(timer))
    at = data.draw(st.integers(0, len(encoded) - 1))
    with pytest.raises(CorruptRecordError):
        decode_timer(bytes(encoded[:at]))
    encoded[at] ^= data.draw(st.integers(1, 255))
    with pytest.raises(CorruptRecordError):
        decode_timer(bytes(encoded))


@given(ids)
def test_an_id_is_read_back(id: TimerId) -> None:
    assert TimerId.parse(str(id)) == id


@pytest.mark.parametrize(
    "text", ["", "1", "1-", "-1", "1-2-3", "a-b", "+1-2", "1- 2", "9" * 30 + "-1"]
)
def test_anything_else_is_no_id(text: str) -> None:
    assert TimerId.parse(text) is None
