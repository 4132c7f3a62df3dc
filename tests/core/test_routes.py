"""Routes are one object each, and go with their queues; what recovery still needs stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.metadata import Metadata
from core.route import OF_ONE, DependsOn
from tests.support.live_broker import LiveBroker, bodies


@pytest.fixture
def live(tmp_path: Path) -> LiveBroker:
    return LiveBroker(tmp_path / "data")


def documents(live: LiveBroker) -> list[list[int]]:
    return list(live.broker.documents("route").values())


def test_the_same_queues_have_one_route(live: LiveBroker) -> None:
    a, b, c = live.declare(), live.declare(), live.declare(durable=False)
    route = live.broker.route
    assert route([a, b, c]) is route([a, b, c])
    assert route([a, b, c]) is not route([a, b, c], DependsOn.HEADER)
    assert route([a, b, c]).id == route([a, b]).id
    assert documents(live) == [[a.id, b.id]]


def test_one_durable_queue_needs_no_document(live: LiveBroker) -> None:
    a, b, reply = live.declare(), live.declare(), live.declare(durable=False)
    route = live.broker.route
    assert route([a]).id == route([a, reply]).id != route([b]).id
    assert route([reply]).id == 0
    live.append([route([a]), route([b]), route([a, reply])], b"0", b"1", b"2")
    assert documents(live) == []
    live = live.crash()
    assert [bodies(live.queue(each.id)) for each in (a, b)] == [[b"0", b"2"], [b"1"]]
    assert documents(live) == []


def test_a_number_has_no_room_for_every_id(live: LiveBroker) -> None:
    live.broker._metadata.put("next_id", "queue", OF_ONE - 1)
    live.broker._ids.load()
    queues = [live.declare(), live.declare()]
    for queue in queues:
        live.append(queue, b"%d" % queue.id)
    assert documents(live) == [[OF_ONE]]
    live = live.crash()
    assert [bodies(live.queue(each.id)) for each in queues] == [
        [b"%d" % (OF_ONE - 1)], [b"%d" % OF_ONE],
    ]  # fmt: skip


def test_a_route_goes_with_its_only_queue(live: LiveBroker) -> None:
    queue, reply = live.declare(), live.declare(durable=False)
    live.append(queue, b"x")
    live.append(live.broker.route([queue, reply]), b"x")
    live.broker.delete_queue(reply)
    live.broker.delete_queue(queue)
    assert not live.broker._routes._orphans
    routes = live.broker._routes
    for left in (routes._routes, routes._keys_of, routes._numbers_of, routes._leaving):
        assert not left


def test_a_deleted_queue_leaves_those_that_shared_its_routes(live: LiveBroker) -> None:
    stays, goes = live.declare(), live.declare()
    live.append(live.broker.route([stays, goes]), b"a")
    live.broker.delete_queue(goes)
    live.append(stays, b"b")
    live = live.crash()
    assert bodies(live.queue(stays.id)) == [b"a", b"b"]
    routes, end = live.broker._routes, live.broker.log_end
    routes.expire(0, end)
    routes.expire(end - 1, end)
    assert [stays.id, goes.id] in documents(live), "the log still has its record"
    routes.expire(end, end + 100)
    assert documents(live) == []


def test_a_route_that_somebody_keeps_stays_written_down(live: LiveBroker) -> None:
    """A transaction may hold one for long, and publish by it when a queue of it is gone."""
    stays, goes = live.declare(), live.declare()
    route = live.broker.route([stays, goes])
    live.broker.delete_queue(goes)
    for _ in range(2):
        live.broker._routes.expire(1000, 1000)
    live.append(route, b"late")
    live = live.crash()
    assert bodies(live.queue(stays.id)) == [b"late"]
    live.broker._routes.expire(1000, 1000)
    assert documents(live) == []


def test_also_one_that_lost_a_queue_which_is_not_durable_before(live: LiveBroker) -> None:
    stays, goes, reply = live.declare(), live.declare(), live.declare(durable=False)
    route = live.broker.route([stays, goes, reply])
    live.broker.delete_queue(reply)
    live.broker.delete_queue(goes)
    live.broker._routes.expire(1000, 1000)
    live.broker._routes.expire(1000, 1000)
    live.append(route, b"late")
    live = live.crash()
    assert bodies(live.queue(stays.id)) == [b"late"]


def test_routes_to_reply_queues_leave_nothing_behind(live: LiveBroker) -> None:
    stay = [live.declare(), live.declare()]
    for _ in range(3):
        reply = live.declare(durable=False)
        live.append(live.broker.route([*stay, reply]), b"x")
        live.broker.delete_queue(reply)
    assert len(live.broker._routes._orphans.get(1, ())) <= 1
    assert len(documents(live)) == 1


def test_the_last_queue_takes_the_route_with_it_at_once(live: LiveBroker) -> None:
    queues = [live.declare(), live.declare()]
    live.append(live.broker.route(queues), b"a")
    for queue in queues:
        live.broker.delete_queue(queue)
    assert documents(live) == []


def test_the_groups_of_a_deleted_queue_are_forgotten(live: LiveBroker) -> None:
    queue, other = live.declare(), live.declare()
    for each in (queue, other):
        live.append(each, b"x")
        live.broker.commit_group_offset(each, "readers", 1)
    live.broker.delete_queue(queue)
    assert list(live.broker.documents("group").values()) == [[other.id, "readers"]]
    live.broker.stop()
    assert len(Metadata(live.directory / "metadata").items("group")) == 1
