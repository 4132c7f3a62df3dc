import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import CorruptRecordError
from gateway.messages import Envelope, Properties
from protocols.amqp.codec import encode_properties
from protocols.amqp.language import AmqpLanguage, encode_neutral, encode_stored
from tests.protocols.amqp.test_codec import PROPERTIES, TABLES
from tests.support.amqp_peer import NO_PROPERTIES, PERSISTENT, publish_frames

AMQP = AmqpLanguage()
SHORT = st.none() | st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=60)
SENSIBLE = st.builds(
    Properties,
    content_type=SHORT,
    content_encoding=SHORT,
    headers=TABLES,
    persistent=st.none() | st.booleans(),
    priority=st.none() | st.integers(0, 255),
    correlation_id=SHORT,
    reply_to=SHORT,
    expiration=SHORT,
    message_id=SHORT,
    timestamp=st.none() | st.integers(0, 253402300799),
    type=SHORT,
    user_id=SHORT,
    app_id=SHORT,
)
ANY_CHARACTERS = st.text(st.characters(), max_size=300)  # Surrogates, too.
ANY_TEXT = st.none() | ANY_CHARACTERS
ANY_VALUE: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | ANY_CHARACTERS | st.binary(),
    lambda values: st.lists(values) | st.dictionaries(ANY_CHARACTERS, values),
)
ANY = st.builds(
    Properties,
    content_type=ANY_TEXT,
    content_encoding=ANY_TEXT,
    headers=st.dictionaries(ANY_CHARACTERS, ANY_VALUE, max_size=5),
    persistent=st.none() | st.booleans(),
    priority=st.none() | st.integers(),
    correlation_id=ANY_TEXT,
    reply_to=ANY_TEXT,
    expiration=ANY_TEXT,
    message_id=ANY_TEXT,
    timestamp=st.none() | st.integers(),
    type=ANY_TEXT,
    user_id=ANY_TEXT,
    app_id=ANY_TEXT,
)


class TestProperties:
    @given(SENSIBLE)
    def test_there_and_back(self, properties: Properties) -> None:
        assert AMQP.decode_properties(encode_neutral(properties)) == properties

    @given(ANY)
    def test_of_other_languages_never_fail(self, properties: Properties) -> None:
        """What fits no AMQP field is cut or left out; a delivery must not fail of it."""
        decoded = AMQP.decode_properties(encode_neutral(properties))
        assert decoded.persistent == properties.persistent
        envelope = Envelope(properties.type or "", properties.app_id or "")
        AMQP.parse_stored(encode_stored(envelope, encode_neutral(properties), b""))

    @given(PROPERTIES)
    def test_every_field_has_its_place(self, fields: dict[str, Any]) -> None:
        properties = AMQP.decode_properties(encode_properties(fields))
        for name, value in fields.items():
            if name == "delivery_mode":
                assert properties.persistent is (value == 2)
            elif name != "cluster_id":
                assert getattr(properties, name) == (None if value == "" else value)

    @given(st.binary(max_size=60))
    def test_junk_counts_as_absent(self, junk: bytes) -> None:
        AMQP.decode_properties(junk)
        assert AMQP.decode_properties(b"\x80\x00\x05abc") == Properties()

    def test_a_float_keeps_its_precision(self) -> None:
        raw = encode_neutral(Properties(headers={"pi": math.pi}))
        assert AMQP.decode_properties(raw).headers == {"pi": math.pi}


class TestStoredForm:
    @given(
        st.binary(max_size=255),
        st.binary(max_size=255),
        st.binary(max_size=50).map(lambda id: b"\x00\x80" + bytes((len(id),)) + id),
        st.binary(max_size=300),
    )
    def test_there_and_back(
        self, exchange: bytes, routing_key: bytes, raw: bytes, body: bytes
    ) -> None:
        envelope = AMQP.envelope(exchange, routing_key)
        stored = encode_stored(envelope, raw, body)
        assert AMQP.parse_stored(stored) == (envelope, AMQP.header(raw), body)

    @given(st.binary(max_size=255), st.binary(max_size=300), st.integers(1, 65535))
    def test_is_what_a_publisher_sends(self, key: bytes, body: bytes, channel: int) -> None:
        frames = publish_frames(channel, b"x", key, body, PERSISTENT, mandatory=True)
        envelope, header, stored_body = AMQP.parse_stored(frames)
        assert (envelope.exchange, stored_body) == ("x", body)
        assert envelope is AMQP.envelope(b"x", key)
        assert header is AMQP.header(PERSISTENT)

    def test_a_body_may_be_larger_than_a_frame(self) -> None:
        body = bytes(1 << 20)
        assert AMQP.parse_stored(encode_stored(Envelope("", "q"), NO_PROPERTIES, body))[2] == body

    @given(st.binary(max_size=60))
    def test_junk(self, junk: bytes) -> None:
        try:
            AMQP.parse_stored(junk)
        except CorruptRecordError:
            pass

    @given(st.integers(0, 60))
    def test_cut_short(self, end: int) -> None:
        """A record has its checksum, so this is about not raising anything else."""
        stored = encode_stored(Envelope("exchange", "key"), PERSISTENT, b"the body")
        try:
            AMQP.parse_stored(stored[:end])
        except CorruptRecordError:
            pass

    def test_no_header(self) -> None:
        with pytest.raises(CorruptRecordError):
            AMQP.parse_stored(publish_frames(1, "", "q", b"")[:18])


class TestCaches:
    def test_are_bounded(self) -> None:
        language = AmqpLanguage()
        for number in range(10_000):
            language.envelope(b"", b"%d" % number)
            language.header(b"\x00\x80\x08%08d" % number)
        assert len(language._envelopes) <= 4096
        assert len(language._headers) <= 4096

    def test_are_bounded_in_octets(self) -> None:
        language = AmqpLanguage()
        for number in range(5000):
            language.header(b"\x00\x80\xf0%0240d" % number + b"\0" * 700)
        assert len(language._headers) > 100
        assert sum(map(len, language._headers)) <= 1 << 20

    def test_large_headers_are_not_kept(self) -> None:
        language = AmqpLanguage()
        raw = encode_neutral(Properties(headers={"large": "x" * 5000}))
        assert language.header(raw).properties.headers == {"large": "x" * 5000}
        assert not language._headers
