from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import AccessRefusedError, NotFoundError
from gateway.exchanges.asked_keys import AskedKeys
from gateway.vhosts.virtual_host import VirtualHost
from tests.support.topology import LiveGateway, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    live = LiveGateway(tmp_path / "data")
    for name in "pqr":
        live.host.declare_queue(QueueDeclaration(name))
    return live


def test_the_default_exchange_leads_to_the_queue_of_that_name(live: LiveGateway) -> None:
    assert live.where("", "q") == ["q"]
    assert live.where("", "nobody") == []


def test_a_queue_gets_one_copy_however_many_bindings_fit(live: LiveGateway) -> None:
    for key in ("#", "a.*", "a.b"):
        live.host.bind(QueueBinding("q", "amq.topic", key))
    assert live.where("amq.topic", "a.b") == ["q"]
    assert live.publish("amq.topic", "a.b", b"once") == 1
    assert bodies(live.host.queues["q"]) == [b"once"]


def test_exchanges_lead_to_exchanges_each_visited_once(live: LiveGateway) -> None:
    for name in ("a", "b", "c"):
        live.host.declare_exchange(ExchangeDeclaration(name, "fanout"))
    for source, destination in ("ab", "bc", "ca", "ac", "aa"):
        live.host.bind(ExchangeBinding(destination, source, ""))
    live.host.bind(QueueBinding("p", "c", ""))
    live.host.bind(QueueBinding("p", "b", ""))
    live.host.bind(QueueBinding("q", "a", ""))
    for name in ("a", "b", "c"):
        assert live.where(name, "k") == ["p", "q"]


@settings(max_examples=30)
@given(
    edges=st.sets(st.tuples(st.integers(0, 4), st.integers(0, 4)), max_size=12),
    bound=st.sets(st.tuples(st.integers(0, 4), st.sampled_from("pqr")), max_size=6),
    alternates=st.dictionaries(st.integers(0, 4), st.integers(0, 5), max_size=4),
    start=st.integers(0, 4),
)
def test_any_graph_is_walked_as_the_specification_says(
    tmp_path_factory: pytest.TempPathFactory,
    edges: set[tuple[int, int]],
    bound: set[tuple[int, str]],
    alternates: dict[int, int],
    start: int,
) -> None:
    live = LiveGateway(tmp_path_factory.mktemp("data"))
    for name in "pqr":
        live.host.declare_queue(QueueDeclaration(name))
    for number in range(5):
        chosen = {"alternate-exchange": f"e{alternates[number]}"} if number in alternates else {}
        live.host.declare_exchange(ExchangeDeclaration(f"e{number}", "fanout", arguments=chosen))
    for source, destination in edges:
        live.host.bind(ExchangeBinding(f"e{destination}", f"e{source}", ""))
    for source, queue in bound:
        live.host.bind(QueueBinding(queue, f"e{source}", ""))
    reached: set[int] = set()
    pending = {start}
    while pending:
        current = pending.pop()
        reached.add(current)
        following = {destination for source, destination in edges if source == current}
        if not following and not any(source == current for source, _ in bound):
            following = {alternates.get(current, 5)} - {5}  # The exchange e5 is missing.
        pending |= following - reached
    assert live.where(f"e{start}", "") == sorted({q for s, q in bound if s in reached})
    live.gateway.stop()


_EXCHANGES = ("amq.direct", "amq.topic", "amq.fanout", "spare")
_KEYS = ("a", "a.b", "b")
_SPARE = ExchangeDeclaration("spare", "direct")


def _change(host: VirtualHost, change: str, source: str, destination: str, key: str) -> None:
    """One of the changes of the test below; of exchanges, one comes and goes."""
    kind = "exchange" if destination in _EXCHANGES else "queue"
    changes: dict[tuple[str, str], Callable[[], object]] = {
        ("bind", "exchange"): lambda: host.bind(ExchangeBinding(destination, source, key)),
        ("bind", "queue"): lambda: host.bind(QueueBinding(destination, source, key)),
        ("unbind", "exchange"): lambda: host.unbind(ExchangeBinding(destination, source, key)),
        ("unbind", "queue"): lambda: host.unbind(QueueBinding(destination, source, key)),
        ("delete", "exchange"): lambda: host.delete_exchange("spare"),
        ("delete", "queue"): lambda: host.delete_queue(destination),
        ("declare", "exchange"): lambda: host.declare_exchange(_SPARE),
        ("declare", "queue"): lambda: host.declare_queue(QueueDeclaration(destination)),
    }
    changes[change, kind]()


