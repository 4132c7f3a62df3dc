"""A real RabbitMQ and our gateway, side by side, and the ways into them."""

from __future__ import annotations

from typing import NamedTuple

from bench.servers import RabbitMQ, RosettaMQ, Server
from tests.differential.definitions import ELSEWHERE, HOME
from tests.differential.janitor import Janitor
from tests.differential.management import Management

PLUGINS = (
    "rabbitmq_management",
    "rabbitmq_consistent_hash_exchange",
    "rabbitmq_random_exchange",
    "rabbitmq_recent_history_exchange",
    "rabbitmq_jms_topic_exchange",
)


class Brokers(NamedTuple):
    """The reference, and us."""

    theirs: RabbitMQ
    ours: RosettaMQ


class Access:
    """To one broker: its ports, and who looks after it."""

    def __init__(self, server: Server) -> None:
        self.port = server.port
        self.stomp_port = server.stomp_port
        self.janitors = {name: Janitor(server.port, name) for name in (HOME, ELSEWHERE)}
        self.management = Management(server.http_port)

    def close(self) -> None:
        """Hang up everywhere."""
        for janitor in self.janitors.values():
            janitor.close()
        self.management.close()
