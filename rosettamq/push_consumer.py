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

from rosettamq import receiving, requests
from rosettamq.channel import PendingAnswer
from rosettamq.errors import (
    ClosedError,
    ResponseError,
    RosettaMQError,
    SubscriptionError,
    TopicNotFoundError,
)
from rosettamq.message import MessageQueue, ReceivedMessage
from rosettamq.network import DEFAULT_NAME_SERVER, REQUEST_TIMEOUT_S, Client, Network
from rosettamq.progress import QueueProgress
from rosettamq.remoting.codes import RequestCode
from rosettamq.remoting.command import RemotingCommand
from rosettamq.subscriptions import (
    TAG,
    Sql,
    Subscription,
    allocate_averagely,
    parse_subscription,
)

Callback = Callable[[ReceivedMessage], object]

_log = logging.getLogger("rosettamq")

_SUSPEND_S = 15.0
_PULL_COUNT = 32
_UNFINISHED_MAX = 1000  # Of one queue; more are not asked for until some are finished.
_RETRY_PAUSE_S = 1.0
_REBALANCE_INTERVAL_S = 20.0
_COMMIT_INTERVAL_S = 5.0


class PushConsumer(Client):
    """Subscribe, then start; messages come until shut down.

    A callback that raises is called again with the same message after a second, as often as it
    takes, and the committed offset waits for it: a message is delivered at least once. A new group
    starts at the queue's first message, or with `from_end` at those that come from now on (but a
    queue that never lost a message yet is read from its first, as RocketMQ does).
    """

    def __init__(
        self,
        group: str,
        name_server: str = DEFAULT_NAME_SERVER,
        threads: int = 4,
        from_end: bool = False,
    ) -> None:
        super().__init__(name_server)
        self._group = group
        self._threads = threads
        self._from_end = from_end
        self._subscriptions: dict[str, tuple[Subscription, Callback]] = {}
        self._pulls: dict[MessageQueue, _QueuePull] = {}
        self._pool: ThreadPoolExecutor | None = None
        self._wake = threading.Event()  # For the thread that keeps everything going.
        self._is_changed = False  # The group: share out anew.
        self._closing = threading.Event()
        self._retries: list[tuple[float, int, Callable[[], None]]] = []  # A heap, by time.
        self._retries_lock = threading.Lock()
        self._numbers = itertools.count()
        self._keeper: threading.Thread | None = None

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
        """Finish the callbacks that run, commit, and close; the same as `close`."""
        self.close()

    def _connect(self) -> Network:
        network = Network(self._name_server, self._on_request)
        version = int(time.time() * 1000)

        def heartbeat() -> RemotingCommand:
            subscriptions = [subscription for subscription, _ in self._subscriptions.values()]
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
        self._pool = ThreadPoolExecutor(self._threads, "rosettamq-consume")
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
            self._pool.shutdown(wait=True, cancel_futures=True)
        for pull in pulls:
            pull.commit()
        network.say_goodbye(
            lambda: requests.unregister_request(network.client_id, None, self._group)
        )
        network.close()

    def _on_request(self, command: RemotingCommand) -> None:
        if command.code == RequestCode.NOTIFY_CONSUMER_IDS_CHANGED:
            self._is_changed = True
            self._wake.set()

    def _retry_later(self, attempt: Callable[[], None]) -> None:
        """Have `attempt` made in a second, in the pool: no thread sleeps for it meanwhile."""
        with self._retries_lock:
            due = time.monotonic() + _RETRY_PAUSE_S
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
                rebalance_at = now + (_REBALANCE_INTERVAL_S if is_complete else _RETRY_PAUSE_S)
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
        for topic, (subscription, callback) in self._subscriptions.items():
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
                self._pulls[queue] = _QueuePull(
                    network,
                    self._group,
                    queue,
                    subscription,
                    callback,
                    self._pool,
                    self._retry_later,
                    self._from_end,
                )