@settings(max_examples=60)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(("bind", "unbind", "delete", "declare")),
            st.sampled_from(_EXCHANGES),
            st.sampled_from(("p", "q", *_EXCHANGES)),
            st.sampled_from((*_KEYS, "*", "a.#", "#")),
        ),
        max_size=16,
    )
)
def test_who_keeps_routes_hears_of_every_change_of_one(
    tmp_path_factory: pytest.TempPathFactory, changes: list[tuple[str, str, str, str]]
) -> None:
    live = LiveGateway(tmp_path_factory.mktemp("data"))
    host = live.host
    for name in "pq":
        host.declare_queue(QueueDeclaration(name))
    host.declare_exchange(_SPARE)
    host.declare_exchange(
        ExchangeDeclaration("x", "topic", arguments={"alternate-exchange": "spare"})
    )
    host.bind(ExchangeBinding("amq.topic", "x", "a"))
    kept: dict[tuple[str, str], list[str]] = {}
    generation = -1
    for change, source, destination, key in [("declare", "", "p", ""), *changes]:
        with suppress(NotFoundError):
            _change(host, change, source, destination, key)
        if generation != live.gateway.generation:
            generation = live.gateway.generation
            kept.clear()
        with patch.object(AskedKeys, "note"):  # Whoever keeps a route does not ask again.
            for place, queues in kept.items():
                assert queues == live.where(*place)
        for exchange in ("amq.direct", "amq.topic", "amq.fanout", "x"):
            for key in _KEYS[:2]:
                if (exchange, key) not in kept:
                    kept[exchange, key] = live.where(exchange, key)
    live.gateway.stop()


def test_what_finds_nothing_goes_to_the_alternate_exchange(live: LiveGateway) -> None:
    def declare(name: str, alternate: str) -> None:
        live.host.declare_exchange(
            ExchangeDeclaration(name, "direct", arguments={"alternate-exchange": alternate})
        )

    declare("first", "second")
    declare("second", "")
    live.host.bind(QueueBinding("p", "first", "bound"))
    assert live.where("first", "bound") == ["p"]
    assert live.where("first", "q") == ["q"], "by way of the second to the default exchange"
    assert live.where("first", "nobody") == []
    declare("in a circle", "in a circle")
    assert live.where("in a circle", "x") == []
    declare("to nowhere", "missing")
    assert live.where("to nowhere", "x") == []


def test_headers_are_asked_only_if_an_exchange_wants_them(live: LiveGateway) -> None:
    live.host.declare_exchange(ExchangeDeclaration("first", "direct"))
    live.host.bind(ExchangeBinding("amq.headers", "first", "k"))
    live.host.bind(QueueBinding("q", "amq.headers", "", {"a": 1}))
    live.host.bind(QueueBinding("p", "first", "other"))
    assert live.where("first", "k", a=1) == ["q"]
    assert live.where("first", "k", a=2) == []
    assert live.host.route("first", "k", None).by_header
    assert not live.host.route("first", "other", None).by_header


def test_what_cannot_be_published_to(live: LiveGateway) -> None:
    with pytest.raises(NotFoundError, match="no exchange 'missing' in vhost '/'"):
        live.where("missing", "k")
    live.host.declare_exchange(ExchangeDeclaration("inner", "fanout", internal=True))
    with pytest.raises(AccessRefusedError, match="cannot publish to internal exchange 'inner'"):
        live.where("inner", "k")
    live.host.bind(ExchangeBinding("inner", "amq.fanout", ""))
    live.host.bind(QueueBinding("q", "inner", ""))
    assert live.where("amq.fanout", "k") == ["q"]


def test_a_fan_out_to_many_queues_stores_the_body_once(live: LiveGateway) -> None:
    for number in range(1000):
        live.host.declare_queue(QueueDeclaration(f"q{number}", durable=True))
        live.host.bind(QueueBinding(f"q{number}", "amq.fanout", ""))
    before = live.gateway.broker.log_end
    assert live.publish("amq.fanout", "", b"x" * 1000) == 1000
    assert live.gateway.broker.log_end - before < 1100
    assert bodies(live.host.queues["q999"]) == [b"x" * 1000]
