import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CorruptRecordError
from gateway.messages import Envelope, Header, Message, Properties
from protocols.native.language import NATIVE, NativeHeader, Place, message_tag, to_record, to_stored
from rosettamq.remoting.properties import RESERVED, decode_properties, encode_properties
from rosettamq.remoting.records import Record, decode_record
from tests.support.native_peer import OtherLanguage, packed

PLACE = Place("T", 5, 1024, 1_700_000_000_000, ("10.0.0.2", 10911))
# What Java's reader would not give back cannot be said: empty values, the two separators.
TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x01\x02"), min_size=1, max_size=9
)
NAMES = {"content-type", "content-encoding", "persistent", "priority", "reply-to", "expiration"}
NAMES |= {"timestamp", "type", "user-id", "app-id"} | RESERVED
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | TEXT,
    content_encoding=st.none() | TEXT,
    headers=st.dictionaries(TEXT.filter(lambda name: name not in NAMES), TEXT, max_size=4),
    persistent=st.booleans(),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | TEXT,
    reply_to=st.none() | TEXT,
    expiration=st.none() | TEXT,
    message_id=st.none() | TEXT,
    timestamp=st.none() | st.integers(0, 1 << 40),
    type=st.none() | TEXT,
    user_id=st.none() | TEXT,
    app_id=st.none() | TEXT,
)


def other(properties: Properties, exchange: str = "", key: str = "T", body: bytes = b"") -> Message:
    language = OtherLanguage()
    language.properties = properties
    return Envelope(exchange, key), Header(language, b"", True), body


def texts(message: Message) -> dict[str, str]:
    return decode_properties(decode_record(to_record(message, PLACE)).properties)


@given(PROPERTIES)
def test_properties_there_and_back(properties: Properties) -> None:
    record = decode_record(to_record(other(properties), PLACE))
    assert NATIVE.decode_properties(record.properties) == properties


@given(st.binary(max_size=30), st.booleans())
def test_stored_there_and_back(body: bytes, is_exchange: bool) -> None:
    properties = encode_properties({"TAGS": "a", "x": "y"})
    sent = Record(
        "T", body, properties, int(is_exchange), flag=7, born_timestamp=5, reconsume_times=2
    )
    message, stored = to_stored(sent)
    again = NATIVE.parse_stored(stored)
    for envelope, header, plain in (message, again):
        assert (envelope.exchange, envelope.routing_key) == (
            ("T", "a") if is_exchange else ("", "T")
        )
        assert isinstance(header, NativeHeader)
        assert (header.raw, header.persistent, plain) == (properties, True, body)
    assert to_record(message, PLACE) == to_record(again, PLACE)


def test_the_stored_form_is_stamped_when_read() -> None:
    message, stored = to_stored(Record("T", b"x"))
    assert decode_record(stored) == Record("T", b"x")
    record = decode_record(to_record(message, PLACE, reconsume_times=3))
    assert (record.queue_offset, record.log_offset) == (5, 1024)
    assert (record.store_host, record.store_timestamp) == (PLACE.store_host, 1_700_000_000_000)
    assert (record.queue_id, record.reconsume_times) == (0, 3)


@given(st.binary(max_size=120))
def test_junk_is_a_corrupt_record(junk: bytes) -> None:
    with pytest.raises(CorruptRecordError):
        NATIVE.parse_stored(junk)


@pytest.mark.parametrize("body", [b"", b"plain", packed(b"x")[:-1], packed(b"x") + b"y"])
def test_a_body_that_cannot_be_unpacked_stays_as_it_is(body: bytes) -> None:
    message, _ = to_stored(Record("T", body, system_flag=1))
    assert message[2] == body
    record = decode_record(to_record(message, PLACE))
    assert (record.body, record.system_flag) == (body, 1)


def test_a_kind_that_we_cannot_unpack_stays_as_it_is() -> None:
    body = packed(b"x")
    message, _ = to_stored(Record("T", body, system_flag=0x201))
    assert message[2] == body


def test_a_small_body_that_unpacks_to_a_huge_one_is_not_unpacked() -> None:
    body = packed(bytes(20 * 1024 * 1024))
    message, _ = to_stored(Record("T", body, system_flag=1))
    assert message[2] == body


def test_the_routing_key_is_the_tag() -> None:
    message = other(Properties(headers={"TAGS": "h"}), "E", "a.b")
    assert (texts(message)["TAGS"], message_tag(message)) == ("a.b", "a.b")
    assert "TAGS" not in texts(other(Properties(), "", "T"))


def test_of_the_default_exchange_a_header_is_the_tag() -> None:
    """There the routing key is the queue's name, which no consumer would filter by."""
    message = other(Properties(headers={"TAGS": "h"}))
    assert (texts(message)["TAGS"], message_tag(message)) == ("h", "h")


def test_values_of_other_types_are_text() -> None:
    headers = {"i": 5, "b": True, "f": 1.5, "l": [1, "x"], "e": "", "WAIT": "false"}
    assert texts(other(Properties(headers=headers, persistent=True))) == {  # type: ignore[arg-type]
        "i": "5",
        "b": "true",
        "f": "1.5",
        "l": '[1,"x"]',
    }


def test_what_does_not_fit_is_left_out() -> None:
    headers = {"big": "x" * 40_000, "small": "y"}
    assert texts(other(Properties(headers=headers, persistent=True))) == {"small": "y"}  # type: ignore[arg-type]


def test_a_native_message_says_when_it_is_not_persistent() -> None:
    sent = Record("T", b"", encode_properties({"persistent": "false"}))
    (_, header, _), _ = to_stored(sent)
    assert not header.persistent
    assert header.properties.persistent is False
