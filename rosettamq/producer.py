"""A producer: blocking sends, tried again on another broker when one fails."""

from __future__ import annotations

import itertools
import random
import time
from collections.abc import Sequence

from rosettamq import requests, sending
from rosettamq.errors import (
    BrokerConnectionError,
    MessageError,
    RequestTimeoutError,
    ResponseError,
    RosettaMQError,
    TopicNotFoundError,
)
from rosettamq.message import Message, MessageQueue, SendResult
from rosettamq.network import DEFAULT_NAME_SERVER, Client, Network
from rosettamq.remoting.command import RemotingCommand
from rosettamq.remoting.ids import UniqueKeys
from rosettamq.routes import TopicRoute

# Everybody knows this topic; its route leads to brokers where sending makes a new topic.
_TEMPLATE_TOPIC = "TBW102"
_RETRY_PAUSE_S = 0.05


class Producer(Client):
    """Send messages; threads may share one.

    `timeout_s` is for a whole send with all its attempts. A send that raises may still have been
    stored: whoever tries again sends the message twice at worst, with the same message id if the
    `UNIQ_KEY` property is kept.
    """

    def __init__(
        self,
        group: str,
        name_server: str = DEFAULT_NAME_SERVER,
        timeout_s: float = 3.0,
        attempts: int = 3,
        compress_over: int = 4096,
    ) -> None:
        super().__init__(name_server)
        self._group = group
        self._timeout_s = timeout_s
        self._attempts = attempts
        self._compress_over = compress_over
        self._unique_keys = UniqueKeys()
        self._turns = itertools.count(random.randrange(1 << 16))

    def send(self, message: Message, timeout_s: float | None = None) -> SendResult:
        """Send one message; returns when the broker has it safe."""
        outgoing = sending.outgoing_message(
            self._group, message, self._unique_keys.make(), _now_ms(), self._compress_over
        )
        return self._send(message.topic, outgoing, timeout_s or self._timeout_s)[0]

    def send_batch(
        self, messages: Sequence[Message], timeout_s: float | None = None
    ) -> list[SendResult]:
        """Send messages of one topic together: all of them are stored, or none."""
        if not messages:
            return []
        if len({message.topic for message in messages}) > 1:
            raise MessageError("the messages of a batch must have one topic")
        keys = [self._unique_keys.make() for _ in messages]
        outgoing = sending.outgoing_batch(self._group, messages, keys, _now_ms())
        return self._send(messages[0].topic, outgoing, timeout_s or self._timeout_s)

    def send_one_way(self, message: Message) -> None:
        """Send one message and wait for nothing: it may be lost, and nobody is told."""
        network = self.network
        outgoing = sending.outgoing_message(
            self._group, message, self._unique_keys.make(), _now_ms(), self._compress_over
        )
        deadline = time.monotonic() + self._timeout_s
        route = self._route(network, message.topic, deadline)
        queue, address = self._choose(route, message.topic, None)
        channel = network.broker_at(address, deadline - time.monotonic())
        channel.send_one_way(outgoing.request(queue))

    def _connect(self) -> Network:
        network = Network(self._name_server)

        def heartbeat() -> RemotingCommand:
            return requests.heartbeat_request(network.client_id, [self._group])

        network.start_heartbeats(heartbeat)
        return network

    def _disconnect(self, network: Network) -> None:
        network.say_goodbye(
            lambda: requests.unregister_request(network.client_id, self._group, None)
        )
        network.close()

    def _send(self, topic: str, outgoing: sending.Outgoing, timeout_s: float) -> list[SendResult]:
        network = self.network
        deadline = time.monotonic() + timeout_s
        tried: list[str] = []
        failure: RosettaMQError | None = None
        for attempt in range(self._attempts):
            if attempt:
                time.sleep(min(_RETRY_PAUSE_S, max(0.0, deadline - time.monotonic())))
            if deadline <= time.monotonic():
                break
            try:
                return self._attempt(network, topic, outgoing, tried, deadline)
            except ResponseError as error:
                if error.code not in sending.RETRIED_CODES:
                    raise
                failure = error
            except (BrokerConnectionError, RequestTimeoutError) as error:
                network.forget_route(topic)
                failure = error
        raise failure or RequestTimeoutError(f"the message was not sent in {timeout_s:.1f} s")

    def _attempt(
        self,
        network: Network,
        topic: str,
        outgoing: sending.Outgoing,
        tried: list[str],
        deadline: float,
    ) -> list[SendResult]:
        """Send once, to another broker than the last, which is added to those that were tried."""
        route = self._route(network, topic, deadline)
        queue, address = self._choose(route, topic, tried[-1] if tried else None)
        tried.append(queue.broker_name)
        channel = network.broker_at(address, deadline - time.monotonic())
        response = channel.call(outgoing.request(queue), deadline - time.monotonic())
        return outgoing.results(response, queue)

    def _route(self, network: Network, topic: str, deadline: float) -> TopicRoute:
        try:
            return network.route(topic, deadline - time.monotonic())
        except TopicNotFoundError:
            return network.route(_TEMPLATE_TOPIC, deadline - time.monotonic())

    def _choose(
        self, route: TopicRoute, topic: str, last_broker: str | None
    ) -> tuple[MessageQueue, str]:
        """Take turns among the queues; after a failure another broker, if there is one."""
        queues = route.writable_queues(topic)
        if not queues:
            raise TopicNotFoundError(f"no broker takes messages for the topic {topic!r}")
        others = [queue for queue in queues if queue.broker_name != last_broker]
        candidates = others or queues
        queue = candidates[next(self._turns) % len(candidates)]
        return queue, route.addresses[queue.broker_name]


def _now_ms() -> int:
    return int(time.time() * 1000)
