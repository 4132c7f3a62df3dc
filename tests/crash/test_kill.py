"""kill -9 in the middle of persistent publishes, again and again, on the same data folder.

So it is with one queue that is read, and with many that are read on one channel. The same with a
clean stop, after which even the last acknowledgement holds.
The short form runs with all tests; `make crash` sets CRASH_ROUNDS and CRASH_MESSAGES for the long.
"""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from operator import attrgetter
from pathlib import Path

import pytest
from pamqp import commands

from gateway.demo.broker_process import BrokerProcess
from tests.crash.amqp_wire import Delivered, WireConnection
from tests.crash.load import FORGETTABLE_ACKS_S, WINDOW, AcknowledgingConsumer, publish_until_killed

pytestmark = pytest.mark.crash

ROUNDS = int(os.environ.get("CRASH_ROUNDS", "2"))
MESSAGES = int(os.environ.get("CRASH_MESSAGES", "20000"))


@dataclass(frozen=True)
class Load:
    """Where it is published; nobody reads what is `kept`, one consumer reads what is `worked`."""

    exchange: str
    routing_keys: Sequence[str]  # They take turns.
    kept: Sequence[str]
    worked: Sequence[str]


FANOUT = Load("amq.fanout", ("",), ("kept",), ("worked",))
MANY_NAMES = tuple(f"many {number}" for number in range(200))
MANY = Load("", MANY_NAMES, (), MANY_NAMES)


@dataclass(frozen=True)
class Ending:
    """How the broker ends; `loses` the acknowledgements of the last moment or keeps all."""

    begin: Callable[[BrokerProcess], object]
    exit_code: int
    loses: bool


KILLED = Ending(BrokerProcess.kill, -signal.SIGKILL, loses=True)
STOPPED = Ending(BrokerProcess.terminate, 0, loses=False)


@dataclass(frozen=True)
class Aftermath:
    """What the clients know when the broker is dead."""

    sent: int
    confirmed: set[int]
    delivered: set[int]
    acknowledged: set[int]  # All that were, and so may be gone ...
    settled: set[int]  # ... and those that must be: the broker had time to write it down.


