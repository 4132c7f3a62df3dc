"""A consumer that asks: receive, work, acknowledge, each message on its own (RocketMQ's pop)."""

from __future__ import annotations

import itertools
import time
from collections.abc import Mapping

from rosettamq import receiving, requests
from rosettamq.message import MessageQueue, ReceivedMessage
from rosettamq.network import DEFAULT_NAME_SERVER, REQUEST_TIMEOUT_S, Client, Network
from rosettamq.remoting.codes import ResponseCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.subscriptions import Sql, Subscription, parse_subscription

_RECEIVE_MAX = 32
_FULL_PAUSE_S = 0.02
_SLICE_S = 1.0  # How long one of several topics is waited for before the next.


class SimpleConsumer(Client):
    """Receive messages and acknowledge each; threads may share one.

    What is not acknowledged within its invisible time is delivered again, to whoever asks. A group
    with the name of the topic's queue shares that queue with its AMQP and STOMP consumers.
    """

    def __init__(
        self,
        group: str,
        name_server: str = DEFAULT_NAME_SERVER,
        subscriptions: Mapping[str, str | Sql] | None = None,
    ) -> None:
        super().__init__(name_server)
        self._group = group
        self._subscriptions = {
            topic: parse_subscription(topic, expression)
            for topic, expression in (subscriptions or {}).items()
        }
        self._turns = itertools.count()

    def subscribe(self, topic: str, expression: str | Sql = "*") -> None:
        """Want a topic's messages with these tags: `*`, or `a || b`; or those that SQL selects."""
        self._subscriptions[topic] = parse_subscription(topic, expression)
        if self._network is not None:
            self._network.beat()

    def receive(
        self, max_messages: int = 16, invisible_s: float = 30.0, wait_s: float = 5.0
    ) -> list[ReceivedMessage]:
        """Take up to so many messages (32 at most), waiting for the first; [] if none came.

        Nobody else of the group sees them for `invisible_s`: acknowledge them before that.
        """
        count = max(1, min(max_messages, _RECEIVE_MAX))
        subscriptions = list(self._subscriptions.values())
        deadline = time.monotonic() + wait_s
        turn = next(self._turns)
        wait = 0.0 if len(subscriptions) > 1 else wait_s
        while subscriptions:
            for index in range(len(subscriptions)):
                subscription = subscriptions[(turn + index) % len(subscriptions)]
                messages = self._pop(subscription, count, invisible_s, wait)
                if messages:
                    return messages
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                break
            wait = min(left_s, left_s if len(subscriptions) == 1 else _SLICE_S)
        return []

    def ack(self, message: ReceivedMessage) -> None:
        """It is done; raises `ResponseError` if it was too late, and others may see it."""
        requests.check(
            self.network.call(message.queue, receiving.ack_request(self._group, message))
        )

    def change_invisible(self, message: ReceivedMessage, invisible_s: float) -> None:
        """Keep it for so long from now on; 0 gives it back at once."""
        command = receiving.change_invisible_request(self._group, message, invisible_s)
        response = self.network.call(message.queue, command)
        message.handle = receiving.changed_handle(response, message)

    def _pop(
        self, subscription: Subscription, count: int, invisible_s: float, wait_s: float
    ) -> list[ReceivedMessage]:
        """Ask each broker of the topic; the wait is for all of them together."""
        network = self.network
        topic = subscription.topic
        brokers = sorted({q.broker_name for q in network.route(topic).readable_queues(topic)})
        for broker_name in brokers:
            share_s = wait_s / len(brokers)
            command = receiving.pop_request(
                self._group, subscription, count, invisible_s, share_s, int(time.time() * 1000)
            )
            channel = network.broker_channel(MessageQueue(topic, broker_name, 0))
            response = channel.call(command, share_s + REQUEST_TIMEOUT_S)
            if response.code == ResponseCode.POLLING_FULL:
                time.sleep(_FULL_PAUSE_S)  # The broker has too much to do to keep us waiting.
            wanted = []
            for message in receiving.pop_result(response, topic, broker_name):
                if subscription.matches(message.tag):
                    wanted.append(message)
                else:  # Its tag has the hash of one that is wanted: this group is done with it.
                    channel.call(receiving.ack_request(self._group, message), REQUEST_TIMEOUT_S)
            if wanted:
                return wanted
        return []

    def _connect(self) -> Network:
        network = Network(self._name_server)
        version = int(time.time() * 1000)

        def heartbeat() -> RemotingCommand:
            subscriptions = list(self._subscriptions.values())
            return requests.heartbeat_request(
                network.client_id, (), self._group, subscriptions, is_pop=True, version=version
            )

        network.start_heartbeats(heartbeat)
        return network

    def _disconnect(self, network: Network) -> None:
        network.say_goodbye(
            lambda: requests.unregister_request(network.client_id, None, self._group)
        )
        network.close()
