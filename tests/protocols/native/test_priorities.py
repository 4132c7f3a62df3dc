"""A queue with priorities is a topic with a queue id for each of them."""

from pathlib import Path

import pytest

from gateway.declarations import QueueDeclaration
from gateway.messages import Properties
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    PopHandle,
    PopMessageRequest,
    QueueRequest,
    TopicRequest,
)
from rosettamq.routes import parse_route
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records

PULL, POP = RequestCode.PULL_MESSAGE, RequestCode.POP_MESSAGE
GROUPS = ["T", "G"]  # The queue's own, and another one.


def declare(broker: NativeBroker, **arguments: object) -> None:
    named = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True, arguments=named))


def publish(broker: NativeBroker, body: bytes, priority: int) -> None:
    broker.publish("", "T", body, Properties(priority=priority))


def pull(
    peer: Peer, group: str, queue_id: int, offset: int = 0, suspend_ms: int = 0
) -> RemotingCommand:
    header = pull_header(group, "T", offset, suspend_ms=suspend_ms, queue_id=queue_id)
    return peer.call(PULL, header)


def commit(peer: Peer, group: str, queue_id: int, offset: int) -> None:
    ext = {
        "consumerGroup": group,
        "topic": "T",
        "queueId": str(queue_id),
        "commitOffset": str(offset),
    }
    assert peer.call(RequestCode.UPDATE_CONSUMER_OFFSET, ext).code == 0


def committed(peer: Peer, group: str, queue_id: int) -> str | None:
    ext = {"consumerGroup": group, "topic": "T", "queueId": str(queue_id)}
    return peer.call(RequestCode.QUERY_CONSUMER_OFFSET, ext).ext_fields.get("offset")


def pop_header(group: str, count: int = 32, queue_id: int = -1, poll_ms: int = 0) -> (
    PopMessageRequest
):  # fmt: skip
    return PopMessageRequest(group, "T", queue_id, count, 60_000, poll_ms, 0, 0, "TAG", "*")


def pop(peer: Peer, group: str, count: int = 32, queue_id: int = -1) -> RemotingCommand:
    return peer.call(POP, pop_header(group, count, queue_id))


