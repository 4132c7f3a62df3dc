"""The application that `celery_program.py` puts to work: broker and backend come from outside."""

from __future__ import annotations

import os
import time

from celery import Celery, Task
from kombu import Queue

app = Celery("interop", broker=os.environ["INTEROP_BROKER"], backend=os.environ["INTEROP_BACKEND"])
app.conf.update(
    broker_connection_retry_on_startup=True,
    task_acks_late=True,
    task_queues=[
        Queue("celery.plain"),
        Queue("celery.ranked", queue_arguments={"x-max-priority": 10}),
    ],
    task_default_queue="celery.plain",
    task_send_sent_event=True,
    worker_hijack_root_logger=False,
)


@app.task
def add(one: int, other: int) -> int:
    """The usual one."""
    return one + other


@app.task
def total(numbers: list[int]) -> int:
    """The end of a chord."""
    return sum(numbers)


@app.task
def now() -> float:
    """When it was run."""
    return time.time()


@app.task
def sleep(seconds: float) -> float:
    """Takes a while; returns when it began."""
    started = time.time()
    time.sleep(seconds)
    return started


@app.task(bind=True, max_retries=5, default_retry_delay=0.1)
def succeed_at_last(self: Task, failures: int) -> int:
    """Fails so many times before it does not."""
    if self.request.retries < failures:
        raise self.retry(exc=ValueError("not yet"))
    return int(self.request.retries)


@app.task
def fail() -> None:
    """Fails."""
    raise ValueError("as it should")
