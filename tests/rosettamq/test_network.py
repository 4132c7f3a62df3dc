"""Connections of a client, over channels that are made up."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from rosettamq.channel import OnRequest
from rosettamq.errors import BrokerConnectionError, ClosedError, RequestTimeoutError
from rosettamq.network import Network
from rosettamq.remoting.command import RemotingCommand

ROUTE = b"""{"brokerDatas":[{"brokerAddrs":{"0":"broker:1"},"brokerName":"b"}],
"queueDatas":[{"brokerName":"b","perm":6,"readQueueNums":1,"writeQueueNums":1}]}"""


class FakeChannel:
    """Answers everything with a route, and remembers how long it was given."""

    is_closed = False

    def __init__(self) -> None:
        self.timeouts: list[float] = []

    def call(self, command: RemotingCommand, timeout_s: float) -> RemotingCommand:
        self.timeouts.append(timeout_s)
        return RemotingCommand(0, body=ROUTE)

    def close(self) -> None:
        self.is_closed = True


def network(connect: Callable[[str, OnRequest | None, float], object]) -> Network:
    return Network("first:1;second:1", connect=connect)  # type: ignore[arg-type]


def test_who_connects_keeps_nobody_from_another_address() -> None:
    connecting, go_on = threading.Event(), threading.Event()

    def connect(address: str, on_request: OnRequest | None, timeout_s: float) -> FakeChannel:
        if address == "dead:1":
            connecting.set()
            go_on.wait()
            raise BrokerConnectionError("dead")
        return FakeChannel()

    clients = network(connect)

    def ask_the_dead() -> None:
        with pytest.raises(BrokerConnectionError):
            clients.channel("dead:1")

    thread = threading.Thread(target=ask_the_dead)
    thread.start()
    connecting.wait()
    assert clients.channel("live:1") is clients.channel("live:1")
    with pytest.raises(RequestTimeoutError):
        clients.channel("dead:1", 0.001)
    go_on.set()
    thread.join()
    clients.close()


def test_the_time_for_a_route_is_for_all_name_servers_together() -> None:
    given: list[float] = []

    def connect(address: str, on_request: OnRequest | None, timeout_s: float) -> FakeChannel:
        given.append(timeout_s)
        if address == "first:1":
            raise BrokerConnectionError("dead")
        return channel

    channel = FakeChannel()
    clients = network(connect)
    assert clients.route("T", 1.0).addresses == {"b": "broker:1"}
    assert [0 < timeout_s <= 1.0 for timeout_s in given + channel.timeouts] == [True] * 3
    clients.close()


def test_a_heartbeat_has_no_more_time_than_the_send_that_it_goes_before() -> None:
    channel = FakeChannel()
    clients = network(lambda address, on_request, timeout_s: channel)
    clients.start_heartbeats(lambda: RemotingCommand(34))
    assert clients.broker_at("broker:1", 0.5) is channel
    assert clients.broker_at("broker:1", 0.5) is channel
    assert channel.timeouts == [0.5]
    clients.close()


def test_a_connection_that_was_made_too_late_is_closed() -> None:
    channel = FakeChannel()

    def connect(address: str, on_request: OnRequest | None, timeout_s: float) -> FakeChannel:
        clients.close()
        return channel

    clients = network(connect)
    with pytest.raises(ClosedError):
        clients.channel("broker:1")
    assert channel.is_closed
    with pytest.raises(ClosedError):
        clients.channel("broker:1")
