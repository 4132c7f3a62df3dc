import base64
from pathlib import Path

import pytest

from gateway.declarations import QueueDeclaration
from gateway.queues.lane import Lane
from protocols.native.front_end import NativeConfig
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    AckMessageRequest,
    ChangeInvisibleTimeRequest,
    PopHandle,
    PopMessageRequest,
)
from rosettamq.remoting.properties import decode_properties
from rosettamq.remoting.records import BatchedMessage, encode_batch
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, records, send_header

POP = RequestCode.POP_MESSAGE
GROUPS = ["T", "G"]  # The queue's own, and another one: both must behave the same.


def pop_header(
    group: str, count: int = 32, poll_ms: int = 0, expression: str = "*", init_mode: int = 0
) -> PopMessageRequest:
    return PopMessageRequest(
        group, "T", -1, count, 60_000, poll_ms, 0, init_mode, "TAG", expression
    )


def pop(peer: Peer, group: str, count: int = 32, expression: str = "*") -> RemotingCommand:
    return peer.call(POP, pop_header(group, count, expression=expression))


def handle(response: RemotingCommand, offset: int) -> str:
    pop_time = int(response.ext_fields["popTime"])
    return str(PopHandle(offset, pop_time, 60_000, 0, "0", "broker-a", 0, offset))


def ack(peer: Peer, group: str, response: RemotingCommand, offset: int) -> int:
    header = AckMessageRequest(group, "T", 0, handle(response, offset), offset)
    return peer.call(RequestCode.ACK_MESSAGE, header).code


