import struct
import warnings
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from pamqp import commands, frame

from protocols.amqp.codec import (
    HEARTBEAT_FRAME,
    UnknownMethodError,
    decode_method,
    decode_properties,
    decode_publish,
    encode_frame,
    encode_method,
    encode_properties,
    parse_delivery_mode,
    parse_priority,
)
from protocols.amqp.fields import (
    FieldError,
    decode_name,
    decode_table,
    encode_name,
    encode_short,
    encode_table,
)
from tests.support.amqp_peer import method_frame

NAMES = st.text(max_size=20)
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
VALUES: st.SearchStrategy[Any] = st.recursive(
    st.one_of(
        st.none(),
        st.booleans(),
        st.integers(-(1 << 63), (1 << 63) - 1),
        st.floats(allow_nan=False),
        TEXT,
        st.binary(max_size=30),
    ),
    lambda values: st.one_of(
        st.lists(values, max_size=4), st.dictionaries(TEXT, values, max_size=4)
    ),
    max_leaves=20,
)
TABLES = st.dictionaries(TEXT, VALUES, max_size=6)


class TestTables:
    @pytest.mark.parametrize(
        ("octets", "value"),
        [
            (b"t\x00", False),
            (b"t\x01", True),
            (b"b\xff", -1),
            (b"B\xff", 255),
            (b"s\xff\xfe", -2),
            (b"u\xff\xfe", 65534),
            (b"I\xff\xff\xff\xff", -1),
            (b"i\xff\xff\xff\xff", 4294967295),
            (b"l" + b"\xff" * 8, -1),
            (b"L" + b"\xff" * 8, -1),
            (b"f" + struct.pack(">f", 0.5), 0.5),
            (b"d" + struct.pack(">d", 0.1), 0.1),
            (b"D\x02\x00\x00\x01\x39", 3.13),
            (b"S\x00\x00\x00\x03\xc3\xa4b", "äb"),
            (b"S\x00\x00\x00\x01\xff", b"\xff"),
            (b"x\x00\x00\x00\x01a", b"a"),
            (b"A\x00\x00\x00\x03t\x01V", [True, None]),
            (b"T" + (1 << 40).to_bytes(8, "big"), 1 << 40),
            (b"T" + b"\xff" * 8, (1 << 64) - 1),
            (b"F\x00\x00\x00\x05\x01at\x00V"[:10], {"a": False}),
            (b"V", None),
        ],
    )
    def test_every_type_of_value(self, octets: bytes, value: object) -> None:
        if octets[:1] == b"F":
            octets = b"F\x00\x00\x00\x04\x01at\x00"
        table = b"\x01k" + octets + b"\x01zV"
        data = b"junk" + len(table).to_bytes(4, "big") + table + b"junk"
        assert decode_table(data, 4) == ({"k": value, "z": None}, len(data) - 4)

    @given(TABLES)
    def test_there_and_back(self, table: dict[str, Any]) -> None:
        encoded = encode_table(table)
        assert decode_table(encoded) == (table, len(encoded))

    @given(TABLES)
    def test_pamqp_agrees(self, table: dict[str, Any]) -> None:
        """Whatever else it is, the reference for what clients make of it."""
        command = commands.Queue.Declare(queue="q", arguments={})
        command.arguments = table
        theirs = frame.unmarshal(method_frame(1, command))[2]
        assert theirs.arguments.keys() == table.keys()

    @given(st.binary(max_size=200))
    def test_junk(self, junk: bytes) -> None:
        try:
            table, end = decode_table(junk)
        except FieldError:
            return
        assert end <= len(junk)
        encode_table(table)

    @given(TABLES, st.data())
    def test_cut_anywhere(self, table: dict[str, Any], data: st.DataObject) -> None:
        encoded = encode_table(table)
        cut = data.draw(st.integers(0, len(encoded) - 1))
        with pytest.raises(FieldError):
            decode_table(encoded[:cut])
        shorter = (len(encoded) - 5).to_bytes(4, "big", signed=True)[-4:] + encoded[4:-1]
        if len(encoded) > 4:
            with pytest.raises(FieldError):
                decode_table(shorter)

    @pytest.mark.parametrize(
        "octets",
        [
            b"\x00\x00\x00\x01",
            b"\x00\x00\x00\x01\x00",
            b"\x00\x00\x00\x02\x01a",
            b"\x00\x00\x00\x03\x01\xffV",
            b"\x00\x00\x00\x03\x01aZ",
            b"\x00\x00\x00\x04\x01as\x00\x00",
            b"\x00\x00\x00\x07\x01aA\x00\x00\x00\x01V",
            b"\x00\x00\x00\x08\x01aA\x00\x00\x00\x01s\x00\x00",
            b"\xff\xff\xff\xff",
        ],
    )
    def test_what_leaves_its_bounds(self, octets: bytes) -> None:
        with pytest.raises(FieldError):
            decode_table(octets)

    @pytest.mark.parametrize("letter", [b"F", b"A"])
    def test_nesting_is_limited(self, letter: bytes) -> None:
        def nested(depth: int) -> bytes:
            value = b"V"
            for _ in range(depth):
                name = b"\x01n" if letter == b"F" else b""
                value = letter + (len(value) + len(name)).to_bytes(4, "big") + name + value
            return (len(value) + 2).to_bytes(4, "big") + b"\x01t" + value

        table, _ = decode_table(nested(64))
        assert encode_table(table)
        for depth in (65, 1000, 20_000):
            with pytest.raises(FieldError, match="nested"):
                decode_table(nested(depth))

    def test_what_does_not_fit_becomes_text(self) -> None:
        deep: list[Any] = []
        for _ in range(100):
            deep = [deep]
        table = {"n": 1 << 63, "s": "\udcff\ud800", "k" * 300: object, "d": deep}
        decoded, _ = decode_table(encode_table(table))
        assert decoded["n"] == str(1 << 63)
        assert decoded["s"] == "\ufffd" * 6
        assert max(map(len, decoded)) == 255

    def test_what_is_left_is_not_copied_for_each_item(self) -> None:
        """An array of so many voids took pamqp seconds."""
        copied = 0

        class CountingBytes(bytes):
            def __getitem__(self, key: Any) -> Any:
                nonlocal copied
                item = super().__getitem__(key)
                copied += 1 if isinstance(item, int) else len(item)
                return item

        items = b"V" * 10_000
        value = b"\x01aA" + len(items).to_bytes(4, "big") + items
        table, _ = decode_table(CountingBytes(len(value).to_bytes(4, "big") + value))
        assert len(table["a"]) == len(items)
        assert copied < 2 * len(items)


