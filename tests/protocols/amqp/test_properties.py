from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pamqp import commands

from protocols.amqp.codec import decode_properties, encode_properties, locate_properties
from protocols.amqp.fields import FieldError, encode_short
from protocols.amqp.properties import Checked, check, needs_checks
from protocols.amqp.replies import AmqpError
from tests.support.amqp_peer import AmqpBroker, AmqpPeer


def field(name: bytes, typed_value: bytes) -> bytes:
    return encode_short(name) + typed_value


def sized(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def text(value: bytes) -> bytes:
    return b"S" + sized(value)


def array(*items: bytes) -> bytes:
    return b"A" + sized(b"".join(items))


def headers(*fields: bytes, after: bytes = b"") -> bytes:
    """Properties with these header fields, and a delivery mode behind them."""
    return b"\x30\x00" + sized(b"".join(fields)) + b"\x02" + after


# Octets, ints and doubles of every width: a decoder would change the types of some.
TYPED = (
    field(b"octet", b"B\x05") + field(b"long", b"l" + bytes(8)) + field(b"float", b"f" + bytes(4))
)


class TestCheck:
    @pytest.mark.parametrize("expiration", ["0", "60000", "315360000000", "+7", "007"])
    def test_an_expiration_that_is_a_number_of_milliseconds(self, expiration: str) -> None:
        raw = encode_properties({"expiration": expiration})
        assert needs_checks(raw)
        assert check(raw, "guest") == Checked(raw)

    @pytest.mark.parametrize(
        ("expiration", "reason"),
        [
            ("", "no_integer"),
            ("soon", "no_integer"),
            (" 1", "no_integer"),
            ("1.5", '{leftover_string,".5"}'),
            ("10s", '{leftover_string,"s"}'),
            ("-1", "{value_negative,-1}"),
            ("315360000001", "{value_too_large,315360000001}"),
        ],
    )
    def test_an_expiration_that_is_not(self, expiration: str, reason: str) -> None:
        raw = encode_properties({"expiration": expiration})
        with pytest.raises(AmqpError) as refused:
            check(raw, "guest")
        assert refused.value.text == (
            f"PRECONDITION_FAILED - invalid expiration '{expiration}': {reason}"
        )
        assert (refused.value.code, refused.value.method) == (406, (60, 40))

    def test_a_user_id_is_the_users_own(self) -> None:
        raw = encode_properties({"user_id": "guest"})
        assert needs_checks(raw)
        assert check(raw, "guest") == Checked(raw)
        with pytest.raises(AmqpError) as refused:
            check(raw, "somebody")
        assert refused.value.text == (
            "PRECONDITION_FAILED - user_id property set to 'guest'"
            " but authenticated user was 'somebody'"
        )

    def test_cc_stays_and_bcc_goes(self) -> None:
        cc = field(b"CC", array(text(b"c1"), text(b"c2")))
        bcc = field(b"BCC", array(text(b"b1")))
        raw = headers(cc, TYPED, bcc)
        assert needs_checks(raw)
        assert check(raw, "guest") == Checked(headers(cc, TYPED), ("c1", "c2", "b1"))
        assert check(headers(bcc), "guest") == Checked(headers(), ("b1",))

    def test_what_follows_the_headers_stays(self) -> None:
        raw = encode_properties(
            {"content_type": "a/b", "headers": {"BCC": ["k"]}, "correlation_id": "7", "app_id": "x"}
        )
        stored, keys = check(raw, "guest")
        assert keys == ("k",)
        assert decode_properties(stored) == decode_properties(raw) | {"headers": {}}

    def test_only_texts_are_routing_keys(self) -> None:
        raw = headers(field(b"CC", array(b"I\0\0\0\1", text(b"k"), b"V")))
        assert check(raw, "guest").more_keys == ("k",)

    @pytest.mark.parametrize("name", ["CC", "BCC"])
    @pytest.mark.parametrize(
        ("value", "type"),
        [
            (text(b"k"), "longstr"),
            (b"F\0\0\0\0", "table"),
            (b"t\1", "bool"),
            (b"B\1", "unsignedbyte"),
            (b"V", "void"),
        ],
    )
    def test_other_types_are_refused(self, name: str, value: bytes, type: str) -> None:
        with pytest.raises(AmqpError) as refused:
            check(headers(field(name.encode(), value)), "guest")
        assert refused.value.text == (
            "PRECONDITION_FAILED - invalid message:"
            f' {{unacceptable_type_in_header,"{name}",{type}}}'
        )

    @pytest.mark.parametrize(
        "raw", [headers(TYPED), b"\0\0", encode_properties({"correlation_id": "CC", "priority": 3})]
    )
    def test_most_properties_need_none(self, raw: bytes) -> None:
        assert not needs_checks(raw)
        assert check(raw, "guest") == Checked(raw)

    def test_a_text_that_looks_like_one_is_none(self) -> None:
        raw = headers(field(b"x", text(b"\x02CC")))
        assert needs_checks(raw)
        assert check(raw, "guest") == Checked(raw)

    @given(st.binary(max_size=80))
    def test_no_input_raises_anything_else(self, data: bytes) -> None:
        for raw in (b"\x21\x10" + data, b"\xff\xfc" + data, headers(data)):
            try:
                check(raw, "guest")
            except (AmqpError, FieldError):
                pass

    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "content_type": st.text(max_size=9),
                "headers": st.dictionaries(st.text(max_size=5), st.integers(-9, 9)),
                "priority": st.integers(0, 255),
                "timestamp": st.integers(0, 99),
                "reply_to": st.text(max_size=9),
                "app_id": st.text(max_size=9),
            },
        )
    )
    def test_properties_are_where_they_are_said_to_be(self, properties: dict[str, Any]) -> None:
        raw = encode_properties(properties)
        places = locate_properties(raw)
        assert set(places) == set(properties)
        assert b"".join(raw[place] for place in places.values()) == raw[2:]


