import json

import pytest

from rosettamq.remoting.codes import CommandFlag, RequestCode
from rosettamq.remoting.headers import GroupRequest, TopicRequest
from tests.support.native_peer import NativeBroker, Peer


def heartbeat(client_id: str, *topics: str, **consumer: object) -> dict[str, object]:
    subscriptions = [{"topic": topic, "subString": "*", "subVersion": "1"} for topic in topics]
    return {
        "clientID": client_id,
        "consumerDataSet": [
            {"groupName": "G", "subscriptionDataSet": subscriptions, **consumer},
        ],
    }


def members(peer: Peer) -> list[str] | int:
    response = peer.call(RequestCode.GET_CONSUMER_LIST_BY_GROUP, GroupRequest("G"))
    if response.code:
        return response.code
    ids: list[str] = json.loads(response.body)["consumerIdList"]
    return ids


def notified(peer: Peer) -> list[str]:
    commands = [command for command in peer.received() if not command.is_response]
    assert all(command.flag == CommandFlag.ONE_WAY for command in commands)
    assert all(command.code == 40 for command in commands)
    return [command.ext_fields["consumerGroup"] for command in commands]


def beat(peer: Peer, client_id: str, *topics: str, **consumer: object) -> list[str]:
    """Send a heartbeat; return of which groups the sender was notified."""
    opaque = peer.request(RequestCode.HEART_BEAT, None, heartbeat(client_id, *topics, **consumer))
    answers = peer.received()
    (answer,) = [command for command in answers if command.is_response]
    assert (answer.opaque, answer.code, answer.version) == (opaque, 0, 479)
    return [command.ext_fields["consumerGroup"] for command in answers if not command.is_response]


def test_members_are_told_of_each_change(broker: NativeBroker, peer: Peer) -> None:
    other = broker.connect()
    assert beat(peer, "c1", "T") == ["G"]
    assert beat(peer, "c1", "T") == []
    assert beat(other, "c2", "T") == ["G"]
    assert notified(peer) == ["G"]
    assert members(peer) == ["c1", "c2"]
    assert beat(other, "c2", "T", "U") == ["G"]
    assert notified(peer) == ["G"]
    other.lose()
    assert notified(peer) == ["G"]
    assert members(peer) == ["c1"]


def test_a_retry_topic_is_there_once_a_member_subscribes_to_it(
    broker: NativeBroker, peer: Peer
) -> None:
    """And has a route before: clients ask for it first, and again after 30 s only."""
    beat(peer, "c1", "T")
    assert list(broker.virtual_host.queues) == []
    route = broker.connect_name_server().call(
        RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest("%RETRY%G")
    )
    assert route.code == 0
    beat(peer, "c1", "T", "%RETRY%G", "%RETRY%another")
    assert list(broker.virtual_host.queues) == ["%RETRY%G"]
    assert broker.virtual_host.queues["%RETRY%G"].durable


def test_nobody_is_an_error(peer: Peer) -> None:
    """Clients keep their queues upon an error, but would give them up upon an empty list."""
    assert members(peer) == 1
    beat(peer, "c1")
    peer.call(RequestCode.UNREGISTER_CLIENT, {"clientID": "c1", "consumerGroup": "G"})
    assert members(peer) == 1


def test_the_cpp_client_leaves_the_other_group_empty(peer: Peer) -> None:
    beat(peer, "c1")
    ext = {"clientID": "c1", "consumerGroup": "", "producerGroup": "P"}
    assert peer.call(RequestCode.UNREGISTER_CLIENT, ext).code == 0
    assert members(peer) == ["c1"]


@pytest.mark.parametrize("kind", ["CONSUME_POP", 2])
def test_who_pops_has_no_part_in_sharing_out_the_queues(
    broker: NativeBroker, peer: Peer, kind: object
) -> None:
    beat(broker.connect(), "a", "T", consumeType=kind)
    assert members(peer) == 1
    beat(peer, "b", "T")
    assert members(peer) == ["b"]


@pytest.mark.parametrize("model", ["BROADCASTING", 0])
def test_broadcast_groups_are_not_told(peer: Peer, model: object) -> None:
    assert beat(peer, "c1", "T", messageModel=model) == []


@pytest.mark.parametrize("body", [b"", b"{}", b"[1]", b'{"clientID":{}}', b"\xff", b"[" * 9999])
def test_what_is_no_heartbeat(peer: Peer, body: bytes) -> None:
    assert peer.call(RequestCode.HEART_BEAT, None, body).code == 29


def test_a_subscription_that_cannot_work_fails_at_the_start(peer: Peer) -> None:
    def check(kind: str, expression: str) -> int:
        data = {"topic": "T", "subString": expression, "expressionType": kind}
        body = {"clientId": "c", "group": "G", "subscriptionData": data}
        return peer.call(RequestCode.CHECK_CLIENT_CONFIG, None, body).code

    assert (check("TAG", "a"), check("SQL92", "a > 1")) == (0, 0)
    assert (check("SQL92", "a >"), check("XPATH", "a")) == (23, 1)


def test_one_client_at_a_time_holds_a_queue(broker: NativeBroker, peer: Peer) -> None:
    def lock(client_id: str, code: int = RequestCode.LOCK_BATCH_MQ) -> object:
        queue = {"topic": "T", "brokerName": "broker-a", "queueId": 0}
        body = {"consumerGroup": "G", "clientId": client_id, "mqSet": [queue]}
        answer = peer.call(code, None, body)
        return json.loads(answer.body)["lockOKMQSet"] == [queue] if answer.body else None

    assert lock("c1") is True
    assert lock("c2") is False
    broker.clock.advance(50)
    assert lock("c1") is True
    broker.clock.advance(50)
    assert lock("c2") is False
    broker.clock.advance(11)
    assert broker.connect() is not peer
    assert lock("c2") is True
    assert lock("c1", RequestCode.UNLOCK_BATCH_MQ) is None
    assert lock("c1") is False
    lock("c2", RequestCode.UNLOCK_BATCH_MQ)
    assert lock("c1") is True


@pytest.mark.parametrize("name", ["", "g" * 256])
def test_a_group_has_a_name(peer: Peer, name: str) -> None:
    other = {"groupName": "G"}
    body = {"clientID": "c", "consumerDataSet": [other, {"groupName": name}]}
    assert peer.call(RequestCode.HEART_BEAT, None, body).code == 29
    assert members(peer) == 1


def test_a_client_is_in_so_many_groups_at_most(peer: Peer) -> None:
    def join(first: int, end: int) -> int:
        groups = [{"groupName": f"g{number}"} for number in range(first, end)]
        peer.request(RequestCode.HEART_BEAT, None, {"clientID": "c", "consumerDataSet": groups})
        return next(command.code for command in peer.received() if command.is_response)

    assert (join(0, 1024), join(0, 1024)) == (0, 0)
    assert join(1024, 1025) == 1
    peer.call(RequestCode.UNREGISTER_CLIENT, {"clientID": "c", "consumerGroup": "g7"})
    assert join(1024, 1025) == 0
