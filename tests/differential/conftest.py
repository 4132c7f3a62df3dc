"""The two brokers that everything here is said to, started once for all of it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from bench.servers import RabbitMQ, RosettaMQ
from tests.differential.brokers import PLUGINS, Access, Brokers
from tests.differential.definitions import define


@pytest.fixture(scope="session")
def brokers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Brokers]:
    """Both, with the users, permissions and policies that the examples count on."""
    if not RabbitMQ.is_installed():
        pytest.skip("needs RabbitMQ to compare with: apt-get install rabbitmq-server")
    folder = tmp_path_factory.mktemp("differential")
    servers = (
        RabbitMQ(folder / "reference", speaks_stomp=True, plugins=PLUGINS),
        RosettaMQ(folder / "ours"),
    )
    with ExitStack() as stack, ThreadPoolExecutor() as threads:
        brokers = Brokers(*threads.map(stack.enter_context, servers))
        for server in brokers:
            define(server.http_port)
        yield brokers
        for server in brokers:
            server.kill()  # What is in them is of no use to anybody, and stopping takes seconds.


@pytest.fixture(scope="session")
def accesses(brokers: Brokers) -> Iterator[tuple[Access, Access]]:
    """The ways into both."""
    theirs, ours = map(Access, brokers)
    yield theirs, ours
    theirs.close()
    ours.close()
