"""Exchanges that spread messages by a hash."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from gateway.errors import PreconditionFailedError
from gateway.exchanges.hashing_bindings import jump_hash, stable_hash
from gateway.messages import Properties
from tests.support.topology import LiveGateway, header

HASH = "x-consistent-hash"


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    live = LiveGateway(tmp_path / "data")
    for name in "abc":
        live.host.declare_queue(QueueDeclaration(name, durable=True))
    return live


def declare(live: LiveGateway, type: str = HASH, **arguments: object) -> None:
    named = {name.replace("_", "-", 1): value for name, value in arguments.items()}
    live.host.declare_exchange(ExchangeDeclaration("x", type, durable=True, arguments=named))


def spread(live: LiveGateway, count: int = 3000) -> dict[str, str]:
    """Where each of many keys leads; always to one queue."""
    found = {}
    for number in range(count):
        (found[str(number)],) = live.where("x", str(number))
    return found


def test_weights_are_shares(live: LiveGateway) -> None:
    declare(live)
    assert live.where("x", "k") == []
    for name, weight in (("a", "1"), ("b", "2"), ("c", "+3")):
        live.host.bind(QueueBinding(name, "x", weight))
    before = spread(live)
    shares = Counter(before.values())
    for name, weight in (("a", 1), ("b", 2), ("c", 3)):
        assert shares[name] == pytest.approx(500 * weight, rel=0.15)
    assert spread(live.restart()) == before


def test_few_messages_move_when_the_last_one_leaves(live: LiveGateway) -> None:
    declare(live)
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", "10"))
    before = spread(live)
    live.host.unbind(QueueBinding("c", "x", "10"))
    after = spread(live)
    assert all(after[key] == name for key, name in before.items() if name != "c")


def test_the_first_binding_of_a_queue_counts_and_any_unbinding(live: LiveGateway) -> None:
    declare(live)
    live.host.bind(QueueBinding("a", "x", "1"))
    live.host.bind(QueueBinding("a", "x", "100"))
    live.host.bind(QueueBinding("b", "x", "1"))
    assert Counter(spread(live).values())["b"] > 1000
    live.host.unbind(QueueBinding("a", "x", "1"))
    assert set(spread(live, 50).values()) == {"b"}
    live.host.delete_queue("b")
    assert live.where("x", "k") == []


def test_several_keys_are_one_choice(live: LiveGateway) -> None:
    declare(live)
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", "1"))
    route = live.host.route("x", "a", None, ["b", "c", "d", "e", "f"])
    assert route.queues == live.host.route("x", "a", None).queues


def test_a_header_or_a_property_is_hashed_instead(live: LiveGateway) -> None:
    declare(live, hash_header="user")
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", "1"))
    found = {
        tuple(live.where("x", key, user=f"u{number}")) for key in ("k", "l") for number in range(20)
    }
    assert found == {("a",), ("b",), ("c",)}
    assert live.where("x", "k", user="u1") == live.where("x", "other", user="u1")
    assert len({tuple(live.where("x", str(number))) for number in range(20)}) == 1
    live.host.delete_exchange("x")
    declare(live, hash_property="message_id")
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", "1"))
    routes = set()
    for number in range(20):
        sent = header()
        sent.properties = Properties(message_id=str(number))
        route = live.host.route("x", "k", sent)
        assert route.by_header
        routes.add(route.queues)
    assert len(routes) == 3


@pytest.mark.parametrize(
    ("arguments", "text"),
    [
        (
            {"hash_header": "h", "hash_property": "message_id"},
            "hash-header and hash-property are mutually exclusive",
        ),
        ({"hash_property": "type"}, "Unsupported property: type"),
        ({"hash_header": 5}, "Unsupported header: 5"),
    ],
)
def test_arguments_that_are_refused(
    live: LiveGateway, arguments: dict[str, object], text: str
) -> None:
    with pytest.raises(PreconditionFailedError) as raised:
        declare(live, **arguments)
    assert str(raised.value) == text
    assert "x" not in live.host.exchanges


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("0", "The binding key must be greater than 0"),
        ("-1", "The binding key must be greater than 0"),
        ("abc", 'The binding key must be an integer: <<"abc">>'),
        ("", "The binding key must be an integer: <<>>"),
        ("1.5", 'The binding key must be an integer: <<"1.5">>'),
        (" 1", 'The binding key must be an integer: <<" 1">>'),
        ("+-1", 'The binding key must be an integer: <<"+-1">>'),
    ],
)
def test_what_is_no_weight(live: LiveGateway, key: str, text: str) -> None:
    declare(live)
    with pytest.raises(PreconditionFailedError) as raised:
        live.host.bind(QueueBinding("a", "x", key))
    assert str(raised.value) == text
    assert not live.host.exchanges["x"].bindings


def test_the_same_key_takes_the_same_of_all_bindings(live: LiveGateway) -> None:
    declare(live, "x-modulus-hash")
    assert live.where("x", "k") == []
    for name in "abc":
        live.host.bind(QueueBinding(name, "x", ""))
    before = spread(live)
    assert min(Counter(before.values()).values()) > 900
    assert spread(live.restart()) == before


def test_hashes_are_for_ever() -> None:
    assert stable_hash("key") == 0xCE7CCCADC3A94CF5
    assert stable_hash(1) == stable_hash("1") != stable_hash(1.0)
    # As the paper's authors compute it.
    published = [
        (1, 1, 0),
        (42, 57, 43),
        (0xDEAD10CC, 1, 0),
        (0xDEAD10CC, 666, 361),
        (256, 1024, 520),
    ]
    assert all(jump_hash(key, count) == bucket for key, count, bucket in published)
