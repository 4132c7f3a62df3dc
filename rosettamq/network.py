"""What producers and consumers share: name servers, routes, connections to brokers, heartbeats."""

from __future__ import annotations

import itertools
import os
import socket
import threading
import time
from collections.abc import Callable
from typing import Self

from rosettamq import requests
from rosettamq.channel import Channel, OnRequest
from rosettamq.errors import (
    BrokerConnectionError,
    ClosedError,
    RequestTimeoutError,
    ResponseError,
    RosettaMQError,
    TopicNotFoundError,
)
from rosettamq.message import MessageQueue
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.routes import TopicRoute, parse_route

DEFAULT_NAME_SERVER = "127.0.0.1:9876"
REQUEST_TIMEOUT_S = 3.0
_ROUTE_LIFETIME_S = 30.0
_HEARTBEAT_INTERVAL_S = 30.0
_numbers = itertools.count(1)


class Network:
    """The connections of one producer or consumer; safe to share by threads."""

    def __init__(
        self,
        name_server: str,
        on_request: OnRequest | None = None,
        connect: Callable[[str, OnRequest | None, float], Channel] = Channel,
    ) -> None:
        self._connect = connect
        self.client_id = f"{socket.gethostname()}@{os.getpid()}#{next(_numbers)}"
        self._name_servers = [part.strip() for part in name_server.split(";") if part.strip()]
        if not self._name_servers:
            raise BrokerConnectionError("no name server is given")
        self._on_request = on_request
        self._lock = threading.Lock()
        self._channels: dict[str, Channel] = {}
        self._connecting: dict[str, threading.Lock] = {}  # One thread at a time, per address.
        self._routes: dict[str, tuple[float, TopicRoute]] = {}
        self._heartbeat: Callable[[], RemotingCommand] | None = None
        self._heartbeat_thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._greeted: dict[str, Channel] = {}  # Brokers that had a heartbeat, over which channel.

    def start_heartbeats(self, heartbeat: Callable[[], RemotingCommand]) -> None:
        """Tell every broker in use, now and again, what `heartbeat` makes."""
        self._heartbeat = heartbeat
        self._heartbeat_thread = threading.Thread(
            target=self._beat, name="rosettamq-heartbeat", daemon=True
        )
        self._heartbeat_thread.start()

    def close(self) -> None:
        """Close all connections and end all threads."""
        self._closing.set()
        with self._lock:
            channels = list(self._channels.values())
            self._channels.clear()
        for channel in channels:
            channel.close()
        if self._heartbeat_thread is not None:
            self._heartbeat_thread.join()

    # Routes

    def route(self, topic: str, timeout_s: float = REQUEST_TIMEOUT_S) -> TopicRoute:
        """Where a topic is; raises `TopicNotFoundError`."""
        with self._lock:
            known = self._routes.get(topic)
        if known is not None and time.monotonic() - known[0] < _ROUTE_LIFETIME_S:
            return known[1]
        try:
            route = self._ask_route(topic, timeout_s)
        except (BrokerConnectionError, RequestTimeoutError):
            if known is None:
                raise
            return known[1]  # What was true is better than nothing.
        with self._lock:
            self._routes[topic] = (time.monotonic(), route)
        return route

    def forget_route(self, topic: str) -> None:
        """Ask again next time: what we know did not work."""
        with self._lock:
            self._routes.pop(topic, None)

    def _ask_route(self, topic: str, timeout_s: float) -> TopicRoute:
        """Ask one name server after the other; the time is for all of them together."""
        failure: RosettaMQError | None = None
        deadline = time.monotonic() + timeout_s
        for address in self._name_servers:
            left_s = deadline - time.monotonic()
            if left_s <= 0 and failure is not None:
                break
            try:
                channel = self.channel(address, left_s)
                response = channel.call(requests.route_request(topic), deadline - time.monotonic())
                return parse_route(requests.check(response).body)
            except (BrokerConnectionError, RequestTimeoutError) as error:
                failure = error
            except ResponseError as error:
                if error.code == ResponseCode.TOPIC_NOT_EXIST:
                    raise TopicNotFoundError(f"no route to the topic {topic!r}") from error
                raise
        assert failure is not None
        raise failure

    # Connections

    def channel(self, address: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Channel:
        """The connection to an address, made if there is none; raises `BrokerConnectionError`."""
        with self._lock:
            connecting = self._connecting.setdefault(address, threading.Lock())
        deadline = time.monotonic() + timeout_s
        # Nobody who wants another address waits for this one.
        if timeout_s <= 0 or not connecting.acquire(timeout=timeout_s):
            raise RequestTimeoutError(f"no connection to {address} in {timeout_s:.1f} s")
        try:
            return self._open_channel(address, deadline - time.monotonic())
        finally:
            connecting.release()

    def _open_channel(self, address: str, timeout_s: float) -> Channel:
        with self._lock:
            channel = self._channels.get(address)
            if channel is not None and not channel.is_closed and not self._closing.is_set():
                return channel
        if not self._closing.is_set():
            channel = self._connect(address, self._on_request, max(timeout_s, 0.001))
            with self._lock:
                if not self._closing.is_set():
                    self._channels[address] = channel
                    return channel
            channel.close()
        raise ClosedError("the client is closed")

    def broker_channel(self, queue: MessageQueue) -> Channel:
        """The connection to the broker of a queue."""
        address = self.route(queue.topic).addresses.get(queue.broker_name)
        if address is None:
            raise BrokerConnectionError(f"no route to the broker {queue.broker_name}")
        return self.broker_at(address)

    def broker_at(self, address: str, timeout_s: float = REQUEST_TIMEOUT_S) -> Channel:
        """The connection to a broker; a new one begins with a heartbeat."""
        channel = self.channel(address, timeout_s)
        if self._heartbeat is not None and self._greeted.get(address) is not channel:
            # A broker must know a group before it serves it, and forgets it with the connection.
            requests.check(channel.call(self._heartbeat(), timeout_s))
            self._greeted[address] = channel
        return channel

    def call(self, queue: MessageQueue, command: RemotingCommand) -> RemotingCommand:
        """Ask the broker of a queue."""
        return self.broker_channel(queue).call(command, REQUEST_TIMEOUT_S)

    def beat(self) -> None:
        """Send a heartbeat now to every broker in use; failures show at the next use."""
        if self._heartbeat is None:
            return
        for channel in list(self._greeted.values()):
            try:
                channel.call(self._heartbeat(), REQUEST_TIMEOUT_S)
            except RosettaMQError:
                continue

    def say_goodbye(self, command: Callable[[], RemotingCommand]) -> None:
        """Unregister from every broker in use, as far as they are there."""
        for channel in list(self._greeted.values()):
            try:
                channel.call(command(), REQUEST_TIMEOUT_S)
            except RosettaMQError:
                continue

    def _beat(self) -> None:
        while not self._closing.wait(_HEARTBEAT_INTERVAL_S):
            self.beat()


class Client:
    """The base of producers and consumers: start, close, and use in a `with` statement."""

    def __init__(self, name_server: str) -> None:
        self._name_server = name_server
        self._network: Network | None = None

    @property
    def network(self) -> Network:
        """The connections, once started; raises `ClosedError` before and after."""
        if self._network is None:
            raise ClosedError("not started, or closed")
        return self._network

    def start(self) -> None:
        """Get ready; connections are made when they are needed."""
        if self._network is None:
            self._network = self._connect()

    def close(self) -> None:
        """Say goodbye and close everything; may be called again."""
        network, self._network = self._network, None
        if network is not None:
            self._disconnect(network)

    def _connect(self) -> Network:
        raise NotImplementedError

    def _disconnect(self, network: Network) -> None:
        raise NotImplementedError

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()