@pytest.fixture(params=GROUPS)
def group(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_a_pop_tells_what_its_handles_are_made_of(peer: Peer, group: str) -> None:
    for body in (b"0", b"1", b"2"):
        peer.publish("T", body)
    response = pop(peer, group, count=2)
    assert bodies(response) == [b"0", b"1"]
    assert response.ext_fields == {
        "popTime": "1700000000000",
        "invisibleTime": "60000",
        "reviveQid": "0",
        "restNum": "1",
        "startOffsetInfo": "0 0 0",
        "msgOffsetInfo": "0 0 0,1",
    }
    assert bodies(pop(peer, group)) == [b"2"]


def test_nothing_is_polling_timeout(peer: Peer, group: str) -> None:
    assert pop(peer, group).code == 17
    peer.publish("T", b"0")
    pop(peer, group)
    assert pop(peer, group).code == 210


def test_what_is_acknowledged_never_comes_again(
    broker: NativeBroker, peer: Peer, group: str
) -> None:
    for body in (b"0", b"1"):
        peer.publish("T", body)
    response = pop(peer, group)
    assert ack(peer, group, response, 1) == 0
    broker.clock.advance(61)
    again = broker.connect().call(POP, pop_header(group))
    assert [(r.body, r.reconsume_times) for r in records(again)] == [(b"0", 1)]


def test_the_committed_offset_waits_for_the_lowest(broker: NativeBroker, peer: Peer) -> None:
    for body in (b"0", b"1", b"2"):
        peer.publish("T", body)
    queue = broker.virtual_host.queues["T"]
    response = pop(peer, "G")
    ack(peer, "G", response, 1)
    assert Lane(queue).group_offset("G") == 0
    ack(peer, "G", response, 0)
    assert Lane(queue).group_offset("G") == 2
    assert (queue.ready_count, queue.unsettled_count) == (3, 0)


def test_a_late_acknowledgement_is_refused(broker: NativeBroker, peer: Peer, group: str) -> None:
    """Otherwise it would acknowledge what somebody else works on by now."""
    peer.publish("T", b"0")
    first = pop(peer, group)
    broker.clock.advance(61)
    peer = broker.connect()
    second = pop(peer, group)
    assert bodies(second) == [b"0"]
    assert ack(peer, group, first, 0) == 208
    assert ack(peer, group, second, 0) == 0
    assert ack(peer, group, second, 0) == 208


def test_a_pop_survives_its_connection(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    response = pop(peer, group)
    peer.lose()
    other = broker.connect()
    assert pop(other, group).code == 210
    assert ack(other, group, response, 0) == 0


def test_the_invisible_time_can_be_changed(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    response = pop(peer, group)
    broker.clock.advance(50)
    header = ChangeInvisibleTimeRequest(group, "T", 0, handle(response, 0), 0, 30_000)
    changed = peer.call(RequestCode.CHANGE_MESSAGE_INVISIBLETIME, header)
    assert changed.ext_fields == {
        "popTime": "1700000050000",
        "invisibleTime": "30000",
        "reviveQid": "0",
    }
    broker.clock.advance(29)
    assert pop(peer, group).code == 210
    assert ack(peer, group, response, 0) == 208  # The old handle is void.
    broker.clock.advance(2)
    assert bodies(pop(peer, group)) == [b"0"]


@pytest.mark.parametrize(
    "names",
    [
        {"group": "c", "topic": "t", "start": "so", "time": "pt", "bits": "b"},
        {
            "group": "consumerGroup",
            "topic": "topic",
            "start": "startOffset",
            "time": "popTime",
            "bits": "bitSet",
        },
    ],
    ids=["short", "long"],
)
def test_many_at_once(broker: NativeBroker, peer: Peer, group: str, names: dict[str, str]) -> None:
    for index in range(10):
        peer.publish("T", b"%d" % index)
    response = pop(peer, group)
    bits = base64.b64encode(bytes([0b11111110, 0b1])).decode()
    pop_time = int(response.ext_fields["popTime"])
    values = {"group": group, "topic": "T", "start": 0, "time": pop_time, "bits": bits}
    entry = {names[field]: value for field, value in values.items()}
    answer = peer.call(
        RequestCode.BATCH_ACK_MESSAGE, None, {"brokerName": "broker-a", "acks": [entry]}
    )
    assert answer.code == 0
    broker.clock.advance(61)
    assert bodies(broker.connect().call(POP, pop_header(group))) == [b"0", b"9"]


@pytest.mark.parametrize("body", [b"", b"[]", b'{"acks":[{}]}', b'{"acks":[{"c":1}]}', b"\xff"])
def test_what_is_no_batch_of_acknowledgements(peer: Peer, body: bytes) -> None:
    assert peer.call(RequestCode.BATCH_ACK_MESSAGE, None, body).code == 29


def test_a_waiting_pop_gets_the_next_message(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    response = pop(peer, group)
    opaque = peer.request(POP, pop_header(group, poll_ms=10_000))
    assert peer.received() == []
    broker.publish("", "T", b"1")
    (answer,) = peer.received()
    assert (answer.opaque, bodies(answer)) == (opaque, [b"1"])
    assert ack(peer, group, response, 0) == 0


def test_a_waiting_pop_gets_what_comes_back(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    pop(peer, group)
    broker.clock.advance(55)
    peer.request(POP, pop_header(group, poll_ms=10_000))
    broker.clock.advance(6)
    assert bodies(peer.received()[0]) == [b"0"]


def test_a_waiting_pop_ends(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    pop(peer, group)
    peer.request(POP, pop_header(group, poll_ms=10_000))
    broker.clock.advance(10)
    assert [response.code for response in peer.received()] == [210]


def test_two_who_wait_get_one_message_each(broker: NativeBroker, peer: Peer, group: str) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True))
    other = broker.connect()
    for waiting in (peer, other):
        waiting.request(POP, pop_header(group, count=1, poll_ms=10_000))
    broker.publish("", "T", b"0")
    broker.publish("", "T", b"1")
    got = [bodies(response) for waiting in (peer, other) for response in waiting.received()]
    assert sorted(got) == [[b"0"], [b"1"]]


def test_the_filter(peer: Peer, group: str) -> None:
    for tag in "abab":
        peer.publish("T", tag.encode(), f"TAGS\x01{tag}\x02")
    assert bodies(pop(peer, group, expression="b")) == [b"b", b"b"]


def test_a_new_group_starts_at_the_end_of_a_queue_that_is_not_young(
    broker: NativeBroker, peer: Peer
) -> None:
    for body in (b"0", b"1"):
        peer.publish("T", body)
    assert peer.call(POP, pop_header("young", init_mode=1, count=1)).code == 0
    queue = broker.virtual_host.queues["T"]
    Lane(queue).commit_group_offset("young", 2)
    queue.take(1)
    queue.settle(0, 1)
    assert peer.call(POP, pop_header("late", init_mode=1)).code == 210
    assert bodies(peer.call(POP, pop_header("early", init_mode=0))) == [b"1"]


def test_an_offset_that_is_set_resets_the_pops(broker: NativeBroker, peer: Peer) -> None:
    for body in (b"0", b"1"):
        peer.publish("T", body)
    response = pop(peer, "G")
    ext = {"consumerGroup": "G", "topic": "T", "queueId": "0", "commitOffset": "0"}
    peer.call(RequestCode.UPDATE_CONSUMER_OFFSET, ext)
    assert bodies(pop(peer, "G")) == [b"0", b"1"]
    assert response.code == 0


@pytest.mark.parametrize(
    ("count", "invisible_ms", "queue_id"), [(33, 1, -1), (0, 1, -1), (1, -1, -1), (1, 1, 1)]
)
def test_what_is_out_of_range(
    broker: NativeBroker, peer: Peer, count: int, invisible_ms: int, queue_id: int
) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("T"))
    header = PopMessageRequest("G", "T", queue_id, count, invisible_ms)
    assert peer.call(POP, header).code == 29


def test_a_deleted_queue_forgets_its_pops(broker: NativeBroker, peer: Peer, group: str) -> None:
    peer.publish("T", b"0")
    pop(peer, group)
    broker.virtual_host.delete_queue("T")
    broker.clock.advance(61)
    assert broker.connect().call(POP, pop_header(group)).code == 17


def test_after_a_restart_what_was_not_acknowledged_comes_again(tmp_path: Path) -> None:
    folder = tmp_path / "restart"
    broker = NativeBroker(folder)
    peer = broker.connect()
    for body in (b"0", b"1", b"2"):
        peer.publish("T", body)
    response = pop(peer, "G")
    ack(peer, "G", response, 0)
    own = pop(peer, "T")
    ack(peer, "T", own, 2)
    broker.stop()
    broker = NativeBroker(folder)
    peer = broker.connect()
    assert bodies(pop(peer, "G")) == [b"1", b"2"]
    assert bodies(pop(peer, "T")) == [b"0", b"1"]
    broker.stop()


def test_a_pop_takes_what_its_sql_selects(peer: Peer, group: str) -> None:
    for number in range(4):
        peer.publish("T", b"%d" % number, f"a\x01{number}\x02")
    header = PopMessageRequest(group, "T", -1, 32, 60_000, 0, 0, 0, "SQL92", "a BETWEEN 1 AND 2")
    assert bodies(peer.call(POP, header)) == [b"1", b"2"]


def test_so_many_are_in_flight_at_most(tmp_path: Path, group: str) -> None:
    broker = NativeBroker(tmp_path / "data", NativeConfig(in_flight_max=2))
    peer = broker.connect()
    for _ in range(3):
        peer.publish("T", b"x")
    first = pop(peer, group, count=1)
    pop(peer, group, count=1)
    full = peer.call(POP, pop_header(group, poll_ms=5000))
    assert (full.code, full.remark) == (
        209,
        "2 messages are popped and not acknowledged, which is the limit",
    )
    assert ack(peer, group, first, 0) == 0
    assert bodies(pop(peer, group, count=1)) == [b"x"]
    broker.stop()


def test_so_many_wait_at_most(tmp_path: Path, group: str) -> None:
    """Another one is told to come again in a moment, and not that there is nothing."""
    broker = NativeBroker(tmp_path / "data", NativeConfig(held_requests_max=1))
    peer = broker.connect()
    broker.virtual_host.declare_queue(QueueDeclaration("T", durable=True))
    peer.request(POP, pop_header(group, poll_ms=5000))
    full = peer.call(POP, pop_header(group, poll_ms=5000))
    assert (full.code, full.remark) == (
        209,
        "1 requests wait on this connection, which is the limit",
    )
    pull = peer.call(RequestCode.PULL_MESSAGE, pull_header(group, "T", 0, suspend_ms=5000))
    assert (pull.code, pull.ext_fields["nextBeginOffset"]) == (215, "0")
    broker.stop()


def test_a_filter_that_passes_over_much_is_asked_again(peer: Peer) -> None:
    """The queue has more: who waits for the next message would wait in vain."""
    batch = encode_batch([BatchedMessage(b"", b"TAGS\x01b\x02")] * 1100)
    peer.call(RequestCode.SEND_BATCH_MESSAGE, send_header("T").to_letters(), batch)
    peer.publish("T", b"wanted", "TAGS\x01a\x02")
    first = peer.call(POP, pop_header("G", poll_ms=5000, expression="a"))
    assert first.code == 210
    assert bodies(peer.call(POP, pop_header("G", poll_ms=5000, expression="a"))) == [b"wanted"]


def test_an_ordered_pop_is_refused(peer: Peer) -> None:
    ext = pop_header("G").to_ext() | {"order": "true"}
    response = peer.call(POP, ext)
    assert (response.code, response.remark) == (3, "an ordered pop is not supported")


class TestWhatComesBackTooOften:
    """Of another group than the queue's own, as a queue has rules of its own for that."""

    def come_back(self, broker: NativeBroker, times: int) -> list[int]:
        """Pop and give back so often; return the times that each message was popped before."""
        seen = []
        for _ in range(times):
            peer = broker.connect()
            seen += [record.reconsume_times for record in records(pop(peer, "G", count=1))]
            broker.clock.advance(61)
            peer.lose()
        return seen

    def test_is_a_dead_letter(self, broker: NativeBroker, peer: Peer) -> None:
        """So the group goes on: its committed offset waits for nobody who never comes."""
        peer.publish("T", b"poison", "UNIQ_KEY\x01ID\x02")
        peer.publish("T", b"next")
        assert self.come_back(broker, 17) == list(range(17))
        queue = broker.virtual_host.queues["T"]
        assert Lane(queue).group_offset("G") == 1
        peer = broker.connect()
        assert bodies(pop(peer, "G")) == [b"next"]
        (letter,) = records(peer.call(RequestCode.PULL_MESSAGE, pull_header("any", "%DLQ%G", 0)))
        assert (letter.body, letter.reconsume_times) == (b"poison", 17)
        assert decode_properties(letter.properties)["RETRY_TOPIC"] == "T"
        assert (queue.ready_count, queue.unsettled_count) == (2, 0)

    def test_comes_again_as_long_as_that_has_no_room(
        self, broker: NativeBroker, peer: Peer
    ) -> None:
        arguments = {"x-max-length": 0, "x-overflow": "reject-publish"}
        full = QueueDeclaration("%DLQ%G", durable=True, arguments=arguments)
        broker.virtual_host.declare_queue(full)
        peer.publish("T", b"poison")
        assert self.come_back(broker, 19) == list(range(19))
        broker.virtual_host.delete_queue("%DLQ%G")
        assert self.come_back(broker, 2) == [19]
        assert broker.virtual_host.queues["%DLQ%G"].ready_count == 1
