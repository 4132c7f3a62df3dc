import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosettamq.errors import MessageError
from rosettamq.remoting.properties import decode_properties, encode_properties

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x01\x02"), min_size=1, max_size=9
)


@given(st.dictionaries(TEXT, TEXT))
def test_there_and_back(properties: dict[str, str]) -> None:
    assert decode_properties(encode_properties(properties)) == properties


@given(st.binary())
def test_junk_is_read_without_an_error(junk: bytes) -> None:
    decode_properties(junk)


def test_what_java_drops_is_dropped() -> None:
    data = b"a\x011\x02\x01x\x02b\x01\x02novalue\x02a\x012\x02c\x013"
    assert decode_properties(data) == {"a": "2", "c": "3"}


@pytest.mark.parametrize("properties", [{"a": ""}, {"": "a"}, {"a\x01": "b"}, {"a": "b" * 32767}])
def test_what_cannot_be_written(properties: dict[str, str]) -> None:
    with pytest.raises(MessageError):
        encode_properties(properties)
