from __future__ import annotations

from pathlib import Path

import pytest

from gateway.declarations import QueueDeclaration
from tests.support.topology import LiveGateway, header


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


def test_messages_that_go_the_same_way_have_the_same_route(live: LiveGateway) -> None:
    queue = live.host.declare_queue(QueueDeclaration("q", arguments={"x-max-priority": 5}))
    first = live.host.route("", "q", header(a=1))
    assert live.host.route("", "q", header(a=2)) is first
    assert first.by_header
    assert first.queues == (queue.light.lanes[0],)


def test_nothing_is_remembered_of_a_queue_that_is_gone(live: LiveGateway) -> None:
    arguments = {"x-max-priority": 5}
    old = live.host.declare_queue(QueueDeclaration("q", arguments=arguments))
    before = live.host.route("", "q", None)
    live.host.remove_queue(old)
    assert live.host.route("", "q", None).queues == ()
    new = live.host.declare_queue(QueueDeclaration("q", arguments=arguments))
    assert live.host.route("", "q", None).queues == (new.light.lanes[0],)
    assert before.queues == (old.light.lanes[0],)
