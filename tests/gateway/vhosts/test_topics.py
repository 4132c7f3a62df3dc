from __future__ import annotations

from pathlib import Path

import pytest

from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from tests.support.topology import LiveGateway, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


def test_a_queue_is_the_topic_of_its_name(live: LiveGateway) -> None:
    host = live.host
    queue = host.declare_queue(QueueDeclaration("t"))
    assert host.topic_queue("t", create=False) is queue
    assert host.topic_queue("missing", create=False) is None
    created = host.topic_queue("new", create=True)
    assert created is host.queues["new"]
    assert created.durable


def test_an_exchange_is_tapped_from_the_first_reader_on(live: LiveGateway) -> None:
    """Without taking anything from anyone, and for as long as it is there."""
    host = live.host
    host.declare_exchange(ExchangeDeclaration("e", "direct", durable=True))
    host.declare_queue(QueueDeclaration("q", durable=True))
    host.bind(QueueBinding("q", "e", "k"))
    live.publish("e", "k", b"before")
    tap = host.topic_queue("e", create=False)
    assert tap is not None
    assert host.topic_queue("e", create=True) is tap
    assert live.publish("e", "k", b"for both") == 2
    assert live.publish("e", "nobody", b"for readers") == 1
    assert bodies(host.queues["q"]) == [b"before", b"for both"]
    live = live.restart()
    again = live.host.topic_queue("e", create=False)
    assert again is not None
    assert [message[2] for _, message in again.read(0, 9)] == [b"for both", b"for readers"]
    live.publish("e", "k", b"later")
    assert again.max_offset == 3
    assert "e" not in live.host.queues


def test_a_tap_goes_with_its_exchange(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("e", "fanout", durable=True))
    tap = live.host.topic_queue("e", create=False)
    assert tap is not None
    notes: list[str] = []
    tap.watch(lambda: notes.append("the end"))
    live.host.delete_exchange("e")
    assert notes == ["the end"]
    assert live.host.topic_queue("e", create=False) is None
    live = live.restart()
    assert live.gateway.broker.queues == {}


def test_an_exchange_behind_another_is_tapped_as_well(live: LiveGateway) -> None:
    for name in "ab":
        live.host.declare_exchange(ExchangeDeclaration(name, "fanout"))
    live.host.bind(ExchangeBinding("b", "a", ""))
    tap = live.host.topic_queue("b", create=False)
    live.publish("a", "k", b"x", persistent=False)
    assert tap is not None
    assert bodies(tap) == [b"x"]


def test_a_send_goes_to_the_exchange_of_that_name_else_to_the_queue(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("t", "direct"))
    queue, other = [live.host.declare_queue(QueueDeclaration(name)) for name in "tq"]
    live.host.bind(QueueBinding("q", "t", "tag"))
    assert live.host.topic_route("t", "tag", None).queues == (other.light,)
    live.host.delete_exchange("t")
    assert live.host.topic_route("t", "tag", None).queues == (queue.light,)
    assert live.host.topic_route("new", "tag", None).queues == (live.host.queues["new"].light,)
