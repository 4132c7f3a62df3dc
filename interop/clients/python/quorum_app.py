"""The application with quorum queues: Celery then delays tasks in the broker, not in the worker."""

from __future__ import annotations

import os
import time

from celery import Celery
from kombu import Exchange, Queue

app = Celery("quorum", broker=os.environ["INTEROP_BROKER"], backend="rpc://")
app.conf.update(
    broker_connection_retry_on_startup=True,
    broker_transport_options={"confirm_publish": True},
    task_acks_late=True,
    task_default_queue="celery.quorum",
    task_default_exchange_type="topic",
    task_default_queue_type="quorum",
    task_queues=[
        Queue(
            "celery.quorum",
            Exchange("celery.quorum", "topic"),
            "celery.quorum",
            queue_arguments={"x-queue-type": "quorum"},
        )
    ],
    task_default_routing_key="celery.quorum",
    worker_hijack_root_logger=False,
)


@app.task
def now() -> float:
    """When it was run."""
    return time.time()
