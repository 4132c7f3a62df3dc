from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.stomp.codec import (
    Frame,
    FrameReader,
    encode_frame,
    find_header_end,
    parse_header_block,
)
from protocols.stomp.errors import StompProtocolError

# What the octets mean, and how we would write that ourselves.
FRAMES = [
    ("BEGIN", {"transaction": "t1"}, b"", b"BEGIN\ntransaction:t1\n\n\0\n"),
    ("DISCONNECT", {}, b"", b"DISCONNECT\n\n\0\n"),
    (
        "SEND",
        {"destination": "/queue/a"},
        b"hello",
        b"SEND\ndestination:/queue/a\ncontent-length:5\n\nhello\0\n",
    ),
    (
        "SEND",
        {"destination": "/queue/a"},
        b"nul \0 inside",
        b"SEND\ndestination:/queue/a\ncontent-length:12\n\nnul \0 inside\0\n",
    ),
    (
        "MESSAGE",
        {"a:b": "c\nd\\e\rf", "empty": "", "": "no name"},
        b"",
        b"MESSAGE\na\\cb:c\\nd\\\\e\\rf\nempty:\n:no name\n\n\0\n",
    ),
    ("SEND", {"h": " spaces stay "}, b"", b"SEND\nh: spaces stay \n\n\0\n"),
    ("SEND", {"emoji": "\U0001f5ff"}, b"", b"SEND\nemoji:\xf0\x9f\x97\xbf\n\n\0\n"),
    ("SEND", {"octets": "\udcff"}, b"", b"SEND\noctets:\xff\n\n\0\n"),
]
# Octets that mean the same as others.
VARIANTS = [
    (b"SEND\r\ndestination:a\r\n\r\nbody\0", "SEND", {"destination": "a"}, b"body"),
    (b"SEND\ndestination:a\r\n\nbody\0", "SEND", {"destination": "a"}, b"body"),
    (b"SEND\r\na:1\n\r\n\0", "SEND", {"a": "1"}, b""),
    (b"\n\r\n\0\nSEND\na:1\n\n\0", "SEND", {"a": "1"}, b""),
    (b"SEND\na:1\na:2\n\n\0", "SEND", {"a": "1"}, b""),
    (b"SEND\na:b:c\n\n\0", "SEND", {"a": "b:c"}, b""),
    (b"SEND\ncontent-length: 2 \n\nab\0", "SEND", {"content-length": " 2 "}, b"ab"),
    (b"ACK\ncontent-length:9\n\nab\0", "ACK", {"content-length": "9"}, b"ab"),
    (b"SEND\na:1\n\n\n\nbody\0", "SEND", {"a": "1"}, b"\n\nbody"),
]
FATAL = [
    b"SEND\nno colon\n\n\0",
    b"SEND\na:\\x\n\n\0",
    b"SEND\na:b\\\n\n\0",
    b"SEND\na:b\rc\n\n\0",
    b"SE\rND\na:b\n\n\0",
    b"SEND\ncontent-length:two\n\nab\0",
    b"SEND\ncontent-length:-1\n\nab\0",
    b"SEND\ncontent-length:2\n\nabc\0",
    b"ACK\nid:1\0",
    b"SEND\ncontent-length:99999999\n\n",
    b"X" * 2_000,
    b"SEND\n" + b"a:1\n" * 20 + b"\n\0",
]


def reader() -> FrameReader:
    return FrameReader(max_frame_size=1_000, max_header_count=10)


def read_all(pieces: list[bytes]) -> list[Frame]:
    frames = []
    frame_reader = reader()
    for piece in pieces:
        frame_reader.feed(piece)
        while (frame := frame_reader.next_frame()) is not None:
            frames.append(frame)
    return frames


def plain(frame: Frame) -> tuple[str, dict[str, str], bytes]:
    headers = {name: v for name, v in frame.headers.items() if name != "content-length"}
    return frame.command, headers, frame.body


@pytest.mark.parametrize(("command", "headers", "body", "octets"), FRAMES)
def test_encodes(command: str, headers: dict[str, str], body: bytes, octets: bytes) -> None:
    assert encode_frame(command, headers.items(), body) == octets


