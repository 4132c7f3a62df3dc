"""A client that asks and never reads costs the broker a bounded amount, and others nothing."""

from gateway.messages import Properties
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.frames import encode_frame
from rosettamq.remoting.headers import PopMessageRequest
from tests.support.native_peer import BUFFER_SIZE, NativeBroker, Peer, bodies, pull_header

PULL = RequestCode.PULL_MESSAGE
LARGE = bytes(300 << 10)
# What is on its way when the peer is found not to read: one answer more than there is room for.
MOST = BUFFER_SIZE + (256 << 10) + len(LARGE) + 4096


def pulls(count: int, group: str = "G", suspend_ms: int = 0) -> bytes:
    """Many requests, as one read may bring them."""
    ext = pull_header(group, "T", 0, suspend_ms=suspend_ms, count=1).to_ext()
    return b"".join(
        encode_frame(RemotingCommand(PULL, ext, opaque=opaque)) for opaque in range(count)
    )


def read_everything(peer: Peer) -> list[RemotingCommand]:
    answers = peer.received()
    while True:
        peer.read_on()
        more = peer.received()
        if not more:
            return answers
        answers += more


def test_requests_wait_while_their_answers_would_have_no_room(peer: Peer) -> None:
    peer.publish("T", LARGE)
    peer.stop_reading()
    peer.protocol.dataReceived(pulls(100))
    assert len(peer.wire.value()) < MOST
    answers = read_everything(peer)
    assert [answer.opaque for answer in answers] == list(range(100))
    assert {tuple(bodies(answer)) for answer in answers} == {(LARGE,)}


def test_a_request_cut_in_two_waits_with_the_others(peer: Peer) -> None:
    peer.publish("T", LARGE)
    peer.stop_reading()
    requests = pulls(10)
    peer.protocol.dataReceived(requests[:-5])
    peer.protocol.dataReceived(requests[-5:])
    assert [answer.opaque for answer in read_everything(peer)] == list(range(10))


def test_what_comes_for_many_long_polls_is_sent_bit_by_bit(
    broker: NativeBroker, peer: Peer
) -> None:
    peer.publish("T", b"first")
    slow = broker.connect()
    slow.stop_reading()
    ext = pull_header("G", "T", 1, suspend_ms=5000).to_ext()
    for opaque in range(100):
        frame = encode_frame(RemotingCommand(PULL, ext, opaque=opaque))
        slow.protocol.dataReceived(frame)
    peer.publish("T", LARGE)
    assert len(slow.wire.value()) < MOST
    assert sorted(answer.opaque for answer in read_everything(slow)) == list(range(100))


def test_long_polls_that_are_over_wait_until_it_reads(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", LARGE)
    peer.stop_reading()
    peer.protocol.dataReceived(pulls(3))
    waiting = pull_header("G", "T", 1, suspend_ms=5000)
    peer.request(PULL, waiting)
    broker.clock.advance(60)
    assert len(peer.wire.value()) < MOST
    codes = [answer.code for answer in read_everything(peer)]
    broker.clock.advance(5)
    codes += [answer.code for answer in read_everything(peer)]
    assert codes == [0, 0, 0, 19]


def test_what_it_waits_for_goes_to_others(broker: NativeBroker, peer: Peer) -> None:
    """As the queue's own group it would have the messages to itself."""
    peer.publish("T", b"first")
    slow = broker.connect()
    pop = PopMessageRequest("T", "T", -1, 1, 60_000, 20_000)
    assert bodies(slow.call(RequestCode.POP_MESSAGE, pop)) == [b"first"]
    waiting = slow.request(RequestCode.POP_MESSAGE, pop)
    slow.protocol.pauseProducing()
    broker.publish("", "T", b"second", Properties())
    assert slow.received() == []
    assert bodies(peer.call(RequestCode.POP_MESSAGE, pop)) == [b"second"]
    broker.publish("", "T", b"third", Properties())
    slow.read_on()
    (answer,) = slow.received()
    assert (answer.opaque, bodies(answer)) == (waiting, [b"third"])


def test_it_is_told_once_of_many_changes_of_its_group(broker: NativeBroker, peer: Peer) -> None:
    def join(member: Peer, client_id: str) -> None:
        consumers = [{"groupName": "G", "subscriptionDataSet": []}]
        body = {"clientID": client_id, "consumerDataSet": consumers}
        member.request(RequestCode.HEART_BEAT, body=body)

    join(peer, "c")
    peer.received()
    peer.protocol.pauseProducing()
    for number in range(10):
        join(broker.connect(), str(number))
    assert peer.received() == []
    peer.read_on()
    (notice,) = peer.received()
    assert notice.code == RequestCode.NOTIFY_CONSUMER_IDS_CHANGED
    assert notice.ext_fields == {"consumerGroup": "G"}


def test_it_is_hung_up_on_in_the_end(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", LARGE)
    peer.stop_reading()
    peer.protocol.dataReceived(pulls(3))
    broker.clock.advance(120)
    assert peer.wire.disconnecting
