"""Delayed messages and kill -9, while they fire: each comes, those that were settled once."""

from __future__ import annotations

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pika
import pytest

from gateway.demo.broker_process import BrokerProcess

pytestmark = pytest.mark.crash

_COUNT = 3000
_SPREAD_MS = 3000
_KILL_AFTER_S = 0.7
_QUIET_S = 3.0


def connect(broker: BrokerProcess) -> Any:
    return pika.BlockingConnection(pika.ConnectionParameters(*broker.addresses["amqp"]))


def delay(broker: BrokerProcess) -> None:
    """Publish, atomically and so that all is safe at the end."""
    connection = connect(broker)
    channel = connection.channel()
    channel.queue_declare("q", durable=True)
    channel.tx_select()
    for number in range(_COUNT):
        delay_ms = 200 + _SPREAD_MS * number // _COUNT
        properties = pika.BasicProperties(headers={"x-rosetta-delay": delay_ms}, delivery_mode=2)
        channel.basic_publish("", "q", b"%d" % number, properties)
    channel.tx_commit()
    connection.close()


def test_every_one_comes(tmp_path: Path) -> None:
    for round in range(4):
        with BrokerProcess(tmp_path) as broker:
            if not round:
                delay(broker)
            time.sleep(_KILL_AFTER_S)
            broker.kill()
    came: Counter[int] = Counter()
    with BrokerProcess(tmp_path) as broker:
        connection = connect(broker)
        channel = connection.channel()
        for _, _, body in channel.consume("q", auto_ack=True, inactivity_timeout=_QUIET_S):
            if body is None:
                break
            came[int(body)] += 1
        connection.close()
    assert set(came) == set(range(_COUNT))
    # A batch that was on its way to the disk at a kill may have been stored, and fire again.
    assert came.total() - _COUNT <= 4 * 16 * 512
