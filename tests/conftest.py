"""A machine that is busy is no reason to fail, and no test leaves files open."""

import os
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import settings

from core.broker import Broker
from tests.support.live_broker import is_alive, kill

# CI draws the same examples each time; whoever runs the tests by hand gets others.
settings.register_profile("rosettamq", deadline=None, derandomize="CI" in os.environ)
settings.load_profile("rosettamq")


@pytest.fixture(scope="session")
def started_brokers() -> Iterator[list[Broker]]:
    """Every broker that was started, whoever did it."""
    started: list[Broker] = []
    start = Broker.start

    def noting(broker: Broker, *arguments: Any) -> None:
        start(broker, *arguments)
        started.append(broker)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Broker, "start", noting)
        yield started


@pytest.fixture(autouse=True)
def _nothing_stays_alive(started_brokers: list[Broker]) -> Iterator[None]:
    """To Python a broker's files are numbers: nobody else would ever close them.

    What a fixture of a wider scope has started is its own affair.
    """
    count = len(started_brokers)
    yield
    for broker in started_brokers[count:]:
        if is_alive(broker):
            kill(broker)
    del started_brokers[count:]
