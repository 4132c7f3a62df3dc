import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import Language
from rosettamq.remoting.command import HeaderForm, RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame

# The fact sheet's vector, 1.4.
BINARY = bytes.fromhex(
    "00000026 01000022 0069 03 01df 00000007 00000000 00000000 0000000d"
    "0005 746f706963 00000002 5431"
)

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
INT32 = st.integers(-(1 << 31), (1 << 31) - 1)


def commands(code: st.SearchStrategy[int]) -> st.SearchStrategy[RemotingCommand]:
    return st.builds(
        RemotingCommand,
        code=code,
        ext_fields=st.dictionaries(TEXT, TEXT, max_size=4),
        body=st.binary(max_size=40),
        remark=st.none() | TEXT.filter(bool),
        opaque=INT32,
        flag=st.integers(0, 3),
        version=st.integers(0, 1000),
        language=st.sampled_from(Language),
    )


def json_frame(header: bytes, body: bytes = b"") -> bytes:
    size = len(header)
    return (4 + size + len(body)).to_bytes(4, "big") + size.to_bytes(4, "big") + header + body


def read_one(data: bytes) -> RemotingCommand:
    (command,) = FrameReader().feed(data)
    return command


def test_the_binary_vector() -> None:
    command = RemotingCommand(105, {"topic": "T1"}, opaque=7, form=HeaderForm.BINARY)
    assert encode_frame(command) == BINARY
    assert read_one(BINARY) == command


def test_ext_values_are_written_as_text_and_absent_members_are_left_out() -> None:
    frame = encode_frame(RemotingCommand(0, {"queueId": "1"}, opaque=7, flag=1))
    assert json.loads(frame[8:]) == {
        "code": 0,
        "extFields": {"queueId": "1"},
        "flag": 1,
        "language": "PYTHON",
        "opaque": 7,
        "version": 479,
    }


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (b'"text"', "text"),
        (b"0", "0"),
        (b"-9223372036854775808", "-9223372036854775808"),
        (b"false", "false"),
        (b"true", "true"),
        (b"null", None),
        (b"1.5", "1.5"),
        (b'"\\ud800"', "?"),
    ],
)
def test_ext_values_of_any_type_are_read_as_text(value: bytes, text: str | None) -> None:
    """Clients put numbers and booleans where text belongs (the fact sheet, 1.3)."""
    command = read_one(json_frame(b'{"code":10,"extFields":{"k":' + value + b"}}\n"))
    assert command.ext_fields.get("k") == text


def test_a_header_as_the_cpp_client_writes_it() -> None:
    header = b'{"code":"34","language":"CPP","opaque":"3","remark":"","version":63,"flag":0}\n'
    command = read_one(json_frame(header, b"{}\n"))
    assert (command.code, command.opaque, command.version) == (34, 3, 63)
    assert command.language is Language.CPP
    assert command.body == b"{}\n"


def test_an_unknown_language_does_not_fail() -> None:
    assert read_one(json_frame(b'{"code":1,"language":"COBOL"}')).language is Language.OTHER


@given(commands(INT32))
def test_json_there_and_back(command: RemotingCommand) -> None:
    assert read_one(encode_frame(command)) == command


@given(commands(st.integers(-(1 << 15), (1 << 15) - 1)))
def test_binary_there_and_back(command: RemotingCommand) -> None:
    command.form = HeaderForm.BINARY
    assert read_one(encode_frame(command)) == command


@given(st.lists(commands(INT32), max_size=4), st.lists(st.integers(1, 30), min_size=1))
def test_where_the_stream_is_cut_never_matters(
    sent: list[RemotingCommand], sizes: list[int]
) -> None:
    stream = b"".join(map(encode_frame, sent))
    reader = FrameReader()
    received: list[RemotingCommand] = []
    at = turn = 0
    while at < len(stream):
        size = sizes[turn % len(sizes)]
        received += reader.feed(stream[at : at + size])
        at += size
        turn += 1
    assert received == sent


@given(st.binary(max_size=200))
def test_junk_raises_only_a_protocol_error(junk: bytes) -> None:
    for data in (junk, json_frame(junk), b"\0\0\1\0\1\0\0" + junk):
        try:
            list(FrameReader().feed(data))
        except ProtocolError:
            pass


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    ),
    st.sampled_from(["code", "opaque", "flag", "version", "language", "remark", "extFields"]),
)
def test_any_json_is_a_command_or_a_protocol_error(value: object, member: str) -> None:
    header = json.dumps({"code": 10, member: value}).encode()
    try:
        encode_frame(read_one(json_frame(header)))
    except ProtocolError:
        pass


@pytest.mark.parametrize(
    "data",
    [
        b"\x01\x00\x00\x01\x00\x00\x00\x00",  # One byte past the limit.
        b"\x00\x00\x00\x03\x00\x00\x00\x00",
        b"\xff\xff\xff\xff\x00\x00\x00\x00",
        b"\x00\x00\x00\x08\x00\x00\x00\x05",  # A header longer than its frame.
        json_frame(b"[" * 100_000),
        json_frame(b'{"code":' + b"1" * 5000 + b"}"),
        json_frame(b"{}"),
    ],
)
def test_what_is_no_frame(data: bytes) -> None:
    with pytest.raises(ProtocolError):
        list(FrameReader().feed(data))
