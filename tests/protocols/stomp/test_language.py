import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CorruptRecordError
from gateway.messages import Header, Message, Properties
from protocols.stomp.codec import encode_frame
from protocols.stomp.errors import RequestRefusedError
from protocols.stomp.language import (
    STOMP,
    StompLanguage,
    encode_header_block,
    headers_from_properties,
    message_headers,
    properties_from_headers,
)

ALL_HEADERS = {
    "own": "1",
    "receipt": "r",
    "transaction": "t",
    "persistent": "true",
    "priority": "5",
    "correlation-id": "c",
    "reply-to": "/queue/r",
    "expiration": "1000",
    "amqp-message-id": "m",
    "timestamp": "1700000000",
    "type": "y",
    "user-id": "guest",
    "app-id": "a",
    "content-encoding": "gzip",
    "content-type": "text/plain",
}
ALL_PROPERTIES = Properties(
    content_type="text/plain",
    content_encoding="gzip",
    headers={"own": "1", "receipt": "r", "transaction": "t"},
    persistent=True,
    priority=5,
    correlation_id="c",
    reply_to="/queue/r",
    expiration="1000",
    message_id="m",
    timestamp=1_700_000_000,
    type="y",
    user_id="guest",
    app_id="a",
)


def test_send_headers_become_properties_and_message_headers_again() -> None:
    assert properties_from_headers({**ALL_HEADERS, "destination": "/queue/q"}) == ALL_PROPERTIES
    assert list(headers_from_properties(ALL_PROPERTIES)) == list(ALL_HEADERS.items())


def test_persistent_is_said_as_rabbitmq_says_it() -> None:
    for text, persistent in (("true", True), ("True", True), ("false", None), ("yes", None)):
        assert properties_from_headers({"persistent": text}).persistent is persistent
    assert list(headers_from_properties(Properties(persistent=False))) == [("persistent", "1")]


@pytest.mark.parametrize("name", ["priority", "timestamp"])
def test_a_number_that_is_none_is_refused(name: str) -> None:
    for text in ("x", "", "-1", "1.5", "99999999999999999999"):
        with pytest.raises(RequestRefusedError, match="Processing error"):
            properties_from_headers({name: text})


def test_only_text_and_whole_numbers_cross_over() -> None:
    properties = Properties(
        headers={
            "text": "a:b",
            "octets": b"\xff",
            "number": -3,
            "truth": True,
            "fraction": 1.5,
            "nothing": None,
            "list": ["x"],
            "table": {"x": 1},
            "content-length": "99",
        },
        reply_to="amq.gen-x",
    )
    header = Header(STOMP, b"", False)
    header.__dict__["properties"] = properties
    assert message_headers(header) == (
        b"text:a\\cb\noctets:\xff\nnumber:-3\nreply-to:/reply-queue/amq.gen-x\n"
    )


def facts(message: Message) -> tuple[str, str, bytes, bool, bytes, Properties]:
    envelope, header, body = message
    return (
        envelope.exchange,
        envelope.routing_key,
        header.raw,
        header.persistent,
        body,
        header.properties,
    )


def test_a_stored_message_is_read_back() -> None:
    raw = b"destination:/exchange/x/k\r\npersistent:true\na:1\n"
    message = StompLanguage().parse_stored(raw + b"\nbody\n\n\0")
    assert facts(message) == (
        "x",
        "k",
        raw,
        True,
        b"body\n\n\0",
        Properties(headers={"a": "1"}, persistent=True),
    )


def test_messages_that_were_read_back_share_their_header() -> None:
    language = StompLanguage()
    first = language.parse_stored(b"destination:/queue/a\n\n1")
    second = language.parse_stored(b"destination:/queue/a\n\n2")
    assert first[0] is second[0]
    assert first[1] is second[1]


@pytest.mark.parametrize(
    "stored", [b"", b"destination:/queue/a\n", b"no colon\n\n", b"a:1\n\nx", b"destination:/x\n\n"]
)
def test_what_is_no_message_is_corrupt(stored: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        StompLanguage().parse_stored(stored)


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_a_header_block_is_read_back(headers: dict[str, str]) -> None:
    headers.pop("content-length", None)
    block = encode_header_block(headers)
    assert b"X\n" + block + b"\n\0\n" == encode_frame("X", headers.items())
    if not {"priority", "timestamp", "destination"} & headers.keys():
        assert STOMP.decode_properties(block) == properties_from_headers(headers)


LINES = st.sampled_from(
    (
        b"receipt:%b\n", b"receipt:%b\n", b"receipt: x\n", b"receipt:a\\cb\n", b"own:1\n",
        b"persistent:true\n", b"receipt:\n", b"xreceipt:1\n", b"priority:3\n",
    )
)  # fmt: skip


@given(before=st.lists(LINES, max_size=3), after=st.lists(LINES, max_size=3))
def test_what_differs_in_its_receipt_is_read_as_what_is_read_alone(
    before: list[bytes], after: list[bytes]
) -> None:
    language = StompLanguage()
    lines = b"".join([*before, b"destination:/queue/a\n", *after])
    for number in (b"1", b"22", b"r-3"):
        stored = lines.replace(b"%b", number) + b"\nbody"
        read, alone = language.parse_stored(stored), StompLanguage().parse_stored(stored)
        assert (read[0].routing_key, read[2]) == (alone[0].routing_key, alone[2])
        assert message_headers(read[1]) == message_headers(alone[1])
        assert (read[1].raw, read[1].persistent) == (alone[1].raw, alone[1].persistent)
        assert read[1].properties == alone[1].properties
