from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from core.errors import CoreError
from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import (
    AccessRefusedError,
    NotFoundError,
    PreconditionFailedError,
    ResourceLockedError,
)
from gateway.messages import Envelope
from gateway.vhosts.virtual_host import VirtualHost
from tests.support.topology import LiveGateway, Taker, bodies, header


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


@pytest.fixture
def host(live: LiveGateway) -> VirtualHost:
    return live.host


def refused(error: type[CoreError], text: str) -> Any:
    return pytest.raises(error, match="^" + text.replace("(", r"\(").replace(")", r"\)"))


class TestExchanges:
    def test_declaring_again_finds_the_same(self, host: VirtualHost) -> None:
        exchange = host.declare_exchange(
            ExchangeDeclaration("x", "topic", durable=True, arguments={"unknown": 1})
        )
        assert host.declare_exchange(ExchangeDeclaration("x", "topic", durable=True)) is exchange
        topic = host.find_exchange("amq.topic")
        again = ExchangeDeclaration("amq.topic", "topic", durable=True)
        assert host.declare_exchange(again) is topic

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"type": "direct"}, "'type' for .*: received 'direct' but current is 'topic'"),
            ({"durable": False}, "'durable' for .*: received 'false' but current is 'true'"),
            ({"internal": True}, "'internal' for .*: received 'true' but current is 'false'"),
            (
                {"arguments": {"alternate-exchange": "a"}},
                "'alternate-exchange' for .*: received the value 'a' of type 'longstr' but"
                " current is none",
            ),
        ],
    )
    def test_declaring_another_one_is_refused(
        self, host: VirtualHost, changes: dict[str, Any], text: str
    ) -> None:
        first = ExchangeDeclaration("x", "topic", durable=True)
        host.declare_exchange(first)
        with pytest.raises(PreconditionFailedError, match="inequivalent arg " + text):
            host.declare_exchange(first._replace(**changes))

    def test_names_that_are_not_to_be_had(self, host: VirtualHost) -> None:
        with refused(AccessRefusedError, "exchange name 'amq.x' contains reserved prefix 'amq.*'"):
            host.declare_exchange(ExchangeDeclaration("amq.x", "direct"))
        for refuse in (
            lambda: host.declare_exchange(ExchangeDeclaration("", "direct")),
            lambda: host.delete_exchange(""),
            lambda: host.bind(QueueBinding("q", "", "k")),
            lambda: host.unbind(QueueBinding("q", "", "k")),
            lambda: host.bind(ExchangeBinding("amq.topic", "", "k")),
        ):
            with refused(AccessRefusedError, "operation not permitted on the default exchange"):
                refuse()
        with pytest.raises(AccessRefusedError, match=r"system exchange 'amq\.topic'"):
            host.delete_exchange("amq.topic")

    def test_deleting_removes_bindings_on_both_sides(self, host: VirtualHost) -> None:
        for name in "abc":
            host.declare_exchange(ExchangeDeclaration(name, "fanout"))
        host.bind(ExchangeBinding("b", "a", ""))
        host.bind(ExchangeBinding("c", "b", ""))
        with pytest.raises(PreconditionFailedError, match="exchange 'b' in vhost '/' in use"):
            host.delete_exchange("b", if_unused=True)
        host.delete_exchange("b")
        host.delete_exchange("b")
        assert not host.exchanges["a"].bindings
        assert not host._topology._bound_to

    def test_auto_delete_goes_with_the_last_binding_and_may_take_others_along(
        self, host: VirtualHost
    ) -> None:
        for name in "ab":
            host.declare_exchange(ExchangeDeclaration(name, "fanout", auto_delete=True))
        host.declare_queue(QueueDeclaration("q"))
        host.bind(ExchangeBinding("b", "a", ""))
        host.bind(QueueBinding("q", "b", "1"))
        host.bind(QueueBinding("q", "b", "2"))
        host.unbind(QueueBinding("q", "b", "1"))
        assert {"a", "b"} <= host.exchanges.keys()
        host.delete_queue("q")
        assert not {"a", "b"} & host.exchanges.keys()
        assert not host._topology._bound_to

    def test_a_circle_of_auto_delete_exchanges_ends(self, host: VirtualHost) -> None:
        for name in "ab":
            host.declare_exchange(ExchangeDeclaration(name, "fanout", auto_delete=True))
        host.bind(ExchangeBinding("b", "a", ""))
        host.bind(ExchangeBinding("a", "b", ""))
        host.unbind(ExchangeBinding("b", "a", ""))
        assert not {"a", "b"} & host.exchanges.keys()


