import json

import pytest

from gateway.config import ConfigError, load_config
from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from protocols.native.front_end import NativeConfig
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import TopicRequest
from rosettamq.routes import parse_route
from tests.support.native_peer import NativeBroker, Peer


@pytest.fixture
def names(broker: NativeBroker) -> Peer:
    return broker.connect_name_server()


def route(names: Peer, topic: str) -> RemotingCommand:
    return names.call(RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest(topic))


def test_queues_and_exchanges_are_topics(broker: NativeBroker, names: Peer) -> None:
    assert route(names, "T").code == 17
    broker.virtual_host.declare_queue(QueueDeclaration("T"))
    broker.virtual_host.declare_exchange(ExchangeDeclaration("E", "fanout"))
    for topic in ("T", "E"):
        assert json.loads(route(names, topic).body) == {
            "brokerDatas": [
                {
                    "brokerAddrs": {"0": "10.0.0.2:10911"},
                    "brokerName": "broker-a",
                    "cluster": "DefaultCluster",
                    "enableActingMaster": False,
                }
            ],
            "filterServerTable": {},
            "queueDatas": [
                {
                    "brokerName": "broker-a",
                    "perm": 6,
                    "readQueueNums": 1,
                    "topicSysFlag": 0,
                    "writeQueueNums": 1,
                }
            ],
        }


def test_the_template_is_always_there_and_inherits(names: Peer) -> None:
    assert json.loads(route(names, "TBW102").body)["queueDatas"][0]["perm"] == 7


def test_the_default_exchange_is_no_topic(names: Peer) -> None:
    assert route(names, "").code == 17


@pytest.mark.parametrize(
    ("host", "shown"),
    [("0.0.0.0", "192.168.1.1:10911"), ("::", "192.168.1.1:10911"), ("::1", "[::1]:10911")],
)
def test_a_broker_on_all_interfaces_is_where_the_client_found_us(
    broker: NativeBroker, names: Peer, host: str, shown: str
) -> None:
    broker.front_end.listening("native", host, 10911)
    assert parse_route(route(names, "TBW102").body).addresses == {"broker-a": shown}


def test_the_cluster_and_the_topics(broker: NativeBroker, names: Peer) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("T"))
    cluster = json.loads(names.call(RequestCode.GET_BROKER_CLUSTER_INFO).body)
    assert cluster["clusterAddrTable"] == {"DefaultCluster": ["broker-a"]}
    topics = json.loads(names.call(RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER).body)
    assert {"T", "TBW102", "amq.topic"} <= set(topics["topicList"])


def test_a_stopped_broker_is_not_shown(broker: NativeBroker, names: Peer) -> None:
    broker.front_end.stop()
    assert parse_route(route(names, "TBW102").body).addresses == {}


def test_the_broker_does_not_answer_for_the_name_server(peer: Peer, names: Peer) -> None:
    assert peer.call(RequestCode.GET_ROUTEINFO_BY_TOPIC, TopicRequest("T")).code == 3
    assert names.call(RequestCode.HEART_BEAT).code == 3


def test_what_tools_ask_of_a_broker(peer: Peer) -> None:
    table = json.loads(peer.call(RequestCode.GET_BROKER_RUNTIME_INFO).body)["table"]
    assert table["brokerVersion"] == "479"
    config = peer.call(RequestCode.GET_BROKER_CONFIG)
    assert b"brokerName=broker-a\n" in config.body
    assert json.loads(config.ext_fields["version"])["counter"] == 1


@pytest.mark.parametrize("address", ["mq.example", "mq.example:", ":5", "mq:65536"])
def test_where_no_client_can_connect_is_nothing_to_advertise(address: str) -> None:
    with pytest.raises(ConfigError, match=r"^native: advertised_address: '.*' is not HOST:PORT$"):
        load_config(None, [f"native.advertised_address={address}"], {"native": NativeConfig})
