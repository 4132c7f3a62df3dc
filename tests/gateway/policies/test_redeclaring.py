from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.errors import AccessRefusedError, PreconditionFailedError, ResourceLockedError
from gateway.policies.policies import Policy
from gateway.security.permissions import Permission
from tests.support.topology import LiveGateway


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


def put(live: LiveGateway, how: str) -> None:
    live.host.policies.put("policy", Policy("p", "", {"redeclare": how}))


def declare(live: LiveGateway, **options: Any) -> None:
    options = {"durable": True, **options}
    arguments = {f"x-{key.replace('_', '-')}": value for key, value in options.items()
                 if key not in ("durable", "auto_delete")}  # fmt: skip
    declared = {key: options[key] for key in options if key in ("durable", "auto_delete")}
    live.host.declare_queue(QueueDeclaration("q", arguments=arguments, **declared))


UNEQUAL: list[dict[str, Any]] = [
    {"max_length": 5, "durable": False},
    {"max_length": 5, "auto_delete": True},
    {"max_length": 6},
    {},
    {"max_length": 5, "max_priority": 3},
]


@pytest.mark.parametrize("options", UNEQUAL)
def test_strict_refuses(live: LiveGateway, options: dict[str, Any]) -> None:
    declare(live, max_length=5)
    for how in (None, "strict"):
        if how is not None:
            put(live, how)
        with pytest.raises(PreconditionFailedError, match="inequivalent arg"):
            declare(live, **options)


@pytest.mark.parametrize("options", UNEQUAL)
def test_warn_accepts_and_changes_nothing(live: LiveGateway, options: dict[str, Any]) -> None:
    declare(live, max_length=5)
    put(live, "warn")
    queue = live.host.queues["q"]
    assert queue.unequal_declaration is None
    declare(live, **options)
    assert queue.unequal_declaration is not None
    assert queue.unequal_declaration.startswith("inequivalent arg")
    assert (queue.durable, queue.auto_delete, queue.arguments) == (True, False, {"x-max-length": 5})
    with pytest.raises(ResourceLockedError):
        live.host.declare_queue(QueueDeclaration("q", exclusive=True), object())


class TestApply:
    def test_takes_over_what_can_change(self, live: LiveGateway) -> None:
        declare(live, max_length=5, overflow="reject-publish", single_active_consumer=True)
        put(live, "apply")
        queue = live.host.queues["q"]
        for number in range(4):
            live.publish("", "q", b"%d" % number)
        live.clock.advance(1)
        generation = live.gateway.generation
        declare(live, max_length=3, message_ttl=1000, single_active_consumer=True)
        assert live.gateway.generation > generation
        live.gateway.turn.end()
        assert queue.ready_count == 3
        live = live.restart()
        arguments = live.host.queues["q"].arguments
        assert arguments == {
            "x-max-length": 3, "x-message-ttl": 1000, "x-single-active-consumer": True
        }  # fmt: skip
        live.clock.advance(5)
        assert live.host.queues["q"].ready_count == 3

    @pytest.mark.parametrize(
        ("options", "text"),
        [
            ({"durable": False}, "inequivalent arg 'durable'"),
            ({"auto_delete": True}, "inequivalent arg 'auto_delete'"),
            ({"max_priority": 3}, "inequivalent arg 'x-max-priority'"),
            ({"max_length": -1}, "invalid arg 'x-max-length'"),
        ],
    )
    def test_refuses_the_rest(self, live: LiveGateway, options: Any, text: str) -> None:
        declare(live, max_length=5)
        put(live, "apply")
        with pytest.raises(PreconditionFailedError, match=text):
            declare(live, **options)
        assert live.host.queues["q"].arguments == {"x-max-length": 5}

    def test_an_equal_one_changes_nothing(self, live: LiveGateway) -> None:
        declare(live, max_length=5)
        put(live, "apply")
        generation = live.gateway.generation
        declare(live, max_length=5)
        assert live.gateway.generation == generation

    def test_a_dead_letter_exchange_needs_its_permission(self, live: LiveGateway) -> None:
        declare(live)
        put(live, "apply")
        live.gateway.permissions.put(Permission("guest", "/", ".*", "^q$", ".*"))
        entered = live.gateway.enter_virtual_host("guest", "/")
        arguments = {"x-dead-letter-exchange": "secret"}
        with pytest.raises(AccessRefusedError, match="write access to exchange 'secret'"):
            entered.declare_queue(QueueDeclaration("q", durable=True, arguments=arguments))


class TestExchanges:
    def declare(self, live: LiveGateway, type: str = "direct", **arguments: Any) -> None:
        live.host.declare_exchange(
            ExchangeDeclaration("x", type, durable=True, arguments=arguments)
        )

    def test_warn(self, live: LiveGateway) -> None:
        self.declare(live)
        put(live, "warn")
        self.declare(live, "fanout")
        exchange = live.host.exchanges["x"]
        assert exchange.type == "direct"
        assert "received 'fanout'" in str(exchange.unequal_declaration)

    def test_apply(self, live: LiveGateway) -> None:
        self.declare(live, odd=1)
        put(live, "apply")
        self.declare(live, **{"alternate-exchange": "amq.fanout"})
        with pytest.raises(PreconditionFailedError, match="'type'"):
            self.declare(live, "fanout")
        with pytest.raises(PreconditionFailedError, match="alternate-exchange"):
            self.declare(live, **{"alternate-exchange": 5})
        live = live.restart()
        assert live.host.exchanges["x"].arguments == {"odd": 1, "alternate-exchange": "amq.fanout"}
        self.declare(live)
        assert live.host.exchanges["x"].alternate is None
