"""The interop scenarios in their short form: one broker, real clients, real sockets."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from gateway.demo.clients import make_clients
from gateway.demo.sample import Client
from interop.scenarios import Scenario, all_scenarios
from interop.servers import rosettamq_server

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def clients() -> Iterator[Sequence[Client]]:
    with rosettamq_server() as server:
        yield make_clients(server.addresses)


@pytest.mark.parametrize("scenario", all_scenarios().values(), ids=lambda s: s.__name__)
def test_holds_between_all_languages(scenario: Scenario, clients: Sequence[Client]) -> None:
    problems = {
        f"{outcome.row} -> {outcome.column}": list(outcome.problems)
        for outcome in scenario(clients)
        if outcome.problems
    }
    assert problems == {}
