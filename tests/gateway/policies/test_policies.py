from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from gateway.errors import PreconditionFailedError
from gateway.policies.policies import NO_POLICIES, Policies, Policy
from tests.support.documents import MemoryDocuments
from tests.support.topology import LiveGateway, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


def put(live: LiveGateway, pattern: str, kind: str = "policy", **definition: Any) -> None:
    """A policy called like its pattern; the keys with - for _."""
    made = {key.replace("_", "-"): value for key, value in definition.items()}
    live.host.policies.put(kind, Policy(pattern, pattern, made))
    live.gateway.turn.end()


class TestWhichHolds:
    @pytest.fixture
    def policies(self) -> Policies:
        return Policies("/", MemoryDocuments(), lambda: None)

    def put(self, policies: Policies, name: str, pattern: str, **more: Any) -> None:
        policies.put("policy", Policy(name, pattern, {"max-length": 1}, **more))

    def test_the_highest_priority(self, policies: Policies) -> None:
        self.put(policies, "low", "q")
        self.put(policies, "high", "^q", priority=5)
        self.put(policies, "other", "^other", priority=9)
        self.put(policies, "negative", "", priority=-1)
        assert policies.for_queue("q1", "classic").policy == "high"
        assert policies.for_queue("a-q", "classic").policy == "low"
        assert policies.for_queue("x", "classic").policy == "negative"
        assert [each.name for each in policies.of_kind("policy")] == [
            "other", "high", "low", "negative"
        ]  # fmt: skip

    @pytest.mark.parametrize(
        ("apply_to", "held"),
        [
            ("all", "classic quorum stream exchange"),
            ("queues", "classic quorum stream"),
            ("classic_queues", "classic"),
            ("quorum_queues", "quorum"),
            ("streams", "stream"),
            ("exchanges", "exchange"),
        ],
    )
    def test_what_it_applies_to(self, policies: Policies, apply_to: str, held: str) -> None:
        definition = {"max-length-bytes": 1}
        policies.put("policy", Policy("p", "x", definition, apply_to=apply_to))
        found = [kind for kind in ("classic", "quorum", "stream")
                 if policies.for_queue("x", kind).policy]  # fmt: skip
        found += ["exchange"] * (policies.for_exchange("x") is not NO_POLICIES)
        assert " ".join(found) == held

    def test_one_with_a_key_of_another_type_does_not_hold(self, policies: Policies) -> None:
        policies.put("policy", Policy("p", "", {"max-length": 1, "delivery-limit": 2}))
        policies.put("policy", Policy("r", "", {"max-length": 1}, -1))
        assert policies.for_queue("x", "classic").policy == "r"
        assert policies.for_queue("x", "quorum").policy == "p"
        assert policies.for_queue("x", "stream") is NO_POLICIES

    def test_both_kinds_hold(self, policies: Policies) -> None:
        self.put(policies, "p", "q")
        policies.put("operator_policy", Policy("o", "q", {"max-length": 3, "expires": 5}))
        held = policies.for_queue("q", "classic")
        assert (held.policy, held.operator_policy) == ("p", "o")
        assert held.definition == {"max-length": 1, "expires": 5}
        assert policies.delete("policy", "p")
        assert not policies.delete("policy", "p")
        assert policies.for_queue("q", "classic").definition == {"max-length": 3, "expires": 5}

    @pytest.mark.parametrize(
        ("policy", "reason"),
        [
            (Policy("p", "(", {"expires": 1}), "pattern should be regular expression but is"),
            (Policy("p", 1, {"expires": 1}), "pattern should be a binary but was 1"),  # type: ignore[arg-type]
            (Policy("p", "", {"expires": 1}, "x"), "priority should be a number, actually was"),  # type: ignore[arg-type]
            (Policy("p", "", {"expires": 1}, 0, "x"), "apply-to 'x' unrecognised; should be one"),
            (Policy("p", "", {"expires": 0}), "0 is not a valid queue expiry"),
        ],
    )
    def test_what_cannot_be(self, policies: Policies, policy: Policy, reason: str) -> None:
        with pytest.raises(PreconditionFailedError, match=r"^Validation failed") as raised:
            policies.put("policy", policy)
        assert reason in str(raised.value)
        assert policies.find("policy", "p") is None


