import pytest

from protocols.amqp.codec import HEARTBEAT_FRAME, encode_frame
from protocols.amqp.framing import Input, missing, read_frame
from protocols.amqp.replies import AmqpError

FRAME = encode_frame(1, 7, b"payload")


def test_a_frame_is_found_where_it_begins() -> None:
    assert read_frame(b"xx" + FRAME + b"yy", 2, 8192) == (1, 7, b"payload", FRAME)


@pytest.mark.parametrize("size", range(len(FRAME)))
def test_no_part_of_a_frame_is_a_frame(size: int) -> None:
    part = FRAME[:size]
    assert read_frame(part, 0, 8192) is None
    # Until the head is there nobody can know more than what the head lacks.
    assert missing(part, 0) == (len(FRAME) - size if size >= 7 else 7 - size)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (encode_frame(1, 0, bytes(101)), "all octets = <<>>: {frame_too_large,101,92}"),
        (FRAME[:-1] + b"\x00", "{invalid_frame_end_marker,0}"),
        (encode_frame(5, 1, b""), "unknown_frame"),
        (encode_frame(1, 1, b"\0\x3c\0"), "type 1, all octets = <<0,60,0>>: unknown_frame"),
    ],
)
def test_what_cannot_be_a_frame_is_told(octets: bytes, text: str) -> None:
    with pytest.raises(AmqpError) as raised:
        read_frame(octets, 0, 100)
    assert raised.value.code == 501
    assert text in str(raised.value)


def test_too_large_a_frame_is_told_before_it_has_come() -> None:
    with pytest.raises(AmqpError):
        read_frame(b"\x01\x00\x00\x00\x00\x00\x65", 0, 100)


def test_input_is_joined_once_when_enough_has_come() -> None:
    input = Input()
    input.keep(HEARTBEAT_FRAME[:3], 5)
    assert input.gather(HEARTBEAT_FRAME[3:5]) == b""
    assert input.size == 5
    assert input.gather(HEARTBEAT_FRAME[5:] + b"more") == HEARTBEAT_FRAME + b"more"
    assert input.parts == []