class TestPublish:
    @pytest.fixture
    def peer(self, broker: AmqpBroker) -> AmqpPeer:
        peer = broker.connect()
        for name in ("to", "cc", "bcc"):
            peer.declare(name)
        return peer

    def test_goes_to_all_and_tells_nobody_of_bcc(self, peer: AmqpPeer) -> None:
        cc = field(b"CC", array(text(b"cc"), text(b"to")))
        raw = headers(cc, TYPED, field(b"BCC", array(text(b"bcc"))))
        peer.publish("to", b"hello", raw)
        peer.publish("to", b"hello", raw)
        for name in ("to", "cc", "bcc"):
            got = peer.get(name)
            assert (got.command.routing_key, got.body) == ("to", b"hello")
            assert got.properties == headers(cc, TYPED)
            assert peer.get(name).body == b"hello"
            assert peer.get(name).name == "Basic.GetEmpty"

    def test_the_stored_form_has_no_bcc_either(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        peer.declare(durable=True)
        peer.publish("", b"hello", headers(TYPED, field(b"BCC", array(text(b"q")))))
        broker.restart()
        assert broker.connect().get().properties == headers(TYPED)

    def test_each_exchange_looks_at_all_keys(self, peer: AmqpPeer) -> None:
        peer.call(
            commands.Exchange.Declare(
                exchange="e", exchange_type="topic", arguments={"alternate-exchange": "amq.fanout"}
            )
        )
        peer.call(commands.Queue.Bind(queue="cc", exchange="e", routing_key="a.*"))
        peer.call(commands.Queue.Bind(queue="bcc", exchange="amq.fanout"))
        peer.publish("x", b"1", headers(field(b"CC", array(text(b"a.b")))), exchange="e")
        peer.publish("x", b"2", headers(field(b"CC", array(text(b"y")))), exchange="e")
        assert peer.get("cc").body == b"1"
        assert peer.get("bcc").body == b"2"

    def test_mandatory_looks_at_all_keys(self, peer: AmqpPeer) -> None:
        raw = headers(field(b"BCC", array(text(b"bcc"))))
        peer.publish("nowhere", b"", raw, mandatory=True)
        assert peer.receive_all() == []
        peer.publish("nowhere", b"", headers(field(b"CC", array())), mandatory=True)
        assert peer.receive().name == "Basic.Return"

    def test_in_a_transaction_as_well(self, peer: AmqpPeer) -> None:
        peer.call(commands.Tx.Select())
        peer.publish("to", b"hello", headers(field(b"BCC", array(text(b"bcc")))))
        peer.call(commands.Tx.Commit())
        assert peer.get("bcc").properties == headers()

    def test_a_bad_one_closes_the_channel(self, peer: AmqpPeer) -> None:
        for _ in range(2):
            peer.publish("to", b"hello", encode_properties({"expiration": "soon"}))
            assert peer.failure() == (
                "Channel.Close",
                406,
                "PRECONDITION_FAILED - invalid expiration 'soon': no_integer",
            )
        assert peer.get("to").name == "Basic.GetEmpty"

    def test_a_missing_exchange_is_told_first(self, peer: AmqpPeer) -> None:
        peer.publish("to", b"", encode_properties({"expiration": "soon"}), exchange="none")
        assert peer.failure()[1] == 404

    def test_a_table_that_ends_too_soon(self, peer: AmqpPeer) -> None:
        peer.publish("to", b"", b"\x20\x00\0\0\0\x05\x02CC")
        assert peer.failure()[1] == 501
