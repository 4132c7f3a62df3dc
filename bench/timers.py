"""Fill the timer store, look at its memory, restart it, and see how late timers fire.

`python -m bench.timers --timers 1000000`. It runs the core alone, in this process, with a clock
that is set forward for the restart: what is measured is the store, not a protocol. All but
10,000 of the timers are spread over a year; those are due within one second, and for them the clock
is the real one.
"""

from __future__ import annotations

import argparse
import random
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from twisted.internet import reactor
from twisted.internet.interfaces import IReactorTime
from twisted.internet.threads import deferToThread
from twisted.python.failure import Failure

from core.broker import Broker
from core.group_commit import Done
from core.options import BrokerOptions
from core.timer_record import Timer
from core.timers import DueTimer

_MIB = 1 << 20
_ORIGIN = 1
_BATCH_COUNT = 100  # Timers of one append, as of one read.
_YEAR_MS = 365 * 86_400_000
_DUE_COUNT = 10_000
_HEAD_START_S = 3.0


def rss_mib() -> float:
    """What this process has in memory."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS"):
            return int(line.split()[1]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_blocking(function: Callable[[], None], done: Done) -> None:
    """Flush in a thread, as the service does."""

    def failed(failure: Failure) -> None:
        done(failure.value)

    deferToThread(function).addCallbacks(lambda _: done(None), failed)


def run_at_once(function: Callable[[], None], done: Done) -> None:
    """The same without a reactor."""
    function()
    done(None)


def stop_hard(error: BaseException) -> None:
    """The disk refuses."""
    raise SystemExit(f"the disk refuses: {error}")


def fill(directory: Path, count: int, size: int) -> int:
    """Append timers; return their owner."""
    clock: IReactorTime = reactor  # type: ignore[assignment]
    broker = Broker(directory, clock, run_at_once, BrokerOptions(), stop_hard)
    broker.start({_ORIGIN: bytes})
    owner = broker.add_timer_owner("bench", lambda due, on_stored: on_stored())
    before = rss_mib()
    body = b"x" * size
    draw = random.Random(1).randrange
    step = max(_BATCH_COUNT, count // 10)
    begun = turned = time.perf_counter()
    cpu_begun = time.process_time()
    longest_s = 0.0
    for done in range(0, count, _BATCH_COUNT):
        now_ms = int(time.time() * 1000)
        broker.timers.append(
            [
                Timer(now_ms + 3_600_000 + draw(_YEAR_MS), owner, _ORIGIN, body)
                for _ in range(_BATCH_COUNT)
            ]
        )
        broker.turn.end()
        now = time.perf_counter()
        longest_s, turned = max(longest_s, now - turned), now
        if not (done + _BATCH_COUNT) % step:
            seconds = now - begun
            print(
                f"{done + _BATCH_COUNT:>11,} timers  {seconds:>7.1f} s  "
                f"RSS {rss_mib() - before:>6.0f} MiB more",
                flush=True,
            )
    cpu_us = (time.process_time() - cpu_begun) / count * 1e6
    print(
        f"appended {count:,} of {size} bytes: {cpu_us:.1f} us of CPU each, "
        f"longest turn {longest_s * 1000:.0f} ms"
    )
    begun = time.perf_counter()
    broker.stop()
    print(f"stopped in {time.perf_counter() - begun:.2f} s")
    return owner


def restart_and_fire(directory: Path, owner: int, count: int) -> None:
    """Restart, add what is due within one second, and measure how late each fires."""
    clock: IReactorTime = reactor  # type: ignore[assignment]
    before = rss_mib()
    begun = time.perf_counter()
    broker = Broker(directory, clock, run_blocking, BrokerOptions(), stop_hard)
    broker.start({_ORIGIN: bytes})
    lateness_ms: list[float] = []

    def publish(due: Sequence[DueTimer], on_stored: Callable[[], None]) -> None:
        now_ms = time.time() * 1000
        lateness_ms.extend(now_ms - timer.id.fire_ms for timer in due)
        queue_route = broker.route([queue])
        messages = [timer.stored for timer in due]
        sizes = list(map(len, messages))
        broker.append(_ORIGIN, [queue_route] * len(due), sizes, [*messages], messages, True)
        broker.when_durable(on_stored)

    broker.timers.add_owner(owner, publish)
    print(
        f"ready again in {time.perf_counter() - begun:.2f} s with {broker.timers.count(owner):,} "
        f"timers, RSS {rss_mib() - before:.0f} MiB more"
    )
    assert broker.timers.count(owner) == count
    queue = broker.declare_queue(["bench"])
    left = count - list_and_cancel(broker, owner)
    start_ms = int((time.time() + _HEAD_START_S) * 1000)
    for first in range(0, _DUE_COUNT, _BATCH_COUNT):
        broker.timers.append(
            [
                Timer(start_ms + number * 1000 // _DUE_COUNT, owner, _ORIGIN, b"y" * 100)
                for number in range(first, first + _BATCH_COUNT)
            ]
        )

    def finished() -> None:
        if broker.timers.count(owner) > left:
            clock.callLater(0.1, finished)
            return
        broker.stop()
        reactor.stop()  # type: ignore[attr-defined]

    clock.callLater(_HEAD_START_S, finished)
    reactor.run()  # type: ignore[attr-defined]
    print_lateness(lateness_ms)


def list_and_cancel(broker: Broker, owner: int) -> int:
    """Look at two pages of a list, and cancel what is on the second; return how many those were."""
    begun = time.perf_counter()
    page = broker.timers.look({owner}, None, 100)
    later = page[-1].id._replace(fire_ms=page[0].id.fire_ms + 10**10)
    middle = broker.timers.look({owner}, later, 9)
    print(f"two pages of a list in {(time.perf_counter() - begun) * 1000:.0f} ms")
    begun = time.perf_counter()
    assert all(broker.timers.cancel(timer.id, {owner}) for timer in middle)
    assert not broker.timers.cancel(middle[0].id, {owner})
    print(f"a cancel in {(time.perf_counter() - begun) * 100:.1f} ms")
    return len(middle)


def print_lateness(lateness_ms: list[float]) -> None:
    """Print how late the timers fired."""
    lateness_ms.sort()
    median, most, worst = (
        lateness_ms[len(lateness_ms) * share // 100 - (share == 100)] for share in (50, 99, 100)
    )
    print(
        f"{len(lateness_ms):,} due within one second fired late by "
        f"{median:.1f} ms (median), {most:.1f} ms (99 %), {worst:.1f} ms (worst)"
    )


def main() -> int:
    """Read the command line and run."""
    parser = argparse.ArgumentParser(prog="python -m bench.timers")
    parser.add_argument("--timers", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--size", type=int, default=100, metavar="BYTES", help="of a message")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where to keep the data")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.data_root) as directory:
        owner = fill(Path(directory) / "data", arguments.timers, arguments.size)
        restart_and_fire(Path(directory) / "data", owner, arguments.timers)
    return 0


if __name__ == "__main__":
    sys.exit(main())