class TestNames:
    @given(st.binary(max_size=300))
    def test_pass_through(self, name: bytes) -> None:
        assert encode_name(decode_name(name)) == name

    @given(st.text(st.characters(exclude_categories=["Cs"]), max_size=300))
    def test_short_strings_are_cut_between_characters(self, text: str) -> None:
        encoded = encode_short(text)
        assert encoded[0] == len(encoded) - 1
        assert text.startswith(encoded[1:].decode())
        assert len(text.encode()) <= 255 or len(encoded) > 252

    def test_as_long_and_odd_as_rabbitmq_allows(self) -> None:
        name = "a|%*€" + "x" * 248
        command = commands.Queue.Declare(queue="q")
        command.queue = name
        assert decode_method(method_frame(1, command)).queue == name


class TestMethods:
    @pytest.mark.parametrize("index", sorted(commands.INDEX_MAPPING))
    def test_pamqp_agrees(self, index: int) -> None:
        """On every method, with all bits set and with none."""
        for value in (False, True):
            cls: Any = commands.INDEX_MAPPING[index]
            command = cls.__new__(cls)
            for name in command.__slots__:
                type = command.amqp_type(name)
                sample = {"bit": value, "shortstr": "ab", "longstr": b"c", "table": {"a": True}}
                setattr(command, name, sample.get(type, 7))
            octets = method_frame(3, command)
            decoded = decode_method(octets)
            with warnings.catch_warnings(action="ignore"):
                theirs = frame.unmarshal(octets)[2]
            for name in command.__slots__:
                expected = getattr(theirs, name)
                if command.amqp_type(name) == "longstr":
                    expected = expected.encode()
                assert getattr(decoded, name) == expected

    @pytest.mark.parametrize("id", [(50, 99), (99, 10), (0, 0), (30, 10)])
    def test_unknown_ones(self, id: tuple[int, int]) -> None:
        with pytest.raises(UnknownMethodError):
            decode_method(encode_method(1, *id))

    @given(st.sampled_from(sorted(commands.INDEX_MAPPING)), st.binary(max_size=60))
    def test_junk(self, index: int, junk: bytes) -> None:
        try:
            decode_method(encode_method(1, index >> 16, index & 0xFFFF, junk))
        except FieldError:
            pass

    @given(st.binary(max_size=4))
    def test_less_than_a_method(self, junk: bytes) -> None:
        with pytest.raises(FieldError):
            decode_method(encode_frame(1, 1, junk))

    @given(st.binary(max_size=255), st.binary(max_size=255), st.integers(0, 3))
    def test_publish(self, exchange: bytes, routing_key: bytes, bits: int) -> None:
        arguments = (
            b"\x12\x34" + encode_short(exchange) + encode_short(routing_key) + bytes((bits,))
        )
        fields = decode_publish(arguments)
        assert fields == (exchange, routing_key, bool(bits & 1), bool(bits & 2))
        for end in range(len(arguments)):
            with pytest.raises(FieldError):
                decode_publish(arguments[:end])

    def test_heartbeat(self) -> None:
        assert encode_frame(8, 0, b"") == HEARTBEAT_FRAME


