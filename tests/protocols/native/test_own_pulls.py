"""Who has a lane of a queue, of those who pull it as its own group."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.declarations import QueueDeclaration
from protocols.native.front_end import NativeConfig
from rosettamq.remoting.codes import RequestCode
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header

PULL = RequestCode.PULL_MESSAGE


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NativeBroker]:
    broker = NativeBroker(tmp_path / "data", NativeConfig(in_flight_max=2))
    yield broker
    broker.stop()


def wait(peer: Peer) -> int:
    """Begin a long poll."""
    return peer.request(PULL, pull_header("T", "T", 0, suspend_ms=15_000))


def commit(peer: Peer, offset: int) -> None:
    ext = {"consumerGroup": "T", "topic": "T", "queueId": "0", "commitOffset": str(offset)}
    assert peer.call(RequestCode.UPDATE_CONSUMER_OFFSET, ext).code == 0


@pytest.fixture
def other(broker: NativeBroker, peer: Peer) -> Peer:
    """Another member of the group, to which the queue goes over."""
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True))
    return broker.connect()


def test_a_long_poll_takes_nothing_once_another_member_has_the_queue(
    broker: NativeBroker, peer: Peer, other: Peer
) -> None:
    """Its client does not look at the answer any more: the message would be nobody's."""
    opaque = wait(peer)
    wait(other)
    for _ in range(2):
        broker.publish("", "T", b"x")
        assert peer.received() == []
        assert bodies(other.received()[0]) == [b"x"]
        wait(other)
    broker.clock.advance(15)
    (answer,) = peer.received()
    assert (answer.opaque, answer.code) == (opaque, 19)


def test_it_can_come_back(broker: NativeBroker, peer: Peer, other: Peer) -> None:
    wait(peer)
    wait(other)
    wait(peer)
    broker.publish("", "T", b"x")
    assert other.received() == []
    assert bodies(peer.received()[0]) == [b"x"]


def test_who_leaves_the_group_has_nothing_any_more(
    broker: NativeBroker, peer: Peer, other: Peer
) -> None:
    """The connection stays: other consumers of the same process use it."""
    broker.publish("", "T", b"x")
    assert bodies(peer.call(PULL, pull_header("T", "T", 0))) == [b"x"]
    opaque = wait(peer)
    ext = {"clientID": "c", "consumerGroup": "T"}
    assert peer.call(RequestCode.UNREGISTER_CLIENT, ext).code == 0
    queue = broker.virtual_host.queues["T"]
    assert (queue.ready_count, queue.unsettled_count, queue.is_consumed) == (1, 0, False)
    broker.clock.advance(15)
    assert [answer.opaque for answer in peer.received()] == [opaque]


def test_so_many_are_in_flight_at_most(broker: NativeBroker, peer: Peer, other: Peer) -> None:
    for _ in range(3):
        broker.publish("", "T", b"x")
    for _ in range(2):
        assert len(bodies(peer.call(PULL, pull_header("T", "T", 0, count=1)))) == 1
    full = peer.call(PULL, pull_header("T", "T", 0, suspend_ms=15_000))
    assert (full.code, full.remark) == (
        215,
        "2 messages are pulled and not committed; the limit is 2",
    )
    commit(peer, 1)
    assert len(bodies(peer.call(PULL, pull_header("T", "T", 0)))) == 1


def test_a_deleted_queue_is_nobodys(broker: NativeBroker, peer: Peer, other: Peer) -> None:
    broker.publish("", "T", b"x")
    peer.call(PULL, pull_header("T", "T", 0))
    wait(peer)
    broker.virtual_host.delete_queue("T")
    broker.gateway.turn.end()
    assert peer.received()[0].code == 17
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True))
    wait(other)
    peer.lose()
    broker.publish("", "T", b"y")
    assert bodies(other.received()[0]) == [b"y"]
