"""Clients have the rights of one user, whom the configuration names."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.queues.lane import Lane
from gateway.security.permissions import Permission, TopicPermission
from protocols.native.front_end import OPERATIONS, NativeConfig
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import (
    PopMessageRequest,
    SendBackRequest,
    TopicRequest,
    ViewMessageRequest,
)
from tests.support.native_peer import NativeBroker, Peer, bodies, pull_header, send_header

USER = "rocketmq"
SEND, PULL = RequestCode.SEND_MESSAGE_V2, RequestCode.PULL_MESSAGE
ROUTE = RequestCode.GET_ROUTEINFO_BY_TOPIC
TOPICS = RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NativeBroker]:
    """Its clients are a user who may do nothing yet."""
    broker = NativeBroker(tmp_path / "data", NativeConfig(user=USER))
    broker.gateway.users.put(USER, password="x")
    grant(broker)
    yield broker
    broker.stop()


def grant(broker: NativeBroker, configure: str = "", write: str = "", read: str = "") -> None:
    broker.gateway.permissions.put(Permission(USER, "/", configure, write, read))


def make_queue(broker: NativeBroker, name: str = "T") -> Lane:
    return Lane(broker.virtual_host.declare_queue(QueueDeclaration(name, durable=True)))


def send(peer: Peer, topic: str, properties: str = "") -> tuple[int, str | None]:
    answer = peer.call(SEND, send_header(topic, properties).to_letters(), b"x")
    return answer.code, answer.remark


def pull(peer: Peer, topic: str = "T") -> RemotingCommand:
    return peer.call(PULL, pull_header("G", topic, 0))


def test_guest_may_come_from_this_machine_only(tmp_path: Path) -> None:
    """Whatever it asks for, and on both ports."""
    broker = NativeBroker(tmp_path / "data", loopback_users=("guest",))
    peer, name_server = broker.connect(), broker.connect_name_server()
    answers = [peer.call(code) for code in OPERATIONS]
    answers += [name_server.call(code, TopicRequest("T")) for code in (ROUTE, TOPICS)]
    assert {(answer.code, answer.remark) for answer in answers} == {
        (16, "user 'guest' can only connect via localhost")
    }
    assert peer.call(999).code == 3
    broker.stop()


def test_a_user_has_to_exist(tmp_path: Path) -> None:
    broker = NativeBroker(tmp_path / "data", NativeConfig(user="nobody"))
    assert pull(broker.connect()).remark == "user 'nobody' does not exist"
    broker.stop()


def test_a_user_without_rights_can_do_nothing(broker: NativeBroker, peer: Peer) -> None:
    lane = make_queue(broker)
    broker.publish("", "T", b"secret")
    log_offset = lane.location(0).log_offset
    queue = {"topic": "T", "queueId": "0", "consumerGroup": "G", "commitOffset": "0"}
    handle = {"extraInfo": "0 1 2 0 0 b 0 0", "offset": "0", "invisibleTime": "1"}
    ack = {"acks": [{"c": "G", "t": "T", "so": 0, "pt": 1, "b": "AQ=="}]}
    refused = [
        peer.call(SEND, send_header("T").to_letters()),
        pull(peer),
        peer.call(RequestCode.POP_MESSAGE, PopMessageRequest("G", "T", -1, 1, 1000)),
        peer.call(RequestCode.BATCH_ACK_MESSAGE, None, ack),
        *(
            peer.call(code, queue | handle | {"timestamp": "0"})
            for code in (
                RequestCode.QUERY_CONSUMER_OFFSET,
                RequestCode.UPDATE_CONSUMER_OFFSET,
                RequestCode.GET_MAX_OFFSET,
                RequestCode.GET_MIN_OFFSET,
                RequestCode.SEARCH_OFFSET_BY_TIMESTAMP,
                RequestCode.ACK_MESSAGE,
                RequestCode.CHANGE_MESSAGE_INVISIBLETIME,
            )
        ),
        peer.call(RequestCode.UPDATE_AND_CREATE_TOPIC, TopicRequest("N")),
    ]
    assert {answer.code for answer in refused} == {16}
    not_found = [
        peer.call(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequest(log_offset)),
        peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, SendBackRequest(log_offset, "G", 0)),
    ]
    assert {answer.code for answer in not_found} == {1}
    assert list(broker.virtual_host.queues) == ["T"]


def test_sending_is_publishing(broker: NativeBroker, peer: Peer) -> None:
    refused = (
        16,
        "write access to exchange 'amq.default' in vhost '/' refused for user 'rocketmq'",
    )
    make_queue(broker)
    assert send(peer, "T") == refused
    grant(broker, write="^amq.default$")
    assert send(peer, "T")[0] == 0
    assert send(peer, "N") == (
        16,
        "configure access to queue 'N' in vhost '/' refused for user 'rocketmq'",
    )
    grant(broker)
    assert send(peer, "T") == refused


def test_an_exchange_has_its_own_right_and_its_keys(broker: NativeBroker, peer: Peer) -> None:
    broker.virtual_host.declare_exchange(ExchangeDeclaration("E", "topic"))
    grant(broker, write="^E$")
    assert send(peer, "E", "TAGS\x01a\x02")[0] == 0
    broker.gateway.permissions.put_topic(TopicPermission(USER, "/", "E", "^b$", ""))
    assert (send(peer, "E", "TAGS\x01a\x02")[0], send(peer, "E", "TAGS\x01b\x02")[0]) == (16, 0)


def test_reading(broker: NativeBroker, peer: Peer) -> None:
    lane = make_queue(broker)
    broker.publish("", "T", b"x")
    grant(broker, read="^T$")
    assert bodies(pull(peer)) == [b"x"]
    view = ViewMessageRequest(lane.location(0).log_offset)
    assert peer.call(RequestCode.VIEW_MESSAGE_BY_ID, view).code == 0
    assert pull(peer, "U").code == 16


def test_the_broker_fills_retry_topics_itself(broker: NativeBroker, peer: Peer) -> None:
    lane = make_queue(broker)
    broker.publish("", "T", b"x")
    grant(broker, read="^T$")
    header = SendBackRequest(lane.location(0).log_offset, "G", -1)
    assert peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, header).code == 0
    assert broker.virtual_host.queues["%DLQ%G"].ready_count == 1
    assert pull(peer, "%DLQ%G").code == 16


def test_what_lies_in_another_virtual_host_cannot_be_looked_up(
    broker: NativeBroker, peer: Peer
) -> None:
    grant(broker, read=".*")
    broker.gateway.put_virtual_host("other")
    other = broker.gateway.virtual_hosts["other"]
    lane = Lane(other.declare_queue(QueueDeclaration("T", durable=True)))
    make_queue(broker)
    broker.publish("", "T", b"ours")
    _, message, stored = broker.published("", "T", b"theirs")
    other.intake.publish([(other.route("", "T", message[1]), message, stored)])
    log_offset = lane.location(0).log_offset
    view = peer.call(RequestCode.VIEW_MESSAGE_BY_ID, ViewMessageRequest(log_offset))
    back = peer.call(RequestCode.CONSUMER_SEND_MSG_BACK, SendBackRequest(log_offset, "G", 0))
    assert (view.code, back.code) == (1, 1)


def test_the_name_server_tells_of_what_may_be_used(tmp_path: Path) -> None:
    broker = NativeBroker(tmp_path / "data")
    for name in ("a", "c"):
        make_queue(broker, name)
    for name in ("b", "d"):
        broker.virtual_host.declare_exchange(ExchangeDeclaration(name, "fanout"))
    broker.gateway.permissions.put(Permission("guest", "/", ".*", "^b$", "^a$"))
    peer = broker.connect_name_server()
    assert json.loads(peer.call(TOPICS).body)["topicList"] == ["TBW102", "a", "b"]
    names = ("a", "b", "c", "d", "TBW102")
    assert [peer.call(ROUTE, TopicRequest(name)).code for name in names] == [0, 0, 16, 16, 0]
    broker.gateway.permissions.put(Permission("guest", "/", "", "^amq.default$", ""))
    assert [peer.call(ROUTE, TopicRequest(name)).code for name in names] == [0, 16, 0, 16, 0]
    broker.stop()


class TestTheListOfConnections:
    def test_a_client_is_there_from_its_first_request_on(self, broker: NativeBroker) -> None:
        peer = broker.connect()
        assert list(broker.gateway.connections) == []
        peer.request(RequestCode.GET_BROKER_CONFIG)
        (entry,) = broker.gateway.connections
        facts = entry.connection.facts()
        assert (entry.user, entry.virtual_host, facts.protocol) == (USER, "/", "RocketMQ")
        assert str(facts.ends) == "10.0.0.1:40000 -> 10.0.0.2:10911"
        assert (facts.client_properties["platform"], facts.auth_mechanism) == ("PYTHON", "")
        assert list(entry.connection.channel_facts()) == []
        peer.lose()
        assert list(broker.gateway.connections) == []

    def test_it_can_be_closed(self, broker: NativeBroker, peer: Peer) -> None:
        """As those of a user are who is deleted."""
        peer.request(RequestCode.GET_BROKER_CONFIG)
        broker.gateway.delete_user(USER)
        broker.gateway.turn.end()
        assert peer.wire.disconnecting

    def test_there_may_be_a_limit(self, broker: NativeBroker, peer: Peer) -> None:
        broker.gateway.users.set_limit(USER, "max-connections", 1)
        assert peer.call(RequestCode.GET_BROKER_CONFIG).code == 0
        other = broker.connect()
        refused = other.call(RequestCode.GET_BROKER_CONFIG)
        assert (refused.code, refused.remark) == (
            16,
            "connection refused for user 'rocketmq': user connection limit (1) is reached",
        )
        peer.lose()
        assert other.call(RequestCode.GET_BROKER_CONFIG).code == 0
