"""One queue of a push consumer: the thread that pulls from it, and what of it is unfinished."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from rosettamq import receiving, requests
from rosettamq.channel import PendingAnswer
from rosettamq.errors import ClosedError, ResponseError, RosettaMQError
from rosettamq.message import MessageQueue, ReceivedMessage
from rosettamq.network import REQUEST_TIMEOUT_S, Network
from rosettamq.progress import QueueProgress
from rosettamq.subscriptions import Subscription

_log = logging.getLogger("rosettamq")

Callback = Callable[[ReceivedMessage], object]

_SUSPEND_S = 15.0
_PULL_COUNT = 32
# Of one queue; more are not asked for until some are finished.
_UNFINISHED_MAX = 1000
_UNFINISHED_SIZE_MAX = 100 << 20
RETRY_PAUSE_S = 1.0


class QueuePull:
    """Pulls until it is stopped; callbacks run in the consumer's pool."""

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
        attempts: int | None,
    ) -> None:
        self._network = network
        self._group = group
        self._queue = queue
        self._subscription = subscription
        self._callback = callback
        self._pool = pool
        self._retry_later = retry_later
        self._from_end = from_end
        self._attempts = attempts
        self._lock = threading.Lock()
        self._progress: QueueProgress | None = None  # Unknown until the broker has told.
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
            progress = self._progress
            offset = None if progress is None else progress.take_commit()
        if progress is None or offset is None:
            return
        try:
            command = requests.update_offset_request(self._group, self._queue, offset)
            requests.check(self._network.call(self._queue, command))
        except RosettaMQError as error:
            _log.warning("cannot commit offset %d of %s: %s", offset, self._queue, error)
            with self._lock:
                progress.commit_failed()

    def _run(self) -> None:
        offset: int | None = None
        while not self._stopping.is_set():
            try:
                if offset is None:
                    offset = self._start_offset()
                    with self._lock:
                        self._progress = QueueProgress(offset)
                offset = self._pull(offset)
            except ClosedError:
                return
            except RosettaMQError as error:
                _log.warning("cannot pull from %s: %s", self._queue, error)
                if not isinstance(error, ResponseError):
                    self._network.forget_route(self._queue.topic)
                self._stopping.wait(RETRY_PAUSE_S)

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
                    progress.begin(message.queue_offset, len(message.body))
                    wanted.append(message)
            progress.skip_to(result.next_offset)
        for message in wanted:
            self._submit(message)
        with self._room:
            self._room.wait_for(lambda: self._stopping.is_set() or _has_room(progress))
        return result.next_offset

    def _submit(self, message: ReceivedMessage) -> None:
        try:
            self._pool.submit(self._consume, message)
        except RuntimeError as error:
            raise ClosedError("the consumer is shut down") from error

    def _consume(self, message: ReceivedMessage) -> None:
        """Call back; if that fails have it come again, unless the queue is not ours any more."""
        if self._stopping.is_set():
            return
        try:
            self._callback(message)
        except Exception:
            _log.exception("the callback failed for message %s", message.message_id)
            if not self._send_back(message):
                self._retry_later(lambda: self._consume(message))
                return
        with self._room:
            if self._progress is not None:
                self._progress.finish(message.queue_offset)
            self._room.notify_all()

    def _send_back(self, message: ReceivedMessage) -> bool:
        """Leave it to the broker when it comes again, if that is wanted and works."""
        if self._attempts is None:
            return False
        try:
            command = requests.send_back_request(self._group, message, self._attempts)
            requests.check(self._network.call(self._queue, command))
        except RosettaMQError as error:
            _log.warning("cannot send message %s back: %s", message.message_id, error)
            return False
        return True


def _has_room(progress: QueueProgress) -> bool:
    return (
        progress.unfinished_count < _UNFINISHED_MAX
        and progress.unfinished_size < _UNFINISHED_SIZE_MAX
    )