@pytest.mark.parametrize("load", [FANOUT, MANY], ids=["one", "many"])
def test_survives_kills_under_load(tmp_path: Path, load: Load) -> None:
    choice = random.Random(MESSAGES)
    for round_number in range(ROUNDS):
        kill_at = choice.randrange(MESSAGES // 4, MESSAGES - WINDOW)
        print(f"round {round_number}:", end=" ", flush=True)
        run_and_check(tmp_path, load, KILLED, MESSAGES, kill_at)


@pytest.mark.parametrize("load", [FANOUT, MANY], ids=["one", "many"])
def test_stops_cleanly_under_load(tmp_path: Path, load: Load) -> None:
    run_and_check(tmp_path, load, STOPPED, 20_000, 10_000)


def run_and_check(data_dir: Path, load: Load, ending: Ending, count: int, end_at: int) -> None:
    begun = time.monotonic()
    aftermath = run_until_ended(data_dir, load, ending, count, end_at)
    assert aftermath.settled
    restarted = time.monotonic()
    with BrokerProcess(data_dir) as broker:
        recovered = time.monotonic()
        in_kept = [drain(broker.addresses["amqp"], queue) for queue in load.kept]
        in_worked = [drain(broker.addresses["amqp"], queue) for queue in load.worked]
        assert broker.stop() == 0
    for drained in in_kept:
        check_kept(drained, aftermath)
    for drained in in_worked:
        assert_in_order([message.number for message in drained], aftermath.sent)
    came_back = sorted(chain.from_iterable(in_worked), key=attrgetter("number"))
    check_worked(came_back, aftermath)
    print(
        f"{aftermath.sent} sent, {len(aftermath.confirmed)} confirmed, "
        f"{len(aftermath.acknowledged)} acknowledged ({len(aftermath.settled)} in time), "
        f"ended after {restarted - begun:.1f} s, ready again after "
        f"{recovered - restarted:.2f} s, {sum(map(len, in_kept))} + {len(came_back)} came back"
    )


def run_until_ended(
    data_dir: Path, load: Load, ending: Ending, count: int, end_at: int
) -> Aftermath:
    ended_at = 0.0

    def end_broker() -> None:
        nonlocal ended_at
        ended_at = time.monotonic()
        ending.begin(broker)

    with BrokerProcess(data_dir) as broker:
        address = broker.addresses["amqp"]
        declare(address, load)
        consumer = AcknowledgingConsumer(address, load.worked)
        consumer.start()
        sent, confirmed = publish_until_killed(
            address, load.exchange, load.routing_keys, count, end_at, end_broker,
            consumer.first_acknowledged,
        )  # fmt: skip
        consumer.join()
    assert broker.process.returncode == ending.exit_code
    if consumer.problem is not None:
        raise consumer.problem
    settled = {
        number
        for number, proven in consumer.acknowledged.items()
        if proven is not None and (not ending.loses or proven < ended_at - FORGETTABLE_ACKS_S)
    }
    return Aftermath(sent, confirmed, consumer.delivered, set(consumer.acknowledged), settled)


def declare(address: tuple[str, int], load: Load) -> None:
    with WireConnection(address) as connection:
        for queue in (*load.kept, *load.worked):
            connection.call(
                commands.Queue.Declare(queue=queue, durable=True), commands.Queue.DeclareOk
            )
            if load.exchange:
                connection.call(
                    commands.Queue.Bind(queue=queue, exchange=load.exchange),
                    commands.Queue.BindOk,
                )


def drain(address: tuple[str, int], queue: str) -> list[Delivered]:
    """Take all there is, see that there is no more, and delete the queue."""
    with WireConnection(address) as connection:
        passive = commands.Queue.Declare(queue=queue, passive=True)
        count = connection.call(passive, commands.Queue.DeclareOk).message_count or 0
        connection.call(
            commands.Basic.Consume(queue=queue, no_ack=True, consumer_tag="drain"),
            commands.Basic.ConsumeOk,
        )
        drained: list[Delivered] = []
        while len(drained) < count:
            drained += connection.read_deliveries()[0]
        connection.call(commands.Basic.Cancel("drain"), commands.Basic.CancelOk)
        assert connection.call(passive, commands.Queue.DeclareOk).message_count == 0
        assert len(drained) == count
        connection.call(commands.Queue.Delete(queue=queue), commands.Queue.DeleteOk)
    return drained


def check_kept(drained: list[Delivered], aftermath: Aftermath) -> None:
    """Nobody read it: every confirmed message is there, once, in order, and new."""
    numbers = [message.number for message in drained]
    assert_in_order(numbers, aftermath.sent)
    assert not aftermath.confirmed - set(numbers), "confirmed, but lost"
    assert not [message for message in drained if message.redelivered]


def check_worked(drained: list[Delivered], aftermath: Aftermath) -> None:
    """Somebody read it: what was acknowledged is gone, the rest comes back, and is marked."""
    numbers = [message.number for message in drained]
    present = set(numbers)
    assert_in_order(numbers, aftermath.sent)
    assert not aftermath.confirmed - present - aftermath.acknowledged, "confirmed, but lost"
    assert not aftermath.settled & present, "acknowledged, but there again"
    unmarked = {message.number for message in drained if not message.redelivered}
    assert not unmarked & aftermath.delivered, "delivered before, but not marked so"


def assert_in_order(numbers: list[int], sent: int) -> None:
    """Strictly ascending: in order, and nothing twice."""
    misplaced = [(a, b) for a, b in pairwise(numbers) if a >= b]
    assert not misplaced
    assert not numbers or (numbers[0] >= 1 and numbers[-1] <= sent)