@pytest.mark.parametrize(("command", "headers", "body", "octets"), FRAMES)
def test_decodes(command: str, headers: dict[str, str], body: bytes, octets: bytes) -> None:
    expected = [(command, headers, body)]
    assert [plain(frame) for frame in read_all([octets])] == expected
    octet_by_octet = [octets[i : i + 1] for i in range(len(octets))]
    assert [plain(frame) for frame in read_all(octet_by_octet)] == expected
    assert [plain(frame) for frame in read_all([octets + octets[:-3]])] == expected


@pytest.mark.parametrize(("octets", "command", "headers", "body"), VARIANTS)
def test_understands(octets: bytes, command: str, headers: dict[str, str], body: bytes) -> None:
    for pieces in ([octets], [octets[i : i + 1] for i in range(len(octets))]):
        (frame,) = read_all(pieces)
        assert (frame.command, frame.headers, frame.body) == (command, headers, body)


@pytest.mark.parametrize("octets", FATAL)
def test_refuses(octets: bytes) -> None:
    with pytest.raises(StompProtocolError):
        read_all([octets])
    with pytest.raises(StompProtocolError):
        read_all([octets[i : i + 1] for i in range(len(octets))])


def test_the_header_block_is_kept_as_it_came() -> None:
    (frame,) = read_all([b"SEND\r\nb:\\c\r\na:1\nb:2\n\nx\0"])
    assert frame.header_block == b"b:\\c\r\na:1\nb:2\n"
    assert parse_header_block(frame.header_block) == {"b": ":", "a": "1"}


def test_an_unfinished_header_is_bounded() -> None:
    frame_reader = reader()
    for _ in range(1_000):
        frame_reader.feed(b"x")
        assert frame_reader.next_frame() is None
    with pytest.raises(StompProtocolError):
        frame_reader.feed(b"x")


def test_header_end() -> None:
    assert find_header_end(b"a:1\n\nbody", 0) == (4, 5)
    assert find_header_end(b"a:1\r\n\r\nbody\n\n", 0) == (5, 7)
    assert find_header_end(b"a:1\n", 0) == (-1, -1)


texts = st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20)
commands = st.text(
    st.characters(codec="utf-8", exclude_characters="\0\r\n"), min_size=1, max_size=10
)


@given(
    frames=st.lists(
        st.tuples(commands, st.dictionaries(texts, texts, max_size=5), st.binary(max_size=50)),
        max_size=5,
    ),
    cuts=st.lists(st.integers(0, 2_000), max_size=10),
)
def test_what_is_written_is_read_however_it_is_cut(
    frames: list[tuple[str, dict[str, str], bytes]], cuts: list[int]
) -> None:
    frames = [
        (
            "SEND" if body else command,
            {name: v for name, v in headers.items() if name != "content-length"},
            body,
        )
        for command, headers, body in frames
    ]
    octets = b"".join(encode_frame(command, h.items(), body) for command, h, body in frames)
    edges = [0, *sorted(cut for cut in cuts if cut <= len(octets)), len(octets)]
    pieces = [octets[a:b] for a, b in pairwise(edges)]
    assert [plain(frame) for frame in read_all(pieces)] == frames


@given(
    st.lists(
        st.one_of(
            st.binary(max_size=30),
            st.sampled_from([b"SEND\n", b"\n\n", b"\0", b"a:1\n", b"content-length:3\n", b"\r\n"]),
        ),
        max_size=20,
    )
)
def test_junk_raises_nothing_but_the_protocols_error(pieces: list[bytes]) -> None:
    """And the same frames come out, or the same error, if it all comes at once."""

    def outcome(chunks: list[bytes]) -> tuple[list[Frame], bool]:
        frames: list[Frame] = []
        frame_reader = reader()
        try:
            for chunk in chunks:
                frame_reader.feed(chunk)
                while (frame := frame_reader.next_frame()) is not None:
                    frames.append(frame)
        except StompProtocolError:
            return frames, True
        return frames, False

    assert outcome(pieces) == outcome([b"".join(pieces)])