class TestQueues:
    def test_declaring_again_finds_the_same(self, host: VirtualHost) -> None:
        arguments = {"x-max-length": 5, "x-queue-type": "classic", "unknown": 1}
        queue = host.declare_queue(QueueDeclaration("q", durable=True, arguments=arguments))
        again = QueueDeclaration("q", durable=True, arguments={"x-max-length": 5})
        assert host.declare_queue(again) is queue

    @pytest.mark.parametrize(
        ("changes", "text"),
        [
            ({"durable": False}, "'durable' for queue 'q' in vhost '/': received 'false'"),
            ({"auto_delete": True}, "'auto_delete' for .*: received 'true' but current is 'false'"),
            (
                {"arguments": {"x-max-length": 6}},
                "'x-max-length' for .*: received '6' but current is '5'",
            ),
            ({"arguments": {}}, "'x-max-length' for .*: received none but current is the value"),
        ],
    )
    def test_declaring_another_one_is_refused(
        self, host: VirtualHost, changes: dict[str, Any], text: str
    ) -> None:
        first = QueueDeclaration("q", durable=True, arguments={"x-max-length": 5})
        host.declare_queue(first)
        with pytest.raises(PreconditionFailedError, match="inequivalent arg " + text):
            host.declare_queue(first._replace(**changes))

    def test_an_exclusive_one_is_its_owners(self, host: VirtualHost) -> None:
        owner, other = object(), object()
        queue = host.declare_queue(QueueDeclaration("q", durable=True, exclusive=True), owner)
        assert not queue.durable
        assert host.declare_queue(QueueDeclaration("q", exclusive=True), owner) is queue
        for refuse in (
            lambda: host.declare_queue(QueueDeclaration("q", exclusive=True), other),
            lambda: host.declare_queue(QueueDeclaration("q"), other),
            lambda: host.declare_queue(QueueDeclaration("q"), owner),
            lambda: host.find_queue("q", other),
            lambda: host.bind(QueueBinding("q", "amq.topic", "k"), other),
            lambda: host.delete_queue("q", owner=other),
        ):
            with refused(ResourceLockedError, "cannot obtain exclusive access to locked queue 'q'"):
                refuse()
        host.release_owner(other)
        assert host.find_queue("q", owner) is queue
        host.release_owner(owner)
        assert "q" not in host.queues
        assert not host._owned

    def test_names(self, host: VirtualHost) -> None:
        one, other = [host.declare_queue(QueueDeclaration("")) for _ in range(2)]
        assert one.name != other.name
        assert one.name.startswith("amq.gen-")
        assert len(one.name) == len("amq.gen-") + 22
        assert host.declare_queue(QueueDeclaration("a\r\nb")).name == "ab"
        with refused(AccessRefusedError, "queue name 'amq.x' contains reserved prefix"):
            host.declare_queue(QueueDeclaration("amq.x"))
        with refused(NotFoundError, "no queue 'missing' in vhost '/'"):
            host.find_queue("missing")

    def test_deleting_on_conditions(self, live: LiveGateway, host: VirtualHost) -> None:
        queue = host.declare_queue(QueueDeclaration("q"))
        taker = Taker(credit=0)
        queue.subscribe(taker)
        live.publish("", "q", b"a")
        with refused(PreconditionFailedError, "queue 'q' in vhost '/' in use"):
            host.delete_queue("q", if_unused=True)
        with refused(PreconditionFailedError, "queue 'q' in vhost '/' not empty"):
            host.delete_queue("q", if_empty=True)
        assert host.delete_queue("q") == 1
        assert taker.is_cancelled
        assert host.delete_queue("q") == 0

    def test_binding_twice_changes_nothing(self, live: LiveGateway, host: VirtualHost) -> None:
        host.declare_queue(QueueDeclaration("q"))
        host.bind(QueueBinding("q", "amq.topic", "k", {"a": 1}))
        generation = live.gateway.generation
        host.bind(QueueBinding("q", "amq.topic", "k", {"a": 1}))
        assert live.gateway.generation == generation
        host.unbind(QueueBinding("q", "amq.topic", "k"))
        assert live.where("amq.topic", "k") == ["q"], "other arguments, another binding"
        host.unbind(QueueBinding("q", "amq.topic", "k", {"a": 1}))
        assert live.gateway.generation > generation
        assert live.where("amq.topic", "k") == []