class _QueuePull:
    """One queue of ours: its thread, and what of it is unfinished."""

    def __init__(
        self,
        network: Network,
        group: str,
        queue: MessageQueue,
        subscription: Subscription,
        callback: Callback,
        pool: ThreadPoolExecutor,
        retry_later: Callable[[Callable[[], None]], None],
        from_end: bool,
    ) -> None:
        self._network = network
        self._group = group
        self._queue = queue
        self._subscription = subscription
        self._callback = callback
        self._pool = pool
        self._retry_later = retry_later
        self._from_end = from_end
        self._lock = threading.Lock()
        self._progress: QueueProgress | None = None  # Unknown until the broker has told.
        self._committed: int | None = None
        self._stopping = threading.Event()
        self._pending: PendingAnswer | None = None
        self._room = threading.Condition(self._lock)
        self._thread = threading.Thread(
            target=self._run, name=f"rosettamq-pull-{queue.topic}", daemon=True
        )
        self._thread.start()

    def stop(self) -> None:
        """Pull no more, and retry nothing; callbacks that run are not interrupted."""
        self._stopping.set()
        with self._lock:
            if self._pending is not None:
                self._pending.abandon(ClosedError("the queue was given up"))
            self._room.notify_all()
        self._thread.join()

    def commit(self) -> None:
        """Tell the broker how far everything is finished, if that changed."""
        with self._lock:
            offset = None if self._progress is None else self._progress.commit_offset
        if offset is None or offset == self._committed:
            return
        try:
            command = requests.update_offset_request(self._group, self._queue, offset)
            requests.check(self._network.call(self._queue, command))
            self._committed = offset
        except RosettaMQError as error:
            _log.warning("cannot commit offset %d of %s: %s", offset, self._queue, error)

    def _run(self) -> None:
        offset: int | None = None
        while not self._stopping.is_set():
            try:
                if offset is None:
                    offset = self._start_offset()
                    with self._lock:
                        self._progress = QueueProgress(offset)
                        self._committed = None
                offset = self._pull(offset)
            except ClosedError:
                return
            except RosettaMQError as error:
                _log.warning("cannot pull from %s: %s", self._queue, error)
                if not isinstance(error, ResponseError):
                    self._network.forget_route(self._queue.topic)
                self._stopping.wait(_RETRY_PAUSE_S)

    def _start_offset(self) -> int:
        command = requests.query_offset_request(self._group, self._queue)
        offset = requests.committed_offset(self._network.call(self._queue, command))
        if offset is None:
            edge = requests.edge_offset_request(self._queue, at_end=self._from_end)
            offset = requests.offset(self._network.call(self._queue, edge))
        return offset

    def _pull(self, offset: int) -> int:
        """Pull once, and hand on what came; return where the next pull begins."""
        command = receiving.pull_request(
            self._group, self._queue, offset, self._subscription, _PULL_COUNT, _SUSPEND_S
        )
        pending = self._network.broker_channel(self._queue).submit(command)
        with self._lock:
            self._pending = pending
        if self._stopping.is_set():
            raise ClosedError("the queue was given up")
        response = pending.result(_SUSPEND_S + 2 * REQUEST_TIMEOUT_S)
        result = receiving.pull_result(response, self._queue)
        with self._room:
            progress = self._progress
            assert progress is not None
            if result.is_moved:
                progress.reset(result.next_offset)
            wanted = []
            for message in result.messages:
                if self._subscription.matches(message.tag):
                    progress.begin(message.queue_offset)
                    wanted.append(message)
            progress.skip_to(result.next_offset)
        for message in wanted:
            self._submit(message)
        with self._room:
            self._room.wait_for(
                lambda: self._stopping.is_set() or progress.unfinished_count < _UNFINISHED_MAX
            )
        return result.next_offset

    def _submit(self, message: ReceivedMessage) -> None:
        try:
            self._pool.submit(self._consume, message)
        except RuntimeError as error:
            raise ClosedError("the consumer is shut down") from error

    def _consume(self, message: ReceivedMessage) -> None:
        """Call back; if that fails try again later, unless the queue is not ours any more."""
        if self._stopping.is_set():
            return
        try:
            self._callback(message)
        except Exception:
            _log.exception("the callback failed for message %s", message.message_id)
            self._retry_later(lambda: self._consume(message))
            return
        with self._room:
            if self._progress is not None:
                self._progress.finish(message.queue_offset)
            self._room.notify_all()
