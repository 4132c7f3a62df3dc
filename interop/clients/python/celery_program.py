"""Celery: workers in processes, threads and greenlets, and what their users ask of them.

Each scenario starts the workers that it needs; they are gone when it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from report import check, equal, main

WAIT_S = 30.0
STOP_S = 20.0
os.environ["INTEROP_BROKER"] = sys.argv[1]
os.environ.setdefault("INTEROP_BACKEND", "rpc://")

import quorum_app  # noqa: E402
from celery import chain, chord, group  # noqa: E402 (the application reads its environment)
from celery.app.backends import by_url  # noqa: E402
from celery_app import add, app, fail, now, sleep, succeed_at_last, total  # noqa: E402


@contextmanager
def worker(
    pool: str,
    concurrency: int,
    *options: str,
    application: str = "celery_app",
    **environment: str,
) -> Iterator[str]:
    """A worker that is ready; its name."""
    name = f"{pool}@interop"
    command = [sys.executable, "-m", "celery", "-A", application, "worker", "--task-events"]
    command += [f"--pool={pool}", f"--concurrency={concurrency}", f"--hostname={name}"]
    command += ["--loglevel=warning", *options]
    process = subprocess.Popen(
        command,
        cwd=Path(__file__).parent,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        stdout=sys.stderr,
    )
    try:
        deadline = time.monotonic() + WAIT_S
        while not app.control.ping([name], timeout=0.5):
            check(process.poll() is None, "the worker ended")
            check(time.monotonic() < deadline, "the worker does not answer")
        yield name
    finally:
        process.terminate()
        try:
            process.wait(STOP_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def tasks(_: str) -> Any:
    """Results by rpc://, a failure, a chain and a group."""
    with worker("prefork", 2):
        equal(add.delay(2, 3).get(WAIT_S), 5)
        try:
            fail.delay().get(WAIT_S)
        except ValueError as error:
            equal(str(error), "as it should")
        else:
            raise AssertionError("it did not fail")
        equal(chain(add.s(1, 2), add.s(4))().get(WAIT_S), 7)
        results = group(add.s(number, 1) for number in range(50))().get(WAIT_S)
        equal(results, list(range(1, 51)))


def eta_and_countdown(_: str) -> Any:
    """The worker keeps what is not yet due, unacknowledged."""
    with worker("prefork", 2):
        asked = time.time()
        late = now.apply_async(countdown=2)
        soon = now.delay()
        check(soon.get(WAIT_S) < asked + 2, "what was due at once waited")
        check(late.get(WAIT_S) >= asked + 2, "it did not wait")


def retries(_: str) -> Any:
    with worker("prefork", 2):
        return succeed_at_last.delay(3).get(WAIT_S)


def chords(_: str) -> Any:
    """Over a backend of files: rpc:// has none."""
    with tempfile.TemporaryDirectory() as folder:
        url = f"file://{folder}"
        backend, _ = by_url(url)
        before, app._backend = app.backend, backend(app=app, url=url)
        try:
            with worker("threads", 4, INTEROP_BACKEND=url):
                return chord((add.s(number, 1) for number in range(10)), total.s())().get(WAIT_S)
        finally:
            app._backend = before


def priorities(_: str) -> Any:
    """What waits in a queue with x-max-priority goes by its priority."""
    ranked = [now.apply_async(queue="celery.ranked", priority=each) for each in (1, 9, 5, 0, 10)]
    with worker("prefork", 1, "--prefetch-multiplier=1", "-Q", "celery.ranked"):
        times = [result.get(WAIT_S) for result in ranked]
    order = sorted(range(5), key=times.__getitem__)
    equal(order, [4, 1, 2, 0, 3])


def prefetch_multiplier(_: str) -> Any:
    """With 1 a worker of one process takes one task at a time: the other worker gets the rest."""
    alone = ("--prefetch-multiplier=1",)
    with worker("prefork", 1, *alone), worker("threads", 1, *alone):
        long = sleep.delay(5.0)
        while not any((app.control.inspect(timeout=0.3).active() or {}).values()):
            pass
        times = [short.get(WAIT_S) for short in [now.delay() for _ in range(10)]]
        check(max(times) < long.get(WAIT_S) + 5.0, "they waited for the long one")


def remote_control(_: str) -> Any:
    with worker("prefork", 2) as name:
        inspect = app.control.inspect([name])
        equal(inspect.ping(), {name: {"ok": "pong"}})
        queues = sorted(queue["name"] for queue in inspect.active_queues()[name])
        check("celery_app.add" in inspect.registered()[name], "add is not registered")
        revoked = now.apply_async(countdown=60)
        app.control.revoke(revoked.id)
        app.control.rate_limit("celery_app.add", "100/s", reply=True, destination=[name])
        equal(inspect.stats()[name]["broker"]["transport"], "amqp")
        return queues


def events(_: str) -> Any:
    """Every step of a task is published to the topic exchange celeryev."""
    seen: list[str] = []

    def handle(event: dict[str, Any]) -> None:
        if event["type"].startswith("task-"):
            seen.append(event["type"])
        receiver.should_stop = "task-succeeded" in seen

    with worker("prefork", 1), app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": handle})
        captured = receiver.itercapture(timeout=WAIT_S)
        next(captured)  # It is listening.
        result = add.delay(1, 1)
        for _ in captured:
            pass
        equal(result.get(WAIT_S), 2)
    # Of two connections: they may come in another order.
    equal(sorted(seen), ["task-received", "task-sent", "task-started", "task-succeeded"])


def greenlets(_: str) -> Any:
    """50 tasks that sleep for half a second take less than half of 25."""
    with worker("gevent", 50):
        started = time.monotonic()
        results = [sleep.delay(0.5) for _ in range(50)]
        for result in results:
            result.get(WAIT_S)
        check(time.monotonic() - started < 10, "one after the other")


def quorum_queues(_: str) -> Any:
    """What is not yet due waits in the broker, in 28 exchanges and queues in a row."""
    with worker("threads", 2, application="quorum_app"):
        asked = time.time()
        late = quorum_app.now.apply_async(countdown=3)
        soon = quorum_app.now.delay()
        check(soon.get(WAIT_S) < asked + 3, "what was due at once waited")
        check(late.get(WAIT_S) >= asked + 2.9, "it did not wait")


SCENARIOS = {
    "tasks": tasks,
    "ETA and countdown": eta_and_countdown,
    "retries": retries,
    "chords": chords,
    "priorities": priorities,
    "prefetch multiplier": prefetch_multiplier,
    "remote control": remote_control,
    "events": events,
    "greenlets": greenlets,
    "quorum queues": quorum_queues,
}

if __name__ == "__main__":
    main("celery", SCENARIOS)