class TestRestart:
    def test_what_is_durable_comes_back(self, live: LiveGateway) -> None:
        host = live.host
        arguments = {"alternate-exchange": "a"}
        host.declare_exchange(ExchangeDeclaration("kept", "topic", True, arguments=arguments))
        host.declare_exchange(ExchangeDeclaration("gone", "topic"))
        for name in ("kept", "deleted"):
            host.declare_queue(QueueDeclaration(name, durable=True, arguments={"x-max-length": 5}))
        host.declare_queue(QueueDeclaration("gone"))
        for exchange in ("kept", "gone", "amq.direct"):
            for queue in ("kept", "gone", "deleted"):
                host.bind(QueueBinding(queue, exchange, "k", {"a": [1, {"b": True}]}))
        host.bind(ExchangeBinding("kept", "amq.direct", "k"))
        host.bind(QueueBinding("kept", "amq.direct", "unbound", {"a": True}))
        host.unbind(QueueBinding("kept", "amq.direct", "unbound", {"a": True}))
        host.delete_queue("deleted")
        live = live.restart()
        host = live.host
        assert set(host.queues) == {"kept"}
        assert host.queues["kept"].arguments == {"x-max-length": 5}
        assert "gone" not in host.exchanges
        assert host.exchanges["kept"].alternate == "a"
        assert live.where("kept", "k") == live.where("amq.direct", "k") == ["kept"]
        assert live.where("amq.direct", "unbound") == []
        host.unbind(QueueBinding("kept", "amq.direct", "k", {"a": [1, {"b": True}]}))
        host.unbind(ExchangeBinding("kept", "amq.direct", "k"))
        live = live.restart()
        assert live.where("amq.direct", "k") == []

    def test_persistent_messages_in_durable_queues_come_back(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("durable", durable=True))
        live.publish("", "durable", b"persistent")
        live.publish("", "durable", b"transient", persistent=False)
        live = live.restart()
        assert bodies(live.host.queues["durable"]) == [b"persistent"]


class TestPublishing:
    def items(self, host: VirtualHost, *messages: tuple[str, bytes, bool]) -> list[Any]:
        return [
            (host.route("", queue, None), (Envelope("", queue), header(persistent), body), body)
            for queue, body, persistent in messages
        ]

    def test_a_mixed_batch_keeps_its_order_and_survives_in_part(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("d", durable=True))
        live.host.declare_queue(QueueDeclaration("v"))
        batch = [("d", b"1", False), ("d", b"2", True), ("v", b"3", True), ("", b"4", True)]
        batch += [("d", b"5", False), ("v", b"6", False), ("d", b"7", True)]
        live.host.intake.publish(self.items(live.host, *batch))
        deliveries = live.host.queues["d"].take(9)
        assert [delivery.message[2] for delivery in deliveries] == [b"1", b"2", b"5", b"7"]
        assert bodies(live.host.queues["v"]) == [b"3", b"6"]
        live = live.restart()
        assert bodies(live.host.queues["d"]) == [b"2", b"7"]

    def test_says_when_it_is_safe(self, live: LiveGateway) -> None:
        live.host.declare_queue(QueueDeclaration("d", durable=True))
        live.disk.held = True
        notes: list[str] = []
        items = self.items(live.host, ("d", b"1", False), ("", b"2", True))
        live.host.intake.publish(items, lambda: notes.append("nothing to wait for"))
        live.host.intake.publish([], lambda: notes.append("nothing at all"))
        live.host.intake.publish(
            self.items(live.host, ("d", b"3", True)), lambda: notes.append("safe")
        )
        live.gateway.turn.end()
        assert notes == ["nothing to wait for", "nothing at all"]
        live.disk.release()
        assert notes[2:] == ["safe"]


@pytest.mark.parametrize("together", [False, True])
def test_a_transaction_may_lead_to_a_full_queue_that_is_gone(
    live: LiveGateway, together: bool
) -> None:
    live.host.declare_queue(
        QueueDeclaration("q", arguments={"x-max-length": 1, "x-overflow": "reject-publish"})
    )
    made = header()
    items = [(live.host.route("", "q", made), (Envelope("", "q"), made, b"x"), b"x")] * 2
    live.host.delete_queue("q")
    stored: list[bool] = []
    publish = live.host.intake.publish_together if together else live.host.intake.publish
    publish(items, lambda: stored.append(True))
    live.gateway.turn.end()
    assert stored
