from dataclasses import replace

import pytest

from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.queues.consumer import Terms
from rosettamq.remoting.codes import PullFlag, RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import PullMessageRequest
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records

PULL = RequestCode.PULL_MESSAGE
FOUR = {"suggestWhichBrokerId", "nextBeginOffset", "minOffset", "maxOffset"}


def pull(
    peer: Peer, group: str, offset: int, expression: str = "*", count: int = 32
) -> RemotingCommand:
    return peer.call(PULL, pull_header(group, "T", offset, expression, count=count))


def commit(peer: Peer, group: str, offset: int) -> None:
    ext = {"consumerGroup": group, "topic": "T", "queueId": "0", "commitOffset": str(offset)}
    assert peer.call(RequestCode.UPDATE_CONSUMER_OFFSET, ext).code == 0


def test_a_stream_is_a_topic_that_every_group_reads(broker: NativeBroker, peer: Peer) -> None:
    """The group of its own name, too: nothing is in flight, or goes."""
    arguments = {"x-queue-type": "stream"}
    queue = broker.virtual_host.declare_queue(
        QueueDeclaration("T", durable=True, arguments=arguments)
    )
    for body in (b"0", b"1", b"2"):
        peer.publish("T", body)
    for group in ("T", "G"):
        assert bodies(pull(peer, group, 1)) == [b"1", b"2"]
        commit(peer, group, 3)
    assert bodies(pull(peer, "T", 0)) == [b"0", b"1", b"2"]
    assert (queue.ready_count, queue.unsettled_count) == (3, 0)


