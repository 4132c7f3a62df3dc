from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from twisted.internet.task import Clock

from core.errors import CorruptRecordError
from gateway.config import StoreConfig
from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import NotAllowedError
from gateway.gateway import Gateway
from gateway.messages import Message
from gateway.queues.lane import Lane
from tests.support.disk import HeldDisk
from tests.support.topology import LANGUAGE, LiveGateway, PlainLanguage, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


def test_every_change_of_the_topology_is_another_generation(live: LiveGateway) -> None:
    """Whoever keeps routes must ask again."""
    host = live.host
    owner = object()
    changes: list[Callable[[], object]] = [
        lambda: host.declare_queue(QueueDeclaration("q")),
        lambda: host.declare_queue(QueueDeclaration("own", exclusive=True), owner),
        lambda: host.declare_exchange(ExchangeDeclaration("x", "fanout")),
        lambda: host.bind(QueueBinding("q", "x", "")),
        lambda: host.bind(ExchangeBinding("x", "amq.topic", "k")),
        lambda: host.topic_queue("x", create=False),
        lambda: host.unbind(QueueBinding("q", "x", "")),
        lambda: host.unbind(ExchangeBinding("x", "amq.topic", "k")),
        lambda: host.delete_exchange("x"),
        lambda: host.delete_queue("q"),
        lambda: host.release_owner(owner),
        lambda: host.topic_queue("new", create=True),
    ]
    for change in changes:
        for name in ("q", "own", "new"):
            host.route("", name, None)  # Somebody publishes there.
        for exchange, key in (("x", ""), ("amq.topic", "k")):
            if exchange in host.exchanges:
                host.route(exchange, key, None)
        before = live.gateway.generation
        change()
        assert live.gateway.generation > before


def test_a_queue_that_nobody_publishes_to_comes_and_goes_unnoticed(live: LiveGateway) -> None:
    host = live.host
    host.declare_queue(QueueDeclaration("q"))
    route = host.route("", "q", None)
    before = live.gateway.generation
    host.declare_queue(QueueDeclaration("reply", exclusive=True), live)
    host.delete_queue("reply", owner=live)
    assert live.gateway.generation == before
    assert host.route("", "q", None) is route


def test_a_binding_that_fits_no_key_in_use_comes_and_goes_unnoticed(live: LiveGateway) -> None:
    host = live.host
    host.declare_queue(QueueDeclaration("q"))
    for exchange in ("amq.direct", "amq.topic", "amq.fanout", "amq.headers"):
        if exchange != "amq.fanout":
            host.route(exchange, "used.key", None)
        before = live.gateway.generation
        for key in ("other", "used"):
            host.bind(QueueBinding("q", exchange, key))
            host.unbind(QueueBinding("q", exchange, key))
        assert (live.gateway.generation > before) is (exchange == "amq.headers")
    for pattern, is_told in (("used.*.#", True), ("*.used", False), ("#", True)):
        host.route("amq.topic", "used.key", None)
        before = live.gateway.generation
        host.bind(QueueBinding("q", "amq.topic", pattern))
        assert (live.gateway.generation > before) is is_told


def test_a_queue_that_a_route_lacks_is_another_generation(live: LiveGateway) -> None:
    host = live.host
    host.declare_exchange(ExchangeDeclaration("x", "direct", arguments={"alternate-exchange": ""}))
    host.declare_queue(QueueDeclaration("q"))
    for name in ("copy", "other"):
        assert len(host.route("", "q", None, more_keys=["copy"]).queues) == 1 + (name == "other")
        assert not host.route("x", "other", None).queues
        before = live.gateway.generation
        host.declare_queue(QueueDeclaration(name))
        assert live.gateway.generation > before


def test_declaring_what_is_there_is_the_same_generation(live: LiveGateway) -> None:
    live.host.declare_queue(QueueDeclaration("q"))
    before = live.gateway.generation
    live.host.declare_queue(QueueDeclaration("q"))
    live.host.declare_exchange(ExchangeDeclaration("amq.topic", "topic", durable=True))
    assert live.gateway.generation == before


def test_a_language_has_a_number_of_its_own(live: LiveGateway) -> None:
    with pytest.raises(AssertionError, match="language 9 is taken"):
        live.gateway.add_language(PlainLanguage())


def test_there_is_one_virtual_host(live: LiveGateway) -> None:
    assert live.gateway.open_virtual_host("guest", "/").virtual_host is live.host
    with pytest.raises(NotAllowedError, match="vhost other not found"):
        live.gateway.open_virtual_host("guest", "other")


def test_a_message_is_found_by_its_log_offset(
    live: LiveGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    queue = live.host.declare_queue(QueueDeclaration("q", durable=True))
    live.publish("", "q", b"body")
    log_offset = Lane(queue).location(0).log_offset
    found = live.gateway.read_at(log_offset)
    assert found is not None
    assert (found.message[2], found.queues) == (b"body", [queue.light])
    assert live.gateway.read_at(log_offset + 1) is None

    def refuse(stored: bytes) -> Message:
        raise CorruptRecordError("not one of ours")

    monkeypatch.setattr(LANGUAGE, "parse_stored", refuse)
    assert live.gateway.read_at(log_offset) is None


def test_what_a_language_wrote_is_kept_while_it_is_not_spoken(live: LiveGateway) -> None:
    """A front end that is switched off must not cost its messages more than being read."""
    live.host.declare_queue(QueueDeclaration("q", durable=True))
    live.publish("", "q", b"body")
    live.gateway.stop()
    without = Gateway(live.folder, Clock(), HeldDisk().run)
    without.start()
    assert without.default_virtual_host.queues["q"].ready_count == 1
    without.stop()
    assert bodies(LiveGateway(live.folder).host.queues["q"]) == [b"body"]


def test_the_store_is_as_it_was_configured(tmp_path: Path) -> None:
    config = StoreConfig(segment_size_bytes=1 << 20, flush="async", volatile_memory_bytes=5)
    options = Gateway(tmp_path, Clock(), HeldDisk().run, config).broker._options
    assert (options.segment_size, options.sync_flush, options.volatile_size) == (1 << 20, False, 5)