def ack(peer: Peer, group: str, response: RemotingCommand, queue_id: int, offset: int) -> int:
    pop_time = int(response.ext_fields["popTime"])
    handle = PopHandle(offset, pop_time, 60_000, 0, "0", "broker-a", queue_id, offset)
    header = AckMessageRequest(group, "T", queue_id, str(handle), offset)
    return peer.call(RequestCode.ACK_MESSAGE, header).code


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class TestRoute:
    @pytest.mark.parametrize(
        ("arguments", "count"),
        [({}, 1), ({"max_priority": 3}, 4), ({"queue_type": "quorum"}, 2)],
    )
    def test_readers_see_a_queue_for_each_priority_and_producers_one(
        self, broker: NativeBroker, arguments: dict[str, object], count: int
    ) -> None:
        declare(broker, **arguments)
        names = broker.connect_name_server()
        response = names.call(RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest("T"))
        route = parse_route(response.body)
        assert [queue.queue_id for queue in route.readable_queues("T")] == list(range(count))
        assert [queue.queue_id for queue in route.writable_queues("T")] == [0]

    def test_there_are_no_others(self, broker: NativeBroker, peer: Peer) -> None:
        declare(broker, max_priority=1)
        for queue_id in (-1, 2):
            response = pull(peer, "G", queue_id)
            assert response.code == 29
            assert response.remark == f"queueId[{queue_id}] is illegal, topic:[T] queues: 2"

    def test_a_sender_is_told_the_queue_of_its_message(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        declare(broker, max_priority=3)
        for expected in (0, 1):
            response = peer.call(
                RequestCode.SEND_MESSAGE,
                {
                    "producerGroup": "PG",
                    "topic": "T",
                    "queueId": "0",
                    "sysFlag": "0",
                    "bornTimestamp": "0",
                    "flag": "0",
                    "properties": "priority\x012\x02",
                },
                b"body",
            )
            assert (response.ext_fields["queueId"], response.ext_fields["queueOffset"]) == (
                "2",
                str(expected),
            )


class TestPull:
    def test_each_queue_has_offsets_of_its_own(
        self, broker: NativeBroker, peer: Peer, group: str
    ) -> None:
        declare(broker, max_priority=3)
        for body, priority in ((b"a", 3), (b"b", 0), (b"c", 3), (b"d", 9)):
            publish(broker, body, priority)
        found = records(pull(peer, group, 3))
        assert [(each.body, each.queue_id, each.queue_offset) for each in found] == [
            (b"a", 3, 0),
            (b"c", 3, 1),
            (b"d", 3, 2),
        ]
        assert bodies(pull(peer, group, 0)) == [b"b"]
        assert pull(peer, group, 1).code == 19

    def test_what_comes_to_a_lower_one_meanwhile_is_not_missed(
        self, broker: NativeBroker, peer: Peer, group: str
    ) -> None:
        declare(broker, max_priority=3)
        offsets = dict.fromkeys(range(4), 0)
        seen = []
        for step in range(8):
            publish(broker, b"%d" % step, (step * 3) % 4)
            publish(broker, b"x%d" % step, 3)
            for queue_id, offset in offsets.items():
                response = pull(peer, group, queue_id, offset)
                seen += bodies(response)
                offsets[queue_id] = int(response.ext_fields["nextBeginOffset"])
                commit(peer, group, queue_id, offsets[queue_id])
        assert sorted(seen) == sorted(
            [*(b"%d" % step for step in range(8)), *(b"x%d" % step for step in range(8))]
        )
        queue = broker.virtual_host.queues["T"]
        assert queue.unsettled_count == 0
        assert queue.ready_count == (0 if group == "T" else 16)

    def test_a_long_poll_waits_for_its_own_queue(
        self, broker: NativeBroker, peer: Peer, group: str
    ) -> None:
        declare(broker, max_priority=3)
        polls = {
            peer.request(PULL, pull_header(group, "T", 0, suspend_ms=15_000, queue_id=queue_id)): (
                queue_id
            )
            for queue_id in range(4)
        }
        publish(broker, b"two", 2)
        (response,) = peer.received()
        assert (polls[response.opaque], bodies(response)) == (2, [b"two"])
        publish(broker, b"none", 0)
        (response,) = peer.received()
        assert (polls[response.opaque], bodies(response)) == (0, [b"none"])
        broker.clock.advance(20)
        assert [(polls[each.opaque], each.code) for each in peer.received()] == [(1, 19), (3, 19)]

    def test_what_a_group_has_not_read_is_kept_in_queues_that_were_never_used(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        declare(broker, max_priority=3)
        for queue_id in range(4):
            pull(peer, "G", queue_id)
        publish(broker, b"first", 2)
        queue = broker.virtual_host.queues["T"]
        for delivery in queue.take(9):
            queue.settle(delivery.offset, delivery.offset + 1)
        assert bodies(pull(peer, "G", 2)) == [b"first"]

    def test_offsets_first_last_and_by_time(self, broker: NativeBroker, peer: Peer) -> None:
        declare(broker, max_priority=3)
        publish(broker, b"0", 2)
        broker.clock.advance(10)
        publish(broker, b"1", 2)
        for code, expected in (
            (RequestCode.GET_MIN_OFFSET, {0: "0", 2: "0"}),
            (RequestCode.GET_MAX_OFFSET, {0: "0", 2: "2"}),
        ):
            for queue_id, offset in expected.items():
                response = peer.call(code, QueueRequest("T", queue_id))
                assert response.ext_fields["offset"] == offset
        by_time = {"topic": "T", "timestamp": "1700000005000"}
        for queue_id, offset in ((1, "0"), (2, "1")):
            response = peer.call(
                RequestCode.SEARCH_OFFSET_BY_TIMESTAMP, {**by_time, "queueId": str(queue_id)}
            )
            assert response.ext_fields["offset"] == offset

    def test_the_own_group_shares_each_queue_with_other_consumers(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        declare(broker, max_priority=3)
        for number in range(4):
            publish(broker, b"%d" % number, 2)
        queue = broker.virtual_host.queues["T"]
        (delivery,) = queue.take(1)
        assert bodies(pull(peer, "T", 2)) == [b"1", b"2", b"3"]
        queue.release([delivery.offset])
        (record,) = records(pull(peer, "T", 2))
        assert (record.body, record.reconsume_times) == (b"0", 1)
        commit(peer, "T", 2, 2)
        assert queue.unsettled_count == 2
        peer.lose()
        assert (queue.ready_count, queue.unsettled_count) == (2, 0)

    def test_the_own_group_gets_nothing_that_is_too_old(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        declare(broker, max_priority=3, message_ttl=1000)
        publish(broker, b"old", 2)
        broker.clock.advance(2)
        assert pull(peer, "T", 2).code == 19

    def test_the_own_group_of_a_quorum_queue(self, broker: NativeBroker, peer: Peer) -> None:
        declare(broker, queue_type="quorum")
        publish(broker, b"urgent", 9)
        publish(broker, b"normal", 0)
        queue = broker.virtual_host.queues["T"]
        delivery = queue.take(1)[0]
        queue.release([delivery.offset])
        assert [bodies(pull(peer, "T", queue_id)) for queue_id in (0, 1)] == [
            [b"normal"],
            [b"urgent"],
        ]

    def test_a_restart_remembers_every_queue_of_a_group(self, tmp_path: Path) -> None:
        broker = NativeBroker(tmp_path / "again")
        broker.other.properties = Properties(priority=2)
        declare(broker, max_priority=3)
        peer = broker.connect()
        for number in range(3):
            publish(broker, b"%d" % number, 2)
        pull(peer, "G", 2)
        commit(peer, "G", 2, 2)
        broker.stop()
        broker = NativeBroker(tmp_path / "again")
        peer = broker.connect()
        assert committed(peer, "G", 2) == "2"
        assert bodies(pull(peer, "G", 2, 2)) == [b"2"]
        broker.stop()


class TestPop:
    def test_higher_ones_come_first(self, broker: NativeBroker, peer: Peer, group: str) -> None:
        declare(broker, max_priority=3)
        for body, priority in ((b"low", 0), (b"high", 3), (b"middle", 1), (b"high too", 3)):
            publish(broker, body, priority)
        response = pop(peer, group, count=3)
        assert [(each.body, each.queue_id, each.queue_offset) for each in records(response)] == [
            (b"high", 3, 0),
            (b"high too", 3, 1),
            (b"middle", 1, 0),
        ]
        assert response.ext_fields["startOffsetInfo"] == "0 3 0;0 1 0"
        assert response.ext_fields["msgOffsetInfo"] == "0 3 0,1;0 1 0"
        publish(broker, b"higher than low", 2)
        assert bodies(pop(peer, group)) == [b"higher than low", b"low"]

    def test_one_of_them_only(self, broker: NativeBroker, peer: Peer, group: str) -> None:
        declare(broker, max_priority=3)
        publish(broker, b"0", 0)
        publish(broker, b"3", 3)
        assert bodies(pop(peer, group, queue_id=0)) == [b"0"]
        assert pop(peer, group, queue_id=1).code == 210

    def test_what_is_acknowledged_never_comes_again(
        self, broker: NativeBroker, peer: Peer, group: str
    ) -> None:
        declare(broker, max_priority=3)
        for priority in (0, 3):
            for number in range(2):
                publish(broker, b"%d.%d" % (priority, number), priority)
        response = pop(peer, group)
        assert ack(peer, group, response, 3, 1) == 0
        assert ack(peer, group, response, 0, 0) == 0
        assert ack(peer, group, response, 0, 0) == 208
        broker.clock.advance(61)
        again = broker.connect().call(POP, pop_header(group))
        assert [(each.body, each.reconsume_times) for each in records(again)] == [
            (b"3.0", 1),
            (b"0.1", 1),
        ]

    def test_a_long_poll_gets_what_comes_to_any(
        self, broker: NativeBroker, peer: Peer, group: str
    ) -> None:
        declare(broker, max_priority=3)
        peer.request(POP, pop_header(group, poll_ms=15_000))
        publish(broker, b"two", 2)
        (response,) = peer.received()
        assert bodies(response) == [b"two"]
        assert ack(peer, group, response, 2, 0) == 0

    def test_a_failed_message_of_the_own_group_waits_in_its_queue(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        declare(broker, max_priority=3)
        publish(broker, b"bad", 2)
        (record,) = records(pull(peer, "T", 2))
        header = {"offset": str(record.log_offset), "group": "T", "delayLevel": "1"}
        assert peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, header).code == 0
        assert pull(peer, "T", 2).code == 19
        broker.clock.advance(1.5)
        (again,) = records(pull(peer, "T", 2))
        assert (again.body, again.reconsume_times) == (b"bad", 1)