class TestAnotherGroup:
    def test_reads_from_its_offset_and_takes_nothing(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        for body in (b"0", b"1", b"2"):
            peer.publish("T", body)
        response = pull(peer, "G", 1)
        assert bodies(response) == [b"1", b"2"]
        assert [record.queue_offset for record in records(response)] == [1, 2]
        assert {name: response.ext_fields[name] for name in FOUR} == {
            "suggestWhichBrokerId": "0",
            "nextBeginOffset": "3",
            "minOffset": "0",
            "maxOffset": "3",
        }
        queue = broker.virtual_host.queues["T"]
        assert (queue.ready_count, queue.unsettled_count) == (3, 0)

    @pytest.mark.parametrize(
        ("offset", "code", "next_offset"), [(2, 19, "2"), (3, 21, "2"), (-1, 21, "0")]
    )
    def test_the_four_fields_are_there_whatever_the_code_is(
        self, peer: Peer, offset: int, code: int, next_offset: str
    ) -> None:
        peer.publish("T", b"0")
        peer.publish("T", b"1")
        response = pull(peer, "G", offset)
        assert (response.code, response.ext_fields["nextBeginOffset"]) == (code, next_offset)
        assert response.ext_fields.keys() >= FOUR

    def test_errors_have_the_four_fields_too(self, peer: Peer) -> None:
        response = pull(peer, "G", 0)
        assert response.code == 17
        assert response.ext_fields.keys() >= FOUR

    def test_only_the_wanted_tags_come(self, peer: Peer) -> None:
        for tag in "abca":
            peer.publish("T", tag.encode(), f"TAGS\x01{tag}\x02")
        response = pull(peer, "G", 0, "a || c")
        assert bodies(response) == [b"a", b"c", b"a"]
        nothing = pull(peer, "G", 0, "x")
        assert (nothing.code, nothing.ext_fields["nextBeginOffset"]) == (20, "4")

    def test_what_is_not_wanted_does_not_end_a_long_poll(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        """It would be answered once for each message that the client does not want."""
        peer.publish("T", b"0", "TAGS\x01b\x02")
        waiting = pull_header("G", "T", 1, "a", suspend_ms=15_000)
        peer.request(PULL, waiting)
        for _ in range(3):
            broker.publish("", "T", b"x")
            assert peer.received() == []
        broker.clock.advance(15)
        (over,) = peer.received()
        assert (over.code, over.ext_fields["nextBeginOffset"]) == (20, "4")
        peer.request(PULL, pull_header("G", "T", 4, "a", suspend_ms=15_000))
        broker.publish("", "T", b"x")
        broker.connect().publish("T", b"wanted", "TAGS\x01a\x02")
        assert bodies(peer.received()[0]) == [b"wanted"]

    @pytest.mark.parametrize(
        ("text", "code", "found"),
        [
            ("a > 1", 0, [b"2", b"3"]),
            ("a > 1 AND TAGS <> 't2'", 0, [b"3"]),
            ("a IS NULL", 0, [b"none"]),
            ("a > ", 23, []),
        ],
    )
    def test_only_what_the_sql_selects_comes(
        self, peer: Peer, text: str, code: int, found: list[bytes]
    ) -> None:
        for number in range(4):
            properties = f"a\x01{number}\x02TAGS\x01t{number}\x02"
            peer.publish("T", b"%d" % number, properties)
        peer.publish("T", b"none")
        header = PullMessageRequest(
            "G", "T", 0, 0, 32, PullFlag.SUBSCRIPTION, subscription=text, expression_type="SQL92"
        )
        response = peer.call(PULL, header)
        assert response.code == code
        assert bodies(response) == found
        if code:
            assert response.remark == (
                "parse the consumer's subscription failed: expected a value,"
                " but the selector ends at character 5"
            )

    def test_no_other_language_is_known(self, peer: Peer) -> None:
        peer.publish("T", b"0")
        header = PullMessageRequest(
            "G", "T", 0, 0, 32, PullFlag.SUBSCRIPTION, subscription="a", expression_type="XPATH"
        )
        assert peer.call(PULL, header).code == 1

    def test_without_a_subscription_that_of_the_heartbeat_counts(self, peer: Peer) -> None:
        peer.publish("T", b"0", "TAGS\x01a\x02")
        peer.publish("T", b"1", "TAGS\x01b\x02")
        header = PullMessageRequest("G", "T", 0, 0, 32, 0)
        assert peer.call(PULL, header).code == 24
        subscription = {"topic": "T", "subString": "b", "subVersion": 7}
        consumer = {"groupName": "G", "subscriptionDataSet": [subscription]}
        heartbeat = {"clientID": "c", "consumerDataSet": [consumer]}
        peer.request(RequestCode.HEART_BEAT, None, heartbeat)
        peer.received()
        assert bodies(peer.call(PULL, header)) == [b"1"]
        assert bodies(peer.call(PULL, replace(header, sub_version=7))) == [b"1"]
        newer = peer.call(PULL, replace(header, sub_version=8))
        assert (newer.code, newer.remark) == (
            25,
            "the consumer's subscription not latest: that of G for T",
        )

    def test_an_answer_ends_at_its_limit_but_has_one_message_at_least(self, peer: Peer) -> None:
        for size in (300_000, 200_000, 100_000, 1):
            peer.publish("T", b"x" * size)
        assert [len(body) for body in bodies(pull(peer, "G", 0))] == [300_000]
        assert [len(body) for body in bodies(pull(peer, "G", 1))] == [200_000, 100_000]
        assert len(bodies(pull(peer, "G", 1, count=1))) == 1

    def test_a_long_poll_is_answered_by_the_next_message_that_matches(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        peer.publish("T", b"0")
        opaque = peer.request(PULL, pull_header("G", "T", 1, suspend_ms=15_000))
        assert peer.received() == []
        broker.connect().publish("T", b"1")
        (response,) = peer.received()
        assert (response.opaque, response.code) == (opaque, 0)
        assert bodies(response) == [b"1"]

    def test_a_long_poll_ends_at_its_deadline(self, broker: NativeBroker, peer: Peer) -> None:
        peer.publish("T", b"0")
        peer.request(PULL, pull_header("G", "T", 1, suspend_ms=15_000))
        broker.clock.advance(14.9)
        assert peer.received() == []
        broker.clock.advance(0.2)
        (response,) = peer.received()
        assert (response.code, response.ext_fields["nextBeginOffset"]) == (19, "1")

    def test_a_long_poll_ends_with_its_queue(self, broker: NativeBroker, peer: Peer) -> None:
        peer.publish("T", b"0")
        peer.request(PULL, pull_header("G", "T", 1, suspend_ms=15_000))
        broker.virtual_host.delete_queue("T")
        broker.gateway.turn.end()
        (response,) = peer.received()
        assert response.code == 17
        assert response.ext_fields.keys() >= FOUR

    def test_a_lost_client_leaves_nothing_behind(self, broker: NativeBroker, peer: Peer) -> None:
        peer.publish("T", b"0")
        peer.request(PULL, pull_header("G", "T", 1, suspend_ms=15_000))
        peer.lose()
        broker.connect().publish("T", b"1")
        broker.clock.advance(20)

    def test_what_it_has_not_read_is_kept_for_it(self, broker: NativeBroker, peer: Peer) -> None:
        """The queue's own consumers may be faster; what they settle is not gone for the group."""
        peer.publish("T", b"0")
        pull(peer, "G", 0)
        peer.publish("T", b"1")
        queue = broker.virtual_host.queues["T"]
        queue.take(9)
        queue.settle(0, 2)
        assert bodies(pull(peer, "G", 1)) == [b"1"]

    def test_an_exchange_is_read_through_a_copy_from_now_on(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        broker.virtual_host.declare_exchange(ExchangeDeclaration("T", "topic", durable=True))
        broker.publish("T", "a.b", b"before")
        assert pull(peer, "G", 0).code == 19
        broker.publish("T", "a.b", b"after")
        (record,) = records(pull(peer, "G", 0))
        assert (record.topic, record.body, record.properties) == (
            "T",
            b"after",
            b"persistent\x01false\x02TAGS\x01a.b\x02",
        )

    def test_the_copy_of_an_exchange_is_kept_for_three_days(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        """Read or not, as RocketMQ does: nobody takes it, so nobody else lets it go."""
        broker.virtual_host.declare_exchange(ExchangeDeclaration("T", "topic", durable=True))
        pull(peer, "G", 0)
        broker.publish("T", "a.b", b"old")
        broker.clock.advance(3600)
        broker.publish("T", "a.b", b"young")
        peer = broker.connect()
        assert bodies(pull(peer, "G", 0)) == [b"old", b"young"]
        broker.clock.advance(71.5 * 3600)
        peer = broker.connect()
        moved = pull(peer, "G", 0)
        assert (moved.code, moved.ext_fields["nextBeginOffset"]) == (21, "1")
        assert bodies(pull(peer, "G", 1)) == [b"young"]

    def test_an_exclusive_queue_is_its_connections_own(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        broker.virtual_host.declare_queue(QueueDeclaration("T", exclusive=True), broker)
        assert pull(peer, "G", 0).code == 16


class TestTheQueuesOwnGroup:
    def test_takes_and_settles_by_committed_offset(self, broker: NativeBroker, peer: Peer) -> None:
        for body in (b"0", b"1", b"2"):
            peer.publish("T", body)
        queue = broker.virtual_host.queues["T"]
        response = pull(peer, "T", 0)
        assert bodies(response) == [b"0", b"1", b"2"]
        assert (queue.ready_count, queue.unsettled_count) == (0, 3)
        commit(peer, "T", 2)
        assert queue.unsettled_count == 1
        peer.lose()
        assert (queue.ready_count, queue.unsettled_count) == (1, 0)

    def test_shares_with_other_consumers(self, broker: NativeBroker, peer: Peer) -> None:
        for body in (b"0", b"1"):
            peer.publish("T", body)
        queue = broker.virtual_host.queues["T"]
        (delivery,) = queue.take(1)
        assert bodies(pull(peer, "T", 0)) == [b"1"]
        queue.release([delivery.offset])
        (record,) = records(pull(peer, "T", 2))
        assert (record.body, record.reconsume_times) == (b"0", 1)

    def test_a_long_poll_gets_what_comes_and_what_comes_back(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        peer.publish("T", b"0")
        queue = broker.virtual_host.queues["T"]
        queue.take(1)
        peer.request(PULL, pull_header("T", "T", 1, suspend_ms=15_000))
        assert queue.consumer_count == 0
        queue.release([0])
        broker.gateway.turn.end()
        (response,) = peer.received()
        assert bodies(response) == [b"0"]
        assert not queue.is_consumed
        peer.request(PULL, pull_header("T", "T", 1, suspend_ms=15_000))
        broker.publish("", "T", b"1")
        assert bodies(peer.received()[0]) == [b"1"]
        commit(peer, "T", 2)
        assert queue.unsettled_count == 0

    def test_a_lost_long_poll_holds_nothing(self, broker: NativeBroker, peer: Peer) -> None:
        peer.publish("T", b"0")
        queue = broker.virtual_host.queues["T"]
        pull(peer, "T", 0)
        peer.request(PULL, pull_header("T", "T", 1, suspend_ms=15_000))
        peer.lose()
        assert (queue.ready_count, queue.unsettled_count, queue.is_consumed) == (1, 0, False)

    def test_the_next_owner_of_the_queue_gets_what_the_last_did_not_commit(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        peer.publish("T", b"0")
        pull(peer, "T", 0)
        other = broker.connect()
        assert bodies(pull(other, "T", 0)) == [b"0"]
        commit(peer, "T", 1)
        assert broker.virtual_host.queues["T"].unsettled_count == 1

    def test_what_its_filter_does_not_want_is_consumed(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        """As in RocketMQ: the filter is the group's, and the group is the queue."""
        for tag in "abca":
            peer.publish("T", tag.encode(), f"TAGS\x01{tag}\x02")
        assert bodies(pull(peer, "T", 0, "a")) == [b"a", b"a"]
        assert broker.virtual_host.queues["T"].unsettled_count == 2

    def test_in_exclusive_use(self, broker: NativeBroker, peer: Peer) -> None:
        class Alone:
            no_ack = False
            counted = True
            taker = None
            shares_credit = False

            def credit(self) -> int:
                return 0

        queue = broker.virtual_host.declare_queue(QueueDeclaration("T"))
        queue.subscribe(Alone(), Terms(exclusive=True))  # type: ignore[arg-type]
        response = peer.call(PULL, pull_header("T", "T", 0, suspend_ms=1000))
        assert response.code == 16