class TestQueuesFollow:
    def test_a_queue_that_is_declared(self, live: LiveGateway) -> None:
        put(live, "q", max_length=2)
        queue = live.host.declare_queue(QueueDeclaration("q"))
        assert queue.options.max_length == 2
        assert live.host.declare_queue(QueueDeclaration("other")).options.max_length is None

    def test_what_is_too_much_goes_at_once(self, live: LiveGateway) -> None:
        queue = live.host.declare_queue(QueueDeclaration("q", arguments={"x-max-length": 4}))
        for number in range(9):
            live.publish("", "q", b"%d" % number)
        assert queue.ready_count == 4
        put(live, "q", max_length=3)
        assert queue.ready_count == 3
        put(live, "q", max_length=30)
        live.publish("", "q", b"9")
        assert bodies(queue) == [b"6", b"7", b"8", b"9"]

    def test_size_counts_what_is_ready_only(self, live: LiveGateway) -> None:
        queue = live.host.declare_queue(QueueDeclaration("q"))
        for number in range(6):
            live.publish("", "q", b"%d" % number * 10)
        queue.take(3)
        queue.settle(1, 2)
        queue.release([2])
        put(live, "q", max_length_bytes=40)
        assert queue.ready_count == 4
        put(live, "q", max_length_bytes=39)
        assert queue.ready_count == 3
        queue.release([0])
        assert [body[:1] for body in bodies(queue)] == [b"3", b"4", b"5"]

    def test_messages_keep_their_deadlines(self, live: LiveGateway) -> None:
        """Those that came before the policy have none; those from its time keep theirs."""
        queue = live.host.declare_queue(QueueDeclaration("q", durable=True))
        put(live, "q", message_ttl=1000)
        live.clock.advance(0.001)
        live.publish("", "q", b"short")
        live.clock.advance(0.001)
        put(live, "q", message_ttl=5000)
        live.publish("", "q", b"long")
        live.clock.advance(0.001)
        live.host.policies.delete("policy", "q")
        live.publish("", "q", b"for ever")
        live = self.check_restart(live)
        queue = live.host.queues["q"]
        live.clock.advance(0.996)
        assert queue.ready_count == 3
        live.clock.advance(0.003)
        assert queue.ready_count == 2
        live.clock.advance(3.999)
        assert queue.ready_count == 2
        live.clock.advance(0.002)
        assert bodies(queue) == [b"for ever"]

    def check_restart(self, live: LiveGateway) -> LiveGateway:
        now = live.clock.seconds()
        live = live.restart()
        live.clock.advance(now)
        return live

    def test_a_lease_begins_anew(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("q"))
        put(live, "q", expires=1000)
        live.clock.advance(0.9)
        put(live, "q", expires=2000)
        live.clock.advance(1.9)
        assert "q" in live.host.queues
        put(live, "q", expires=2000, max_length=3)
        live.clock.advance(0.1)
        assert "q" not in live.host.queues

    def test_a_lease_may_be_lifted(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("q"))
        put(live, "q", expires=1000)
        live.host.policies.delete("policy", "q")
        live.clock.advance(9)
        assert "q" in live.host.queues

    def test_a_restart_changes_nothing(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("q", durable=True))
        live.host.declare_exchange(ExchangeDeclaration("q", "fanout", durable=True))
        put(live, "q", max_length=5, alternate_exchange="amq.fanout")
        put(live, "q", "operator_policy", max_length=2)
        live = live.restart()
        queue, exchange = live.host.queues["q"], live.host.exchanges["q"]
        assert (queue.policies.policy, queue.policies.operator_policy) == ("q", "q")
        assert queue.options.max_length == 2
        assert exchange.alternate == "amq.fanout"
        live.host.policies.delete("policy", "q")
        live = live.restart()
        assert live.host.policies.find("policy", "q") is None
        assert live.host.queues["q"].policies.policy is None

    def test_a_virtual_host_has_its_own(self, live: LiveGateway) -> None:
        live.gateway.put_virtual_host("shop")
        put(live, "q", max_length=2)
        shop = live.gateway.virtual_hosts["shop"]
        shop.policies.put("policy", Policy("p", "", {"max-length": 7}))
        assert shop.declare_queue(QueueDeclaration("q")).options.max_length == 7
        live.gateway.delete_virtual_host("shop")
        live = live.restart()
        live.gateway.put_virtual_host("shop")
        assert not list(live.gateway.virtual_hosts["shop"].policies.of_kind("policy"))


def test_an_exchange_follows(live: LiveGateway) -> None:
    live.host.declare_queue(QueueDeclaration("q"))
    live.host.bind(QueueBinding("q", "amq.fanout", ""))
    live.host.declare_exchange(ExchangeDeclaration("x", "direct"))
    live.host.declare_exchange(
        ExchangeDeclaration("y", "direct", arguments={"alternate-exchange": "none"})
    )
    generation = live.gateway.generation
    put(live, "x|y|amq", alternate_exchange="amq.fanout")
    assert live.gateway.generation > generation
    assert live.where("x", "k") == live.where("amq.direct", "k") == ["q"]
    assert live.where("y", "k") == []
    live.host.policies.delete("policy", "x|y|amq")
    assert live.where("x", "k") == []


def test_a_stream_follows(live: LiveGateway) -> None:
    live.host.declare_queue(
        QueueDeclaration("s", durable=True, arguments={"x-queue-type": "stream"})
    )
    stream = live.host.queues["s"]
    for number in range(64):
        live.publish("", "s", b"%d" % number * 50)
        live.clock.advance(1)
    assert stream.min_offset == 0
    put(live, "s", max_length_bytes=1000)
    kept = stream.max_offset - stream.min_offset
    assert 0 < kept < 30
    put(live, "s", max_age="5s")
    assert 0 < stream.max_offset - stream.min_offset <= 6
    live.host.policies.delete("policy", "s")
    for number in range(64):
        live.publish("", "s", b"%d" % number * 50)
    assert stream.max_offset - stream.min_offset > 64


def test_size_counts_what_came_back_to_a_quorum_queue(live: LiveGateway) -> None:
    queue = live.host.declare_queue(
        QueueDeclaration("q", durable=True, arguments={"x-queue-type": "quorum"})
    )
    for number in range(6):
        live.publish("", "q", b"%d" % number * 10)
    queue.release([delivery.offset for delivery in queue.take(4)])
    put(live, "q", max_length_bytes=60)
    queue.take(4)
    put(live, "q", max_length_bytes=30)
    live.publish("", "q", b"6" * 10)
    live.publish("", "q", b"7" * 10)
    assert bodies(queue) == [b"5" * 10, b"6" * 10, b"7" * 10]