PROPERTIES = st.fixed_dictionaries(
    {},
    optional={
        "content_type": TEXT,
        "content_encoding": TEXT,
        "headers": TABLES,
        "delivery_mode": st.integers(0, 255),
        "priority": st.integers(0, 255),
        "correlation_id": TEXT,
        "reply_to": TEXT,
        "expiration": TEXT,
        "message_id": TEXT,
        "timestamp": st.integers(0, (1 << 64) - 1),
        "type": TEXT,
        "user_id": TEXT,
        "app_id": TEXT,
        "cluster_id": TEXT,
    },
)


class TestProperties:
    @given(PROPERTIES)
    @example({})
    def test_there_and_back(self, properties: dict[str, Any]) -> None:
        raw = encode_properties(properties)
        assert decode_properties(raw) == properties
        assert parse_delivery_mode(raw) == properties.get("delivery_mode", 0)
        assert parse_priority(raw) == properties.get("priority", 0)

    def test_pamqp_agrees(self) -> None:
        theirs = commands.Basic.Properties(
            content_type="a", content_encoding="b", headers={"h": "1"}, delivery_mode=2,
            priority=3, correlation_id="c", reply_to="d", expiration="e", message_id="f",
            message_type="g", user_id="h", app_id="i",
        )  # fmt: skip
        decoded = decode_properties(theirs.marshal())
        assert decoded == {
            "content_type": "a", "content_encoding": "b", "headers": {"h": "1"},
            "delivery_mode": 2, "priority": 3, "correlation_id": "c", "reply_to": "d",
            "expiration": "e", "message_id": "f", "type": "g", "user_id": "h", "app_id": "i",
        }  # fmt: skip
        assert encode_properties(decoded) == theirs.marshal()

    @given(st.binary(max_size=100))
    def test_junk(self, junk: bytes) -> None:
        for decode in (decode_properties, parse_delivery_mode, parse_priority):
            try:
                decode(junk)
            except FieldError:
                pass

    @given(PROPERTIES, st.data())
    def test_cut_anywhere(self, properties: dict[str, Any], data: st.DataObject) -> None:
        raw = encode_properties(properties)
        with pytest.raises(FieldError):
            decode_properties(raw[: data.draw(st.integers(0, len(raw) - 1))])
