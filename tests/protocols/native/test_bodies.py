import msgspec
import pytest

from protocols.native.bodies import decode_body, encode_body
from rosettamq.errors import ProtocolError


class Document(msgspec.Struct):
    number: int = 0


def test_there_and_back() -> None:
    assert decode_body(encode_body({"number": "7", "more": [1]}), Document) == Document(7)


@pytest.mark.parametrize("body", [b"", b"[]", b'{"number":[]}', b"\xff", b"[" * 9999])
def test_what_is_no_such_document(body: bytes) -> None:
    with pytest.raises(ProtocolError, match="the body cannot be read"):
        decode_body(body, Document)


def test_a_body_has_a_limit() -> None:
    """Each octet of a set of acknowledgements names eight offsets."""
    with pytest.raises(ProtocolError, match="the body has 3 bytes; the limit is 2"):
        decode_body(b"{ }", Document, 2)
    with pytest.raises(ProtocolError, match="the limit is 1048576"):
        decode_body(bytes((1 << 20) + 1), Document)
