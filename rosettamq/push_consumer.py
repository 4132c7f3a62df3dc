"""A consumer that calls: one callback per message, queues shared out among the group's members.

Per queue that is this member's there is a thread that pulls (the broker holds the request until
something comes); a pool of threads runs the callbacks. One more thread shares out the queues anew
whenever the group changes, and commits how far each queue is done.
"""

from __future__ import annotations

import heapq
import itertools
import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rosettamq import requests
from rosettamq.errors import ResponseError, RosettaMQError, SubscriptionError, TopicNotFoundError
from rosettamq.message import MessageQueue, ReceivedMessage
from rosettamq.network import DEFAULT_NAME_SERVER, Client, Network
from rosettamq.queue_pull import RETRY_PAUSE_S, Callback, QueuePull
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.subscriptions import TAG, Sql, Subscription, allocate_averagely, parse_subscription

_log = logging.getLogger("rosettamq")

_RETRY_PREFIX = "%RETRY%"
_REBALANCE_INTERVAL_S = 20.0
_COMMIT_INTERVAL_S = 5.0


class PushConsumer(Client):
    """Subscribe, then start; messages come until shut down.

    A callback that raises is called again with the same message after a second, as often as it
    takes, and the committed offset waits for it: a message is delivered at least once. A new group
    starts at the queue's first message, or with `from_end` at those that come from now on (but a
    queue that never lost a message yet is read from its first, as RocketMQ does).

    With `attempts` the broker sees to it: the message comes again after 10 s, 30 s, 1 to 10
    minutes, 20, 30, an hour, two, while those behind it go on; after so many attempts it is in
    the topic `%DLQ%<group>`.
    """

    def __init__(
        self,
        group: str,
        name_server: str = DEFAULT_NAME_SERVER,
        threads: int = 4,
        from_end: bool = False,
        attempts: int | None = None,
    ) -> None:
        super().__init__(name_server)
        self._group = group
        self._threads = threads
        self._from_end = from_end
        self._attempts = attempts
        self._subscriptions: dict[str, tuple[Subscription, Callback]] = {}
        self._wanted = self._subscriptions  # And the retry topic.
        self._pulls: dict[MessageQueue, QueuePull] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._wake = threading.Event()  # For the thread that keeps everything going.
        self._is_changed = False  # The group: share out anew.
        self._closing = threading.Event()
        self._retries: list[tuple[float, int, Callable[[], None]]] = []  # A heap, by time.
        self._retries_lock = threading.Lock()
        self._numbers = itertools.count()
        self._keeper: threading.Thread | None = None
        self._local = threading.local()

    @property
    def group(self) -> str:
        """The consumer group."""
        return self._group

    def subscribe(self, topic: str, expression: str | Sql, callback: Callback) -> None:
        """Have `callback` called with the topic's messages of these tags; before `start`.

        With `Sql(condition)` instead, with those that it selects: `start` raises
        `SubscriptionError` if the broker does not understand it.
        """
        if self._network is not None:
            raise SubscriptionError("subscribe before start")
        self._subscriptions[topic] = (parse_subscription(topic, expression), callback)

    def shutdown(self) -> None:
        """Finish the callbacks that run, commit, and close; the same as `close`.

        A callback that calls this is the one that is not waited for: its message comes again.
        """
        self.close()

    def _connect(self) -> Network:
        network = Network(self._name_server, self._on_request)
        self._wanted = dict(self._subscriptions)
        if self._attempts is not None:
            topic = _RETRY_PREFIX + self._group
            self._wanted[topic] = Subscription(topic), self._call_again
        version = int(time.time() * 1000)

        def heartbeat() -> RemotingCommand:
            subscriptions = [subscription for subscription, _ in self._wanted.values()]
            return requests.heartbeat_request(
                network.client_id, (), self._group, subscriptions, version=version
            )

        network.start_heartbeats(heartbeat)
        try:
            self._check_subscriptions(network)
        except RosettaMQError:
            network.close()
            raise
        self._closing.clear()
        self._is_changed = True
        self._pool = ThreadPoolExecutor(
            self._threads, "rosettamq-consume", initializer=self._note_worker
        )
        self._keeper = threading.Thread(
            target=self._keep, args=(network,), name="rosettamq-rebalance", daemon=True
        )
        self._keeper.start()
        return network

    def _check_subscriptions(self, network: Network) -> None:
        """Have the broker read what only it can: nobody may wait in vain for a misspelt word."""
        for subscription, _ in self._subscriptions.values():
            if subscription.expression_type == TAG:
                continue
            command = requests.check_subscription_request(
                network.client_id, self._group, subscription
            )
            try:
                topic = subscription.topic
                for queue in network.route(topic).readable_queues(topic)[:1]:
                    requests.check(network.call(queue, command))
            except TopicNotFoundError:
                continue  # Somebody may create it later.
            except ResponseError as error:
                raise SubscriptionError(error.remark) from error

    def _disconnect(self, network: Network) -> None:
        self._closing.set()
        self._wake.set()
        if self._keeper is not None:
            self._keeper.join()
        pulls, self._pulls = list(self._pulls.values()), {}
        for pull in pulls:
            pull.stop()
        if self._pool is not None:
            is_worker = getattr(self._local, "is_worker", False)
            self._pool.shutdown(wait=not is_worker, cancel_futures=True)
        for pull in pulls:
            pull.commit()
        network.say_goodbye(
            lambda: requests.unregister_request(network.client_id, None, self._group)
        )
        network.close()

    def _note_worker(self) -> None:
        self._local.is_worker = True  # It cannot wait for the end of all workers.

    def _call_again(self, message: ReceivedMessage) -> None:
        """A message that was sent back: it is of the topic that it came from at first."""
        message.topic = message.properties.pop("RETRY_TOPIC", message.topic)
        subscription = self._subscriptions.get(message.topic)
        if subscription is None:
            _log.warning("no one subscribes to %s any more", message.topic)
        else:
            subscription[1](message)

    def _on_request(self, command: RemotingCommand) -> None:
        if command.code == RequestCode.NOTIFY_CONSUMER_IDS_CHANGED:
            self._is_changed = True
            self._wake.set()

    def _retry_later(self, attempt: Callable[[], None]) -> None:
        """Have `attempt` made in a second, in the pool: no thread sleeps for it meanwhile."""
        with self._retries_lock:
            due = time.monotonic() + RETRY_PAUSE_S
            heapq.heappush(self._retries, (due, next(self._numbers), attempt))
        self._wake.set()

    def _submit_retries(self, now: float) -> float:
        """Make the attempts that are due; return when the next one is."""
        assert self._pool is not None
        with self._retries_lock:
            while self._retries and self._retries[0][0] <= now:
                self._pool.submit(heapq.heappop(self._retries)[2])
            return self._retries[0][0] if self._retries else now + _REBALANCE_INTERVAL_S

    def _keep(self, network: Network) -> None:
        """Share out when something changed, and now and again; commit every few seconds."""
        rebalance_at = commit_at = time.monotonic()
        while not self._closing.is_set():
            self._wake.clear()
            now = time.monotonic()
            if self._is_changed or now >= rebalance_at:
                self._is_changed = False
                is_complete = self._rebalance(network)
                rebalance_at = now + (_REBALANCE_INTERVAL_S if is_complete else RETRY_PAUSE_S)
            if now >= commit_at:
                for pull in list(self._pulls.values()):
                    pull.commit()
                commit_at = now + _COMMIT_INTERVAL_S
            wake_at = min(rebalance_at, commit_at, self._submit_retries(now))
            if not self._closing.is_set():
                self._wake.wait(max(0.0, wake_at - time.monotonic()))

    def _rebalance(self, network: Network) -> bool:
        """Take and give up queues; return whether every topic could be shared out."""
        is_complete = True
        for topic, (subscription, callback) in self._wanted.items():
            try:
                wanted = self._allocate(network, topic)
            except TopicNotFoundError:
                is_complete = False  # Somebody may create it any moment.
            except RosettaMQError as error:
                _log.warning("cannot share out the queues of %s: %s", topic, error)
                network.forget_route(topic)
                is_complete = False
            else:
                self._assign(network, subscription, callback, wanted)
        return is_complete

    def _allocate(self, network: Network, topic: str) -> list[MessageQueue]:
        queues = sorted(network.route(topic).readable_queues(topic))
        if not queues:
            return []
        members = requests.consumer_list(
            network.call(queues[0], requests.consumer_list_request(self._group))
        )
        return allocate_averagely(queues, members, network.client_id)

    def _assign(
        self,
        network: Network,
        subscription: Subscription,
        callback: Callback,
        wanted: list[MessageQueue],
    ) -> None:
        mine = [queue for queue in self._pulls if queue.topic == subscription.topic]
        for queue in mine:
            if queue not in wanted:
                pull = self._pulls.pop(queue)
                pull.stop()
                pull.commit()
        assert self._pool is not None
        for queue in wanted:
            if queue not in self._pulls and not self._closing.is_set():
                self._pulls[queue] = QueuePull(
                    network,
                    self._group,
                    queue,
                    subscription,
                    callback,
                    self._pool,
                    self._retry_later,
                    self._from_end and not queue.topic.startswith(_RETRY_PREFIX),
                    self._attempts,
                )
