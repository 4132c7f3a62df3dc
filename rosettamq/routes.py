"""Where a topic is: what the name server answers, and which queues that means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from rosettamq.errors import ProtocolError
from rosettamq.message import MessageQueue

_WRITE = 2
_READ = 4
_MASTER = "0"
# Older Java writes {0:"10.0.0.1:10911"}: keys that are no JSON.
_BARE_KEY = re.compile(r"([{,]\s*)(\d+)(\s*:)")


@dataclass(frozen=True, slots=True)
class BrokerQueues:
    """How many queues of a topic one broker has, and what may be done there."""

    broker_name: str
    read_queue_count: int
    write_queue_count: int
    permission: int


@dataclass(frozen=True, slots=True)
class TopicRoute:
    """The brokers of a topic. `addresses` are those of the masters, by broker name."""

    addresses: dict[str, str]
    queues: tuple[BrokerQueues, ...]

    def writable_queues(self, topic: str) -> list[MessageQueue]:
        """The queues to send to: only masters take messages."""
        return [
            MessageQueue(topic, broker.broker_name, index)
            for broker in self.queues
            if broker.permission & _WRITE and broker.broker_name in self.addresses
            for index in range(broker.write_queue_count)
        ]

    def readable_queues(self, topic: str) -> list[MessageQueue]:
        """The queues to read from."""
        return [
            MessageQueue(topic, broker.broker_name, index)
            for broker in self.queues
            if broker.permission & _READ and broker.broker_name in self.addresses
            for index in range(broker.read_queue_count)
        ]


def parse_route(body: bytes) -> TopicRoute:
    """Read the body of GET_ROUTEINFO_BY_TOPIC; raises `ProtocolError`."""
    try:
        document = _parse(body.decode("utf-8"))
        addresses = {
            str(broker["brokerName"]): str(broker["brokerAddrs"][_MASTER])
            for broker in document["brokerDatas"]
            if _MASTER in broker["brokerAddrs"]
        }
        queues = tuple(
            BrokerQueues(
                str(queue["brokerName"]),
                int(queue["readQueueNums"]),
                int(queue["writeQueueNums"]),
                int(queue["perm"]),
            )
            for queue in document["queueDatas"]
        )
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ProtocolError("the name server's answer is no route") from error
    return TopicRoute(addresses, queues)


def _parse(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return json.loads(_BARE_KEY.sub(r'\1"\2"\3', text))
