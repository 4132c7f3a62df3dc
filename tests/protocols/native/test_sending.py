import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from rosettamq.remoting.codes import CommandFlag, RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.ids import decode_offset_message_id
from rosettamq.remoting.properties import decode_properties
from rosettamq.remoting.records import BatchedMessage, encode_batch
from tests.support.native_peer import (
    NativeBroker,
    Peer,
    bodies,
    packed,
    pull_header,
    records,
    send_header,
)

SEND = RequestCode.SEND_MESSAGE
SEND_V2 = RequestCode.SEND_MESSAGE_V2
BATCH = RequestCode.SEND_BATCH_MESSAGE


def pulled(peer: Peer, topic: str) -> RemotingCommand:
    return peer.call(RequestCode.PULL_MESSAGE, pull_header("G", topic, 0))


@pytest.mark.parametrize("code", [SEND, SEND_V2])
def test_a_send_creates_its_topic_and_tells_where_it_went(
    broker: NativeBroker, peer: Peer, code: int
) -> None:
    header = send_header("T", "TAGS\x01a\x02")
    ext = header.to_ext() if code == SEND else header.to_letters()
    response = peer.call(code, ext, b"hello")
    assert response.code == 0
    fields = response.ext_fields
    assert (fields["queueId"], fields["queueOffset"]) == ("0", "0")
    assert (fields["MSG_REGION"], fields["TRACE_ON"]) == ("DefaultRegion", "true")
    assert decode_offset_message_id(fields["msgId"])[0] == ("10.0.0.2", 10911)
    assert broker.virtual_host.queues["T"].durable
    (record,) = records(pulled(peer, "T"))
    assert (record.topic, record.body, record.flag) == ("T", b"hello", 7)
    assert record.born_host == ("10.0.0.1", 40_000)
    assert (record.store_host, record.queue_offset) == (("10.0.0.2", 10911), 0)
    assert record.born_timestamp == 1_600_000_000_000
    assert record.store_timestamp == 1_700_000_000_000
    assert decode_properties(record.properties) == {
        "TAGS": "a",
        "UNIQ_KEY": fields["transactionId"],
    }


def test_the_answer_waits_for_the_disk(broker: NativeBroker, peer: Peer) -> None:
    broker.disk.held = True
    opaque = peer.request(SEND_V2, send_header("T").to_letters(), b"x")
    assert peer.received() == []
    broker.disk.release()
    (response,) = peer.received()
    assert (response.opaque, response.code) == (opaque, 0)


def test_a_one_way_send_is_stored(peer: Peer) -> None:
    ext = send_header("T").to_letters()
    peer.send(RemotingCommand(SEND_V2, ext, b"x", flag=CommandFlag.ONE_WAY))
    assert peer.received() == []
    assert bodies(pulled(peer, "T")) == [b"x"]


@pytest.mark.parametrize(
    ("code", "extra"), [(BATCH, {}), (SEND_V2, {"m": "true"}), (SEND_V2, {"m": "1"})]
)
def test_a_batch(peer: Peer, code: int, extra: dict[str, str]) -> None:
    """Also as the C++ client sends it, with "1" for true (the fact sheet, 8)."""
    batch = encode_batch([BatchedMessage(b"1", b"UNIQ_KEY\x01k1\x02"), BatchedMessage(b"2")])
    response = peer.call(code, send_header("T").to_letters() | extra, batch)
    first, second = (
        decode_offset_message_id(part)[1] for part in response.ext_fields["msgId"].split(",")
    )
    assert first < second
    assert response.ext_fields["queueOffset"] == "0"
    assert bodies(pulled(peer, "T")) == [b"1", b"2"]


def test_a_body_that_only_looks_like_a_batch(peer: Peer) -> None:
    peer.call(SEND_V2, send_header("T").to_letters() | {"m": "1"}, b"no batch")
    assert bodies(pulled(peer, "T")) == [b"no batch"]
    response = peer.call(BATCH, send_header("T").to_letters(), b"no batch")
    assert response.code == 29


@pytest.mark.parametrize(
    ("topic", "properties", "size", "code"),
    [
        ("", "", 1, 29),
        ("a/b", "", 1, 29),
        ("x" * 128, "", 1, 29),
        ("TBW102", "", 1, 16),
        ("SCHEDULE_TOPIC_XXXX", "", 1, 16),
        ("T", "TRAN_MSG\x01true\x02", 1, 16),
        ("T", "DELAY\x01x\x02", 1, 13),
        ("T", "TIMER_DELAY_MS\x01" + "9" * 18 + "\x02", 1, 13),
        ("T", "a\x01" + "b" * 32767, 1, 13),
        ("T", "", 4 * 1024 * 1024 + 1, 13),
    ],
)
def test_what_is_refused(
    broker: NativeBroker, peer: Peer, topic: str, properties: str, size: int, code: int
) -> None:
    response = peer.call(SEND_V2, send_header(topic, properties).to_letters(), b"x" * size)
    assert response.code == code, response.remark
    assert not broker.virtual_host.queues


def test_an_offset_message_id_can_be_looked_up(peer: Peer) -> None:
    peer.publish("T", b"first")
    response = peer.call(SEND_V2, send_header("T", "KEYS\x01k\x02").to_letters(), b"second")
    offset = decode_offset_message_id(response.ext_fields["msgId"])[1]
    found = peer.call(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": str(offset)})
    (record,) = records(found)
    assert (record.topic, record.body, record.log_offset) == ("T", b"second", offset)
    for wrong in (offset + 1, -1):
        assert peer.call(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": str(wrong)}).code == 1


def test_a_topic_that_is_an_exchange_is_published_to_by_tag(
    broker: NativeBroker, peer: Peer
) -> None:
    host = broker.virtual_host
    host.declare_exchange(ExchangeDeclaration("E", "direct", durable=True))
    host.declare_queue(QueueDeclaration("Q", durable=True))
    host.bind(QueueBinding("Q", "E", "a"))
    peer.publish("E", b"yes", "TAGS\x01a\x02")
    unroutable = peer.call(SEND_V2, send_header("E", "TAGS\x01b\x02").to_letters(), b"no")
    assert (unroutable.code, unroutable.ext_fields["msgId"][-16:]) == (0, "F" * 16)
    assert "E" not in host.queues
    ((envelope, header, body),) = [delivery.message for delivery in host.queues["Q"].take(9)]
    assert (envelope.exchange, envelope.routing_key, body) == ("E", "a", b"yes")
    assert header.properties.persistent


def test_a_packed_body_is_plain_for_the_others(broker: NativeBroker, peer: Peer) -> None:
    body = packed(b"plain")
    peer.publish("T", body, system_flag=1)
    ((_, message),) = broker.virtual_host.queues["T"].read(0, 1)
    assert message[2] == b"plain"
    (record,) = records(pulled(peer, "T"))
    assert (record.body, record.system_flag) == (body, 1)


def test_a_full_queue_refuses(broker: NativeBroker, peer: Peer) -> None:
    arguments = {"x-max-length": 1, "x-overflow": "reject-publish"}
    queue = broker.virtual_host.declare_queue(
        QueueDeclaration("T", durable=True, arguments=arguments)
    )
    codes = [peer.call(SEND_V2, send_header("T").to_letters(), b"x").code for _ in range(2)]
    assert codes == [0, ResponseCode.SYSTEM_BUSY]
    assert queue.ready_count == 1
