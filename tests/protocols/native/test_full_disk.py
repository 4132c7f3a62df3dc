"""When the disk is full, clients are told so, and go on when there is room again."""

import pytest

from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.headers import SendBackRequest, TopicRequest
from tests.support.disk import FullDisk
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records, send_header

FULL = (14, "service not available now: the disk is full")
SEND = RequestCode.SEND_MESSAGE_V2


@pytest.fixture
def disk(peer: Peer, monkeypatch: pytest.MonkeyPatch) -> FullDisk:
    """One that is full, but for one message of the topic T."""
    peer.publish("T", b"first")
    return FullDisk(monkeypatch, 0)


def test_a_send_is_refused_until_there_is_room(peer: Peer, disk: FullDisk) -> None:
    for _ in range(2):
        refused = peer.call(SEND, send_header("T").to_letters(), b"second")
        assert (refused.code, refused.remark) == FULL
    disk.room = 1 << 20
    assert peer.publish("T", b"second") == 1
    pulled = peer.call(RequestCode.PULL_MESSAGE, pull_header("G", "T", 0))
    assert bodies(pulled) == [b"first", b"second"]


def test_so_is_what_creates_something(peer: Peer, disk: FullDisk) -> None:
    refused = peer.call(RequestCode.UPDATE_AND_CREATE_TOPIC, TopicRequest("N"))
    assert (refused.code, refused.remark) == FULL
    assert not peer.wire.disconnecting


def test_what_cannot_be_sent_back_is_still_pulled(
    broker: NativeBroker, peer: Peer, disk: FullDisk
) -> None:
    disk.room = 1 << 20
    (record,) = records(peer.call(RequestCode.PULL_MESSAGE, pull_header("T", "T", 0)))
    disk.room = 0
    header = SendBackRequest(record.log_offset, "T", -1)
    assert peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, header).code == FULL[0]
    disk.room = 1 << 20
    assert broker.virtual_host.queues["T"].unsettled_count == 1
    assert peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, header).code == 0
    assert broker.virtual_host.queues["T"].unsettled_count == 0
