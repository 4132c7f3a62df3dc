"""What the name server answers: where topics are, which brokers and topics there are."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

from core.name_server import BrokerEntry
from gateway.gateway import Gateway
from gateway.queues.lane import lane_count
from rosettamq.remoting.codes import RequestCode, ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.headers import TopicRequest

from .bodies import encode_body
from .connection import NativeConnection
from .groups import is_retry_topic
from .replies import RefusalError, RequestRefusedError, not_supported, refusal, success
from .rights import Rights

# Producers ask for the route of this topic when theirs is unknown, and create theirs by sending.
TEMPLATE_TOPIC = "TBW102"
_READ_WRITE = 6
_INHERIT = 1


class NameServerSession:
    """One client's questions; nothing here waits."""

    def __init__(
        self,
        gateway: Gateway,
        rights: Rights,
        connection: NativeConnection,
        peer_host: str,
        local_host: Callable[[], str],
    ) -> None:
        self._gateway = gateway
        self._rights = rights
        self._connection = connection
        self._peer_host = peer_host
        self._local_host = local_host  # How the client reached us.

    def handle(self, request: RemotingCommand) -> None:
        """Answer a request, or refuse it."""
        operation = _OPERATIONS.get(request.code)
        if operation is None:
            response = not_supported(request.code)
        else:
            try:
                self._rights.admit(self._peer_host)
                response = operation(self, request)
            except RefusalError as error:
                response = refusal(error)
        self._connection.answer(request, response)

    def finish_read(self) -> None:
        """Nothing is put off."""

    def finish_turn(self) -> None:
        """Nothing waits."""

    def next_deadline(self) -> None:
        """Nothing waits."""

    def handle_deadline(self, now: float) -> None:
        """Nothing waits."""

    def pause(self) -> None:
        """Nothing waits."""

    def resume(self) -> None:
        """Nothing waits."""

    def lost(self) -> None:
        """Nothing is kept for a client."""

    def _get_route(self, request: RemotingCommand) -> RemotingCommand:
        topic = TopicRequest.from_ext(request.ext_fields).topic
        host = self._gateway.default_virtual_host
        is_known = bool(topic) and (topic in host.exchanges or topic in host.queues)
        if not (topic == TEMPLATE_TOPIC or self._rights.may_see(topic)):
            raise RequestRefusedError(
                ResponseCode.NO_PERMISSION, f"there is no right to the topic: {topic}"
            )
        # A retry topic is made by the first heartbeat; clients ask before that, and then late.
        if not (is_known or topic == TEMPLATE_TOPIC or is_retry_topic(topic)):
            raise RequestRefusedError(
                ResponseCode.TOPIC_NOT_EXIST,
                f"No topic route info in name server for the topic: {topic}",
            )
        permission = _READ_WRITE | (_INHERIT if topic == TEMPLATE_TOPIC else 0)
        queue = host.queues.get(topic)
        count = 1 if queue is None else lane_count(queue.light)
        return success(body=encode_body(route_document(self._brokers(), permission, count)))

    def _get_cluster_info(self, request: RemotingCommand) -> RemotingCommand:
        brokers = self._brokers()
        clusters: dict[str, list[str]] = {}
        for broker in brokers:
            clusters.setdefault(broker.cluster, []).append(broker.name)
        addresses = {broker.name: _broker_document(broker) for broker in brokers}
        return success(
            body=encode_body({"brokerAddrTable": addresses, "clusterAddrTable": clusters})
        )

    def _get_topics(self, request: RemotingCommand) -> RemotingCommand:
        host = self._gateway.default_virtual_host
        names = {*host.exchanges, *host.queues} - {""}
        topics = sorted({TEMPLATE_TOPIC, *filter(self._rights.may_see, names)})
        return success(body=encode_body({"topicList": topics}))

    def _brokers(self) -> list[BrokerEntry]:
        """The brokers; one that listens on all interfaces is where the client found us."""
        return [
            replace(
                broker,
                addresses={
                    id: _reachable(address, self._local_host())
                    for id, address in broker.addresses.items()
                },
            )
            for broker in self._gateway.name_server.brokers
        ]


_Operation: TypeAlias = "Callable[[NameServerSession, RemotingCommand], RemotingCommand]"
_OPERATIONS: dict[int, _Operation] = {
    RequestCode.GET_ROUTEINFO_BY_TOPIC: NameServerSession._get_route,
    RequestCode.GET_BROKER_CLUSTER_INFO: NameServerSession._get_cluster_info,
    RequestCode.GET_ALL_TOPIC_LIST_FROM_NAMESERVER: NameServerSession._get_topics,
}


def _reachable(address: str, local_host: str) -> str:
    host, _, port = address.rpartition(":")
    if host not in ("0.0.0.0", "[::]"):
        return address
    return f"[{local_host}]:{port}" if ":" in local_host else f"{local_host}:{port}"


def route_document(
    brokers: list[BrokerEntry], permission: int, read_count: int
) -> dict[str, object]:
    """A topic's route: so many queues on each broker. Keys are quoted, which all clients take.

    Producers see one queue: a message's priority says which queue it is for.
    """
    return {
        "brokerDatas": [_broker_document(broker) for broker in brokers],
        "filterServerTable": {},
        "queueDatas": [
            {
                "brokerName": broker.name,
                "perm": permission,
                "readQueueNums": read_count,
                "topicSysFlag": 0,
                "writeQueueNums": 1,
            }
            for broker in brokers
        ],
    }


def _broker_document(broker: BrokerEntry) -> dict[str, object]:
    return {
        "brokerAddrs": {str(id): address for id, address in broker.addresses.items()},
        "brokerName": broker.name,
        "cluster": broker.cluster,
        "enableActingMaster": False,
    }
