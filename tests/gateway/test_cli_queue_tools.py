"""The queue tools on the command line."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import Result
from pamqp import commands

from gateway.cli.queue_tools import parse_point
from tests.gateway.test_cli import run  # noqa: F401
from tests.support.amqp_peer import PERSISTENT, AmqpPeer
from tests.support.http_peer import HttpBroker

NOW = datetime(2026, 1, 31, 12, 30, 15, tzinfo=timezone(timedelta(hours=2)))
Run = Callable[..., Result]


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[HttpBroker]:
    broker = HttpBroker(tmp_path)
    yield broker
    broker.stop()


@pytest.fixture
def peer(broker: HttpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("dlq", durable=True)
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dlq"}
    peer.declare("orders", durable=True, arguments=arguments)
    for number in range(3):
        peer.publish("orders", b"order %d" % number, PERSISTENT)
    return peer


def test_browse(run: Run, peer: AmqpPeer) -> None:  # noqa: F811
    shown = run("queues", "browse", "orders", "--count", "2", "--from", "1").output
    assert "order 0" not in shown
    assert "order 2" in shown
    assert "2023-11-1" in shown
    rows = json.loads(run("queues", "browse", "orders", "--json").output)
    assert [row["payload"] for row in rows] == ["order 0", "order 1", "order 2"]


def test_pause_and_resume(run: Run, peer: AmqpPeer) -> None:  # noqa: F811
    run("queues", "pause", "orders")
    rows = json.loads(run("queues", "list", "--json").output)
    assert {row["name"]: row["paused"] for row in rows} == {"dlq": False, "orders": True}
    assert "paused" in run("queues", "list").output
    assert peer.consume("orders", no_ack=True) == []
    run("queues", "resume", "orders")
    assert len(peer.bodies()) == 3


def test_rewind(run: Run, peer: AmqpPeer) -> None:  # noqa: F811
    for _ in range(3):
        peer.get("orders", no_ack=True)
    assert "2 more messages are ready" in run("queues", "rewind", "orders", "--to", "1").output
    assert "1 more messages" in run("queues", "rewind", "orders", "--to", "2020-01-01").output
    assert run("queues", "rewind", "none", "--to", "1", fails=True).exit_code == 1
    run("queues", "rewind", "orders", "--to", "yesterday", fails=True)


def test_put_back(run: Run, peer: AmqpPeer) -> None:  # noqa: F811
    for _ in range(3):
        tag = peer.get("orders").command.delivery_tag
        peer.method(1, commands.Basic.Reject(delivery_tag=tag, requeue=False))
    put_back = ["queues", "put-back", "dlq"]
    assert "0 put back" in run(*put_back, "--reason", "expired").output
    assert "0 put back" in run(*put_back, "--match", "color=red").output
    assert "0 put back, 3 found no" in run(*put_back, "--to", "amq.topic/x").output
    assert "0 put back, 0 found no" in run(*put_back, "--count", "0").output
    assert "1 put back, 0 found" in run(*put_back, "--queue", "orders", "--count", "1").output
    assert "2 put back" in run(*put_back, "--to", "/dlq").output
    run(*put_back, "--match", "color", fails=True)


@pytest.mark.parametrize(
    ("text", "point"),
    [
        ("17", {"offset": 17}),
        ("10:15", {"time": "2026-01-31T10:15:00+02:00"}),
        ("9:05:59", {"time": "2026-01-31T09:05:59+02:00"}),
        ("-2h", {"time": "2026-01-31T10:30:15+02:00"}),
        ("-90s", {"time": "2026-01-31T12:28:45+02:00"}),
        ("-1d", {"time": "2026-01-30T12:30:15+02:00"}),
        ("2026-01-30", {"time": "2026-01-30T00:00:00+02:00"}),
        ("2026-01-30T10:00:00Z", {"time": "2026-01-30T10:00:00+00:00"}),
    ],
)
def test_a_point_in_time(text: str, point: dict[str, Any]) -> None:
    assert parse_point(text, NOW) == point


@pytest.mark.parametrize("text", ["", "25:00", "2h", "-2y", "soon", "-"])
def test_no_point_in_time(text: str) -> None:
    with pytest.raises(click.BadParameter):
        parse_point(text, NOW.astimezone(UTC))
