"""Exchanges that choose at random."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest

from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import PreconditionFailedError
from tests.support.topology import LiveGateway


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    random.seed(5)
    live = LiveGateway(tmp_path / "data")
    for name in "abc":
        live.host.declare_queue(QueueDeclaration(name))
    return live


@pytest.mark.parametrize("type", ["x-random", "x-local-random"])
def test_one_of_them_each_as_often(live: LiveGateway, type: str) -> None:
    live.host.declare_exchange(ExchangeDeclaration("x", type))
    assert live.where("x", "k") == []
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", ""))
    counts = Counter(tuple(live.where("x", "k")) for _ in range(900))
    assert counts.keys() == {("a",), ("b",), ("c",)}
    assert all(count == pytest.approx(300, rel=0.25) for count in counts.values())
    assert live.host.route("x", "k", None).by_message
    assert live.host.route("x", "k", None).by_header
    live.host.delete_queue("a")
    live.host.unbind(QueueBinding("c", "x", ""))
    assert {tuple(live.where("x", "k")) for _ in range(50)} == {("b",)}


def test_who_is_bound_twice_gets_twice_as_much(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("x", "x-random"))
    for name, key in (("a", "1"), ("a", "2"), ("b", "1")):
        live.host.bind(QueueBinding(name, "x", key))
    counts = Counter(live.where("x", "k")[0] for _ in range(900))
    assert counts["a"] == pytest.approx(600, rel=0.15)


def test_behind_another_exchange_it_is_as_random(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("x", "x-random"))
    live.host.declare_exchange(ExchangeDeclaration("front", "fanout"))
    live.host.bind(ExchangeBinding("x", "front", ""))
    for name in "ab":
        live.host.bind(QueueBinding(name, "x", ""))
    assert {tuple(live.where("front", "k")) for _ in range(50)} == {("a",), ("b",)}
    assert live.host.route("front", "k", None).by_message


def test_a_local_one_has_no_keys(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("x", "x-local-random"))
    with pytest.raises(PreconditionFailedError) as raised:
        live.host.bind(QueueBinding("a", "x", "key"))
    assert str(raised.value) == "Non empty binding 'key' key not permitted"
