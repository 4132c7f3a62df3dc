"""kill -9 while all types of queues are in use at once, several times, on the same data folder.

A publisher sends every message to a queue of each type, and delayed to one more; three of them are
consumed; an operator changes policies, and has checkpoints made. Small segments go soon.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable
from itertools import cycle, pairwise
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pika
import pika.exceptions
import pytest

from gateway.demo.broker_process import BrokerProcess

pytestmark = pytest.mark.crash

_ROUNDS = int(os.environ.get("CRASH_ROUNDS", "3"))
_RUN_S = 0.7
_SMALL_FILES = ("store.segment_size_bytes=1048576", "store.retention_hours=0")
_BATCH = 50
_PADDING = b"." * 1000
_LEVELS = 3
_ARGUMENTS: dict[str, dict[str, Any]] = {
    "classic": {},
    "priority": {"x-max-priority": _LEVELS - 1},
    "quorum": {"x-queue-type": "quorum", "x-delivery-limit": -1},
    "stream": {"x-queue-type": "stream"},
    "late": {},
}
_CONSUMED = ("classic", "priority", "quorum")
_POLICIES: list[dict[str, Any]] = [
    {"message-ttl": 3_600_000},
    {"max-length": 10_000_000, "overflow": "reject-publish"},
    {"max-length-bytes": 10_000_000_000, "dead-letter-exchange": "amq.direct"},
]
_QUIET_S = 0.5  # Nothing more comes then,
_PATIENCE_S = 15.0  # unless something is missing.


class Client(threading.Thread):
    """Does its work until the broker is gone; what else goes wrong is for the test to raise."""

    def __init__(self, broker: BrokerProcess, work: Callable[[Any], None]) -> None:
        super().__init__(daemon=True)
        self.problem: BaseException | None = None
        self._broker = broker
        self._work = work

    def run(self) -> None:
        try:
            self._work(self._broker)
        except (pika.exceptions.AMQPConnectionError, OSError):
            return  # It was killed.
        except BaseException as problem:
            self.problem = problem


class Record:
    """What the clients know, over all rounds."""

    def __init__(self) -> None:
        self.sent = 0  # All below may be there ...
        self.batches: list[range] = []  # ... and these must be: they were committed.
        self.acknowledged: dict[str, set[int]] = {name: set() for name in _CONSUMED}  # May be gone,
        self.settled: dict[str, set[int]] = {name: set() for name in _CONSUMED}  # and must be.


def connect(broker: BrokerProcess) -> Any:
    return pika.BlockingConnection(pika.ConnectionParameters(*broker.addresses["amqp"]))


def number_of(body: bytes) -> int:
    return int(body.partition(b" ")[0])


def declare(broker: BrokerProcess) -> None:
    connection = connect(broker)
    channel = connection.channel()
    for name, arguments in _ARGUMENTS.items():
        channel.queue_declare(name, durable=True, arguments=arguments)
        if name != "late":
            channel.queue_bind(name, "amq.fanout")
    connection.close()


def publish(record: Record) -> Callable[[BrokerProcess], None]:
    def work(broker: BrokerProcess) -> None:
        channel = connect(broker).channel()
        channel.tx_select()
        while True:
            batch = range(record.sent, record.sent + _BATCH)
            record.sent = batch.stop
            for number in batch:
                body = b"%d %b" % (number, _PADDING)
                plain = pika.BasicProperties(delivery_mode=2, priority=number % _LEVELS * 2)
                channel.basic_publish("amq.fanout", "", body, plain)
                delay_ms = 50 + number * 7 % 900
                late = pika.BasicProperties(delivery_mode=2, headers={"x-rosetta-delay": delay_ms})
                channel.basic_publish("", "late", body, late)
            channel.tx_commit()
            record.batches.append(batch)

    return work


def consume(record: Record, queue: str) -> Callable[[BrokerProcess], None]:
    """Acknowledge nine of ten; the next answer of the broker proves that it knows of that."""

    def work(broker: BrokerProcess) -> None:
        channel = connect(broker).channel()
        channel.basic_qos(prefetch_count=500)
        unproven: set[int] = set()
        for method, _, body in channel.consume(queue):
            number = number_of(body)
            if number % 10:
                record.acknowledged[queue].add(number)
                channel.basic_ack(method.delivery_tag)
                unproven.add(number)
            if len(unproven) >= 50:
                channel.basic_qos(prefetch_count=500)
                record.settled[queue] |= unproven
                unproven.clear()

    return work


def call(broker: BrokerProcess, method: str, path: str, body: object) -> None:
    address = "http://{}:{}/api/".format(*broker.addresses["http"])
    headers = {"Authorization": "Basic Z3Vlc3Q6Z3Vlc3Q=", "Content-Type": "application/json"}
    request = Request(address + path, json.dumps(body).encode(), headers, method=method)
    with urlopen(request, timeout=10) as answer:
        answer.read()


def operate(broker: BrokerProcess) -> None:
    for definition in cycle(_POLICIES):
        policy = {"pattern": "classic|priority|quorum", "definition": definition}
        call(broker, "PUT", "policies/%2F/changing", policy)
        # Nothing is ready again that far back; but a checkpoint is made.
        call(broker, "POST", "queues/%2F/priority/rewind", {"offset": 1 << 40})


def run_until_killed(broker: BrokerProcess, record: Record) -> None:
    works = [publish(record), operate, *(consume(record, queue) for queue in _CONSUMED)]
    clients = [Client(broker, work) for work in works]
    for client in clients:
        client.start()
    time.sleep(_RUN_S)  # Real clients work meanwhile.
    broker.kill()
    for client in clients:
        client.join()
        if client.problem is not None:
            raise client.problem


def drain(broker: BrokerProcess, queue: str, wanted: set[int]) -> list[int]:
    """Take what there is: at least what is wanted, if it comes at all."""
    connection = connect(broker)
    channel = connection.channel()
    channel.basic_qos(prefetch_count=1000)
    arguments = {"x-stream-offset": "first"} if queue == "stream" else {}
    missing = set(wanted)
    numbers: list[int] = []
    quiet_since = time.monotonic()
    for method, _, body in channel.consume(queue, arguments=arguments, inactivity_timeout=_QUIET_S):
        if method is not None:
            quiet_since = time.monotonic()
            numbers.append(number_of(body))
            missing.discard(numbers[-1])
            channel.basic_ack(method.delivery_tag)
        elif not missing or time.monotonic() - quiet_since > _PATIENCE_S:
            break
    connection.close()
    return numbers


def test_nothing_is_lost_or_doubled(tmp_path: Path) -> None:
    record = Record()
    for round in range(_ROUNDS):
        with BrokerProcess(tmp_path, _SMALL_FILES) as broker:
            if not round:
                declare(broker)
            run_until_killed(broker, record)
    confirmed = {number for batch in record.batches for number in batch}
    wanted = {name: confirmed - record.acknowledged.get(name, set()) for name in _ARGUMENTS}
    with BrokerProcess(tmp_path, _SMALL_FILES) as broker:
        found = {name: drain(broker, name, wanted[name]) for name in _ARGUMENTS}
        assert broker.stop() == 0
    assert len(record.batches) > _ROUNDS
    for name, numbers in found.items():
        assert not wanted[name] - set(numbers), f"lost in {name}"
    for name in _CONSUMED:
        numbers = found[name]
        assert len(numbers) == len(set(numbers)), f"doubled in {name}"
        assert not record.settled[name] & set(numbers), f"acknowledged in {name}, but there again"
    stream = found["stream"]
    assert not [(a, b) for a, b in pairwise(stream) if a >= b], "the stream is not in order"
