"""Fill long queues with small messages one by one, crash, restart, and drain them in order.

`python -m bench.long_queues --messages 10000000`, `... --queues 1000`. It runs the core alone, each
step in a process of its own: what is measured is the index of the queues, not a protocol. Each
message is a record of the log of its own, so each takes an entry of an index. Flushing blocks.
With `--half` every second message is acknowledged before the crash, and the rest is drained.
"""

from __future__ import annotations

import argparse
import gc
import os
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from pathlib import Path

from twisted.internet.task import Clock

from bench.timers import rss_mib, run_at_once, stop_hard
from core.broker import Broker
from core.checkpoint import Checkpoint
from core.light_queue import LightQueue
from core.options import BrokerOptions

_ORIGIN = 1
_TURN_COUNT = 10  # Messages appended, or queues taken from, per turn.
_TAKE_COUNT = 200


class TimedBroker(Broker):
    """Knows how much of the processor the largest checkpoint took."""

    checkpoint_count = 0
    checkpoint_s = 0.0

    def _capture(self, progress_number: int) -> Checkpoint:
        begun = time.process_time()
        checkpoint = super()._capture(progress_number)
        self.checkpoint_s = max(self.checkpoint_s, time.process_time() - begun)
        self.checkpoint_count += 1
        return checkpoint


class Progress:
    """Prints the rate and the memory ten times, and remembers the longest turn."""

    def __init__(self, verb: str, count: int, turn: Callable[[], None]) -> None:
        self._verb = verb
        self._step = max(1, count // 10)
        self._end_turn = turn
        self._done = self._printed = 0
        self._begun = time.perf_counter()
        self._turned = time.process_time()
        self.longest_s = 0.0

    def end_turn(self, count: int) -> None:
        """A turn with so many messages ends."""
        self._end_turn()
        self._done += count
        self.longest_s = max(self.longest_s, time.process_time() - self._turned)
        now = time.perf_counter()
        if self._done - self._printed >= self._step:
            rate = (self._done - self._printed) / (now - self._begun)
            print(
                f"{self._done:>11,} {self._verb}  {rate:>9,.0f} msg/s  RSS {rss_mib():>6.0f} MiB",
                flush=True,
            )
            self._printed, self._begun = self._done, now
        self._turned = time.process_time()


@contextmanager
def started(directory: Path) -> Iterator[TimedBroker]:
    """A broker on a folder, and how long it took to start; it is not stopped."""
    gc.disable()  # The service collects garbage rarely.
    begun = time.perf_counter()
    broker = TimedBroker(directory, Clock(), run_at_once, BrokerOptions(), stop_hard)
    broker.start({_ORIGIN: bytes})
    print(f"started in {time.perf_counter() - begun:.2f} s, RSS {rss_mib():.0f} MiB", flush=True)
    yield broker
    count, longest_ms = broker.checkpoint_count, broker.checkpoint_s * 1000
    size = (directory / "checkpoint").stat().st_size if count else 0
    print(
        f"{count} checkpoints, of at most {longest_ms:.0f} ms of CPU; the last one {size:,} bytes"
    )


def fill(directory: Path, messages: int, queues: int, size: int, durable: bool, half: bool) -> None:
    """Append messages round robin, settle every second one of each queue if `half`, and die."""
    with started(directory) as broker:
        routes = [broker.route([broker.declare_queue([n])]) for n in range(queues)]
        if not durable:
            routes = [route.without_restart for route in routes]
        progress = Progress("appended", messages, broker.turn.end)
        for number in range(messages):
            body = b"%0*d" % (size, number)
            broker.append(_ORIGIN, [routes[number % queues]], [size], [body], [body], durable)
            if number % _TURN_COUNT == _TURN_COUNT - 1:
                progress.end_turn(_TURN_COUNT)
        print(f"longest turn {progress.longest_s * 1000:.0f} ms of CPU")
        if half:
            settle_half(broker, messages)
        if not durable:
            drain(broker, messages, half)
    sys.stdout.flush()
    os._exit(0)  # As a kill does: nothing is stopped.


def settle_half(broker: Broker, messages: int) -> None:
    """Take everything, and settle every second message of each queue; the rest is in flight."""
    progress = Progress("taken", messages, broker.turn.end)
    for queue in broker.queues.values():
        while spans := queue.take(_TAKE_COUNT):
            for start, bodies, _ in spans:
                end = start + len(bodies)
                for offset in range(start + start % 2, end, 2):
                    queue.settle(offset, offset + 1)
                progress.end_turn(len(bodies))
    print(f"longest turn {progress.longest_s * 1000:.0f} ms of CPU")


def drain_and_stop(directory: Path, messages: int, half: bool) -> None:
    """Start again, take all, stop."""
    with started(directory) as broker:
        drain(broker, messages, half)
        begun = time.perf_counter()
        broker.stop()
        print(f"stopped in {time.perf_counter() - begun:.2f} s")
    left = sum(path.stat().st_size for path in (directory / "index").glob("*"))
    print(f"index files left: {left:,} bytes")


def drain(broker: Broker, messages: int, half: bool) -> None:
    """Take and settle everything, from all queues in turn; check the order."""
    queues = [broker.queues[id] for id in sorted(broker.queues)]
    expected = list(range(len(queues)))
    step = len(queues)
    if half:
        expected = [first + step for first in expected]
        step, messages = 2 * step, sum(queue.ready_count for queue in queues)
    progress = Progress("drained", messages, broker.turn.end)
    done = 0
    while done < messages:
        before = done
        for index, queue in enumerate(queues):
            done += _take(queue, index, expected, step)
            if index % _TURN_COUNT == _TURN_COUNT - 1 or index == len(queues) - 1:
                progress.end_turn(done - before)
                before = done
    assert all(queue.ready_count == 0 for queue in queues)
    longest_ms = progress.longest_s * 1000
    print(f"drained {messages:,}, all there, in order; longest turn {longest_ms:.0f} ms of CPU")


def _take(queue: LightQueue, index: int, expected: list[int], step: int) -> int:
    count = 0
    for start, bodies, _ in queue.take(_TAKE_COUNT):
        for body in bodies:
            assert int(body) == expected[index], f"{body!r} in place of {expected[index]}"
            expected[index] += step
        queue.settle(start, start + len(bodies))
        count += len(bodies)
    return count


def main() -> int:
    """Read the command line and run it."""
    parser = argparse.ArgumentParser(prog="python -m bench.long_queues")
    parser.add_argument("--messages", type=int, default=10_000_000, metavar="N")
    parser.add_argument("--queues", type=int, default=1, metavar="N")
    parser.add_argument("--size", type=int, default=20, metavar="BYTES", help="of a body")
    parser.add_argument("--transient", action="store_true", help="no restart; drained at once")
    parser.add_argument("--half", action="store_true", help="every second one is done with before")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where to keep the data")
    options = parser.parse_args()
    if options.half and options.transient:
        parser.error("--half shows what a restart brings back: not with --transient")
    with tempfile.TemporaryDirectory(dir=options.data_root) as folder:
        directory = Path(folder) / "data"
        durable = not options.transient
        arguments = (
            directory,
            options.messages,
            options.queues,
            options.size,
            durable,
            options.half,
        )
        steps: list[tuple[Callable[..., None], tuple[object, ...]]] = [(fill, arguments)]
        if durable:
            steps.append((drain_and_stop, (directory, options.messages, options.half)))
        for step, values in steps:
            process = get_context("spawn").Process(target=step, args=values)
            process.start()
            process.join()
            if process.exitcode:
                return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
