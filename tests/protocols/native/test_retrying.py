from dataclasses import replace

import pytest

from gateway.declarations import QueueDeclaration
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import SendBackRequest, TopicRequest
from rosettamq.remoting.properties import decode_properties
from rosettamq.remoting.records import Record
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records, send_header

PULL = RequestCode.PULL_MESSAGE
RETRY = "%RETRY%G"


def send_back(peer: Peer, group: str, record: Record, level: int = 0, max_times: int = 16) -> int:
    header = SendBackRequest(record.log_offset, group, level, max_reconsume_times=max_times)
    return peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, header).code


def pull_one(peer: Peer, group: str, topic: str, offset: int = 0) -> Record:
    (record,) = records(peer.call(PULL, pull_header(group, topic, offset, count=1)))
    return record


def retried(peer: Peer, offset: int, suspend_ms: int = 0) -> RemotingCommand:
    return peer.call(PULL, pull_header("G", RETRY, offset, suspend_ms=suspend_ms))


def test_another_group_gets_it_from_its_retry_topic_after_a_while(
    broker: NativeBroker, peer: Peer
) -> None:
    peer.publish("T", b"x", "TAGS\x01a\x02UNIQ_KEY\x01ID\x02")
    first = pull_one(peer, "G", "T")
    assert send_back(peer, "G", first) == 0
    assert retried(peer, 0).code == 19
    broker.clock.advance(9.9)
    assert retried(peer, 0).code == 19
    broker.clock.advance(0.2)
    (record,) = records(retried(peer, 0))
    properties = decode_properties(record.properties)
    assert (record.body, record.reconsume_times) == (b"x", 1)
    assert (properties["RETRY_TOPIC"], properties["UNIQ_KEY"], properties["TAGS"]) == (
        "T",
        "ID",
        "a",
    )
    assert int(properties["ORIGIN_MESSAGE_ID"][-16:], 16) == first.log_offset
    assert send_back(peer, "G", record) == 0
    broker.clock.advance(29)
    assert retried(peer, 1).code == 19
    broker.clock.advance(2)
    assert records(retried(peer, 1))[0].reconsume_times == 2


def test_a_long_poll_of_a_retry_topic_waits_for_the_time(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", b"x")
    send_back(peer, "G", pull_one(peer, "G", "T"))
    peer.request(PULL, pull_header("G", RETRY, 0, suspend_ms=15_000))
    assert peer.received() == []
    broker.clock.advance(10.1)
    assert bodies(peer.received()[0]) == [b"x"]


def test_after_the_last_attempt_it_is_a_dead_letter(peer: Peer) -> None:
    peer.publish("T", b"x")
    record = pull_one(peer, "G", "T")
    assert send_back(peer, "G", record, max_times=0) == 0
    assert send_back(peer, "G", record, level=-1) == 0
    dead = records(peer.call(PULL, pull_header("any", "%DLQ%G", 0)))
    assert [(letter.body, letter.reconsume_times) for letter in dead] == [(b"x", 1), (b"x", 1)]


def test_of_the_queues_own_group_it_stays_in_the_queue(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", b"0")
    peer.publish("T", b"1")
    record = pull_one(peer, "T", "T")
    pull_one(peer, "T", "T")
    assert send_back(peer, "T", record) == 0
    ext = {"consumerGroup": "T", "topic": "T", "queueId": "0", "commitOffset": "2"}
    peer.call(RequestCode.UPDATE_CONSUMER_OFFSET, ext)
    queue = broker.virtual_host.queues["T"]
    assert (queue.ready_count, queue.unsettled_count) == (0, 1)
    broker.clock.advance(10.1)
    again = pull_one(peer, "T", "T")
    assert (again.body, again.reconsume_times) == (b"0", 1)
    assert send_back(peer, "T", again, max_times=1) == 0
    assert (queue.ready_count, queue.unsettled_count) == (0, 0)
    assert bodies(peer.call(PULL, pull_header("any", "%DLQ%T", 0))) == [b"0"]


def test_what_is_not_there_cannot_be_sent_back(peer: Peer) -> None:
    assert send_back(peer, "G", Record("T", b"", log_offset=12345)) == 1
    assert send_back(peer, "G", Record("T", b"", log_offset=-1)) == 1


def test_a_message_of_another_language(broker: NativeBroker, peer: Peer) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True))
    broker.publish("", "T", b"x")
    assert send_back(peer, "G", pull_one(peer, "G", "T")) == 0
    broker.clock.advance(11)
    assert bodies(retried(peer, 0)) == [b"x"]


