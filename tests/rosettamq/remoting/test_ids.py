import pytest

from rosettamq.errors import ProtocolError
from rosettamq.remoting.ids import UniqueKeys, decode_offset_message_id, encode_offset_message_id


@pytest.mark.parametrize(
    ("host", "offset", "message_id"),
    [
        (("10.0.0.2", 10911), 1024, "0A00000200002A9F0000000000000400"),
        (("::1", 1), 2, "0" * 31 + "1" + "00000001" + "0000000000000002"),
    ],
)
def test_offset_message_id(host: tuple[str, int], offset: int, message_id: str) -> None:
    assert encode_offset_message_id(host, offset) == message_id
    assert decode_offset_message_id(message_id) == (host, offset)


@pytest.mark.parametrize("text", ["", "zz", "0A00", "0" * 40])
def test_what_is_no_offset_message_id(text: str) -> None:
    with pytest.raises(ProtocolError):
        decode_offset_message_id(text)


def test_unique_keys_are_unique() -> None:
    keys = UniqueKeys()
    made = [keys.make() for _ in range(1000)]
    assert len(set(made)) == 1000
    assert all(len(key) == 32 and key.startswith("7F000001") for key in made)
