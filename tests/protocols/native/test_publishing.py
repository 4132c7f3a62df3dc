"""Sends that arrive in one read, and the requests between them."""

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import encode_frame
from rosettamq.remoting.headers import Header
from rosettamq.remoting.ids import decode_offset_message_id
from rosettamq.remoting.records import BatchedMessage, encode_batch
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records, send_header

SEND = RequestCode.SEND_MESSAGE_V2


def send(opaque: int, topic: str, body: bytes, properties: str = "") -> bytes:
    ext = send_header(topic, properties).to_letters()
    return encode_frame(RemotingCommand(SEND, ext, body, opaque=opaque))


def request(opaque: int, code: int, header: Header) -> bytes:
    return encode_frame(RemotingCommand(code, header.to_ext(), opaque=opaque))


def looked_up(peer: Peer, message_id: str) -> bytes:
    offset = decode_offset_message_id(message_id)[1]
    response = peer.call(RequestCode.VIEW_MESSAGE_BY_ID, {"offset": str(offset)})
    return bodies(response)[0] if response.code == 0 else b""


def test_each_answer_tells_its_own_place(peer: Peer) -> None:
    sent = [("T", b"0"), ("U", b"1"), ("T", b"2"), ("T", b"3"), ("U", b"4")]
    peer.protocol.dataReceived(b"".join(send(n, *item) for n, item in enumerate(sent)))
    responses = sorted(peer.received(), key=lambda response: response.opaque)
    assert [response.ext_fields["queueOffset"] for response in responses] == list("00121")
    ids = [response.ext_fields["msgId"] for response in responses]
    assert [looked_up(peer, message_id) for message_id in ids] == [body for _, body in sent]


def test_what_was_sent_before_a_pull_can_be_pulled(peer: Peer) -> None:
    pull = request(2, RequestCode.PULL_MESSAGE, pull_header("G", "T", 0))
    peer.protocol.dataReceived(send(1, "T", b"before") + pull + send(3, "T", b"after"))
    by_opaque = {response.opaque: response for response in peer.received()}
    assert by_opaque.keys() == {1, 2, 3}
    assert bodies(by_opaque[2]) == [b"before"]
    assert by_opaque[3].ext_fields["queueOffset"] == "1"


def test_transient_messages_keep_their_place_among_the_others(peer: Peer) -> None:
    transient = "persistent\x01false\x02"
    frames = [send(n, "T", b"%d" % n, transient if n in (1, 3) else "") for n in range(5)]
    peer.protocol.dataReceived(b"".join(frames))
    offsets = {r.opaque: r.ext_fields["queueOffset"] for r in peer.received()}
    assert offsets == {n: str(n) for n in range(5)}
    pulled = peer.call(RequestCode.PULL_MESSAGE, pull_header("G", "T", 0))
    assert bodies(pulled) == [b"%d" % n for n in range(5)]


def test_a_refused_send_harms_no_other(peer: Peer) -> None:
    frames = send(0, "T", b"0") + send(1, "a b", b"1") + send(2, "T", b"2")
    peer.protocol.dataReceived(frames)
    codes = {response.opaque: response.code for response in peer.received()}
    assert codes == {0: 0, 1: 29, 2: 0}


def test_what_a_queue_refuses_has_no_offset_there(broker: NativeBroker, peer: Peer) -> None:
    arguments = {"x-max-length-bytes": 250, "x-overflow": "reject-publish"}
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True, arguments=arguments))
    sizes = (10, 5000, 20, 5000, 30)
    peer.protocol.dataReceived(b"".join(send(n, "T", bytes(size)) for n, size in enumerate(sizes)))
    answers = sorted(peer.received(), key=lambda response: response.opaque)
    assert [answer.code for answer in answers] == [0, 2, 0, 2, 0]
    taken = [answer.ext_fields for answer in answers if answer.code == 0]
    assert [fields["queueOffset"] for fields in taken] == ["0", "1", "2"]
    assert [len(looked_up(peer, fields["msgId"])) for fields in taken] == [10, 20, 30]


def test_junk_after_a_send_does_not_undo_it(broker: NativeBroker, peer: Peer) -> None:
    peer.protocol.dataReceived(send(0, "T", b"0") + b"\x7f" * 20)
    assert peer.wire.disconnecting
    assert broker.virtual_host.queues["T"].ready_count == 1


def test_a_batch_to_an_exchange_goes_by_each_messages_tag(broker: NativeBroker, peer: Peer) -> None:
    host = broker.virtual_host
    host.declare_exchange(ExchangeDeclaration("E", "direct", durable=True))
    for name in ("A", "B"):
        host.declare_queue(QueueDeclaration(name, durable=True))
        host.bind(QueueBinding(name, "E", name))
    batch = encode_batch(
        BatchedMessage(tag.encode(), f"TAGS\x01{tag}\x02".encode()) for tag in "ABAC"
    )
    response = peer.call(RequestCode.SEND_BATCH_MESSAGE, send_header("E").to_letters(), batch)
    ids = response.ext_fields["msgId"].split(",")
    assert [looked_up(peer, message_id) for message_id in ids] == [b"A", b"B", b"A", b""]
    assert (host.queues["A"].ready_count, host.queues["B"].ready_count) == (2, 1)


def test_a_remembered_route_is_forgotten_when_it_changes(broker: NativeBroker, peer: Peer) -> None:
    host = broker.virtual_host
    peer.publish("T", b"0")
    host.delete_queue("T")
    peer.publish("T", b"1")
    assert host.queues["T"].ready_count == 1
    host.declare_exchange(ExchangeDeclaration("T", "fanout"))
    host.declare_queue(QueueDeclaration("Q"))
    host.bind(QueueBinding("Q", "T", ""))
    peer.publish("T", b"2")
    assert (host.queues["T"].ready_count, host.queues["Q"].ready_count) == (1, 1)


@pytest.mark.parametrize("is_read", [False, True])
def test_the_offset_told_is_that_of_the_topics_readers(
    broker: NativeBroker, peer: Peer, is_read: bool
) -> None:
    host = broker.virtual_host
    host.declare_exchange(ExchangeDeclaration("E", "fanout", durable=True))
    host.declare_queue(QueueDeclaration("Q", durable=True))
    host.bind(QueueBinding("Q", "E", ""))
    peer.publish("E", b"0")
    if is_read:
        peer.call(RequestCode.PULL_MESSAGE, pull_header("G", "E", 0))
    assert peer.publish("E", b"1") == (0 if is_read else 1)
    if is_read:
        pulled = peer.call(RequestCode.PULL_MESSAGE, pull_header("G", "E", 0))
        assert [(r.queue_offset, r.body) for r in records(pulled)] == [(0, b"1")]