def test_a_topic_can_be_created(broker: NativeBroker, peer: Peer) -> None:
    assert peer.call(RequestCode.UPDATE_AND_CREATE_TOPIC, TopicRequest("N")).code == 0
    assert broker.virtual_host.queues["N"].durable
    assert peer.call(RequestCode.UPDATE_AND_CREATE_TOPIC, TopicRequest("a b")).code == 29


def test_a_dead_letter_is_safe_before_the_message_goes(broker: NativeBroker, peer: Peer) -> None:
    peer.publish("T", b"0")
    record = pull_one(peer, "T", "T")
    broker.disk.held = True
    header = SendBackRequest(record.log_offset, "T", -1)
    peer.request(RequestCode.CONSUMER_SEND_MSG_BACK, header)
    queue = broker.virtual_host.queues["T"]
    assert (peer.received(), queue.unsettled_count) == ([], 1)
    broker.disk.release()
    assert ([answer.code for answer in peer.received()], queue.unsettled_count) == ([0], 0)


def test_properties_that_leave_no_room_are_refused(peer: Peer) -> None:
    """A retry says where the message comes from, and when it is due."""
    peer.publish("T", b"x", f"a\x01{'v' * 32_680}\x02UNIQ_KEY\x01ID\x02")
    assert send_back(peer, "G", pull_one(peer, "G", "T")) == 13


def test_what_the_retry_topic_refuses_is_not_done(broker: NativeBroker, peer: Peer) -> None:
    arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
    for topic in ("%DLQ%T", "%DLQ%G"):
        broker.virtual_host.declare_queue(
            QueueDeclaration(topic, durable=True, arguments=arguments)
        )
    peer.publish("T", b"0")
    record = pull_one(peer, "T", "T")
    assert send_back(peer, "T", record, level=-1) == 2
    assert send_back(peer, "G", record, level=-1) == 2
    assert broker.virtual_host.queues["T"].unsettled_count == 1
    peer.lose()
    assert broker.virtual_host.queues["T"].ready_count == 1


class TestASendToTheRetryTopic:
    """Of a client whose CONSUMER_SEND_MSG_BACK failed, or that consumes in order."""

    @pytest.mark.parametrize(
        ("times", "times_max", "topic"),
        [
            (16, None, RETRY),
            (17, None, "%DLQ%G"),
            (17, -1, "%DLQ%G"),
            (3, 3, RETRY),
            (4, 3, "%DLQ%G"),
            (99, 2**31 - 1, RETRY),
        ],
    )
    def test_once_too_often_is_a_dead_letter(
        self, peer: Peer, times: int, times_max: int | None, topic: str
    ) -> None:
        header = replace(
            send_header(RETRY, "TAGS\x01a\x02"),
            reconsume_times=times,
            max_reconsume_times=times_max,
        )
        assert peer.call(RequestCode.SEND_MESSAGE_V2, header.to_letters(), b"x").code == 0
        record = pull_one(peer, "any", topic)
        assert (record.topic, record.body, record.reconsume_times) == (topic, b"x", times)
        assert decode_properties(record.properties)["TAGS"] == "a"

    def test_a_dead_letter_is_not_delayed(self, peer: Peer) -> None:
        header = replace(send_header(RETRY, "DELAY\x013\x02"), reconsume_times=17)
        peer.call(RequestCode.SEND_MESSAGE, header, b"x")
        assert pull_one(peer, "any", "%DLQ%G").body == b"x"
