import pytest
from hypothesis import given
from hypothesis import strategies as st

from rosettamq import MessageQueue, Sql, SubscriptionError
from rosettamq.errors import ProtocolError
from rosettamq.routes import TopicRoute, parse_route
from rosettamq.subscriptions import allocate_averagely, parse_subscription


def queues(count: int) -> list[MessageQueue]:
    return [MessageQueue("T", "b", index) for index in range(count)]


@pytest.mark.parametrize(
    ("queue_count", "shares"),
    [
        (8, [[0, 1, 2], [3, 4, 5], [6, 7]]),
        (5, [[0, 1, 2], [3, 4]]),
        (10, [[0, 1, 2], [3, 4, 5], [6, 7], [8, 9]]),
        (4, [[0], [1], [2], [3], []]),
    ],
)
def test_shares_are_javas(queue_count: int, shares: list[list[int]]) -> None:
    """The fact sheet, 5.3: every member must come to the same result."""
    members = [f"c{index}" for index in range(len(shares))]
    for member, share in zip(members, shares, strict=True):
        allocated = allocate_averagely(queues(queue_count), members, member)
        assert [queue.queue_id for queue in allocated] == share


@given(st.integers(0, 20), st.integers(1, 20))
def test_every_queue_has_one_owner(queue_count: int, member_count: int) -> None:
    members = [f"c{index}" for index in range(member_count)]
    owned = [
        q for member in members for q in allocate_averagely(queues(queue_count), members, member)
    ]
    assert sorted(owned) == queues(queue_count)


def test_who_is_not_in_the_group_has_nothing() -> None:
    assert allocate_averagely(queues(3), ["c1"], "c2") == []


@pytest.mark.parametrize(
    ("expression", "tag", "matches"),
    [("*", "", True), ("a || b", "b", True), ("a||b", "ab", False), ("a", "", False)],
)
def test_tags(expression: str, tag: str, matches: bool) -> None:
    assert parse_subscription("T", expression).matches(tag) is matches


def test_only_the_broker_understands_sql() -> None:
    subscription = parse_subscription("T", Sql("a > 1 ||"))
    assert (subscription.expression, subscription.expression_type) == ("a > 1 ||", "SQL92")
    assert subscription.tags is None
    assert subscription.matches("anything")


@pytest.mark.parametrize(
    ("topic", "expression"), [("", "*"), ("T", ""), ("T", "a|b"), ("T", "a ||")]
)
def test_what_is_no_subscription(topic: str, expression: str) -> None:
    with pytest.raises(SubscriptionError):
        parse_subscription(topic, expression)


ROUTE = b"""{"brokerDatas":[
{"brokerAddrs":{0:"10.0.0.1:10911",1:"10.0.0.2:10911"},"brokerName":"b"},
{"brokerAddrs":{"1":"10.0.0.3:10911"},"brokerName":"s"}],"queueDatas":[
{"brokerName":"b","perm":6,"readQueueNums":2,"writeQueueNums":1},
{"brokerName":"s","perm":6,"readQueueNums":9,"writeQueueNums":9}]}"""


def test_a_route_as_old_java_writes_it() -> None:
    """Its keys are bare numbers; a broker without a master takes no messages."""
    route = parse_route(ROUTE)
    assert route.addresses == {"b": "10.0.0.1:10911"}
    assert route.writable_queues("T") == queues(1)
    assert route.readable_queues("T") == queues(2)


def test_a_route_is_read_as_json_first() -> None:
    """What looks like a bare key may be a part of a text."""
    name = b"a{1:2,3:4}"
    body = ROUTE.replace(b"{0:", b'{"0":').replace(b",1:", b',"1":').replace(b'"b"', b'"%s"' % name)
    assert parse_route(body).addresses == {name.decode(): "10.0.0.1:10911"}


def test_permissions() -> None:
    route = parse_route(ROUTE.replace(b'"perm":6', b'"perm":4'))
    assert route.writable_queues("T") == []
    assert len(route.readable_queues("T")) == 2


@pytest.mark.parametrize(
    "body", [b"", b"\xff", b"[]", b"{}", b'{"brokerDatas":[1],"queueDatas":[]}']
)
def test_what_is_no_route(body: bytes) -> None:
    with pytest.raises(ProtocolError):
        parse_route(body)


def test_an_empty_route_has_no_queues() -> None:
    assert parse_route(b'{"brokerDatas":[],"queueDatas":[]}') == TopicRoute({}, ())
