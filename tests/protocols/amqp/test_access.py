"""Users, permissions, virtual hosts and limits, as an AMQP client meets them."""

from __future__ import annotations

from typing import Any

import pytest
from pamqp import commands

from gateway.declarations import QueueDeclaration
from gateway.errors import NotFoundError, PreconditionFailedError
from gateway.security.permissions import Permission, TopicPermission
from protocols.amqp.codec import encode_properties
from tests.support.amqp_peer import AmqpBroker, AmqpPeer


@pytest.fixture
def ada(broker: AmqpBroker) -> AmqpPeer:
    """Logged in; may do nothing yet."""
    broker.gateway.users.put("ada", password="lovelace")
    grant(broker)
    return broker.connect(user="ada", password="lovelace")


def grant(broker: AmqpBroker, configure: str = "", write: str = "", read: str = "") -> None:
    broker.gateway.permissions.put(Permission("ada", "/", configure, write, read))


def refused(access: str, resource: str) -> tuple[str, int, str]:
    text = f"ACCESS_REFUSED - {access} access to {resource} in vhost '/' refused for user 'ada'"
    return "Channel.Close", 403, text


def open_failure(broker: AmqpBroker, virtual_host: str, user: str = "ada") -> Any:
    peer = broker.peer()
    peer.start(user=user, password="lovelace" if user == "ada" else "guest")
    assert peer.receive().name == "Connection.Tune"
    peer.method(0, commands.Connection.TuneOk(channel_max=10, frame_max=131072, heartbeat=0))
    peer.method(0, commands.Connection.Open(virtual_host=virtual_host))
    return peer.receive().failure


@pytest.mark.parametrize(
    ("command", "access", "resource"),
    [
        (commands.Exchange.Declare(exchange="x"), "configure", "exchange 'x'"),
        (commands.Exchange.Delete(exchange="x"), "configure", "exchange 'x'"),
        (commands.Queue.Declare(queue="q"), "configure", "queue 'q'"),
        (commands.Queue.Delete(queue="q"), "configure", "queue 'q'"),
        (commands.Queue.Bind(queue="q", exchange="amq.topic"), "write", "queue 'q'"),
        (commands.Queue.Unbind(queue="q", exchange="amq.topic"), "write", "queue 'q'"),
        (commands.Queue.Bind(queue="q", exchange=""), "write", "queue 'q'"),
        (commands.Exchange.Bind(destination="x", source="amq.fanout"), "write", "exchange 'x'"),
        (commands.Exchange.Unbind(destination="x", source=""), "write", "exchange 'x'"),
        (commands.Exchange.Bind(destination="", source="x"), "write", "exchange 'amq.default'"),
        (commands.Basic.Get(queue="q"), "read", "queue 'q'"),
        (commands.Basic.Consume(queue="q"), "read", "queue 'q'"),
        (commands.Queue.Purge(queue="q"), "read", "queue 'q'"),
    ],
)
def test_nothing_is_allowed(ada: AmqpPeer, command: Any, access: str, resource: str) -> None:
    assert ada.fail(command) == refused(access, resource)


def test_passive_declares_need_nothing(ada: AmqpPeer, broker: AmqpBroker) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("q"))
    assert ada.call(commands.Queue.Declare(queue="q", passive=True)).queue == "q"
    ada.call(commands.Exchange.Declare(exchange="amq.topic", passive=True))


def test_publishing_needs_write(ada: AmqpPeer, broker: AmqpBroker) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("q"))
    ada.publish("q", b"1")
    assert ada.failure() == refused("write", "exchange 'amq.default'")
    ada.publish("q", b"1", exchange="nowhere")
    assert ada.failure() == refused("write", "exchange 'nowhere'"), "before: is it there?"
    grant(broker, write=r"^amq\.default$")
    ada.publish("q", b"2")
    ada.publish("q", b"3")
    grant(broker)
    ada.publish("q", b"4")
    assert ada.failure() == refused("write", "exchange 'amq.default'"), "a kept route is forgotten"
    assert broker.virtual_host.queues["q"].ready_count == 2


def test_patterns_are_searched_for(ada: AmqpPeer, broker: AmqpBroker) -> None:
    grant(broker, configure="orders")
    ada.declare("my-orders-2")
    assert ada.fail(commands.Queue.Declare(queue="q")) == refused("configure", "queue 'q'")


def test_a_generated_name_is_checked(ada: AmqpPeer, broker: AmqpBroker) -> None:
    grant(broker, configure=r"^amq\.gen-")
    assert ada.declare("", exclusive=True).queue.startswith("amq.gen-")


def test_a_reserved_name_is_refused_before_anybody_looks_who_asks(ada: AmqpPeer) -> None:
    assert ada.fail(commands.Queue.Declare(queue="amq.mine"))[2] == (
        "ACCESS_REFUSED - queue name 'amq.mine' contains reserved prefix 'amq.*'"
    )


@pytest.mark.parametrize("exchange", ["", "x", "amq.direct"])
def test_an_unknown_type_is_refused_before_anybody_looks_who_asks(
    ada: AmqpPeer, exchange: str
) -> None:
    declare = commands.Exchange.Declare(exchange=exchange, exchange_type="strange")
    assert ada.fail(declare)[1:] == (406, "PRECONDITION_FAILED - unknown exchange type 'strange'")


def test_where_direct_replies_go_is_hidden_from_those_who_may_read_it(ada: AmqpPeer) -> None:
    queue = "amq.rabbitmq.reply-to.x"
    assert "read access to queue" in ada.fail(commands.Queue.Purge(queue=queue))[2]


def test_what_new_ones_refer_to(ada: AmqpPeer, broker: AmqpBroker) -> None:
    """A dead-letter or alternate exchange: read what is declared, write to where it leads."""
    grant(broker, configure=".*", read="^q$", write="^x$")
    dead_letters = commands.Queue.Declare(queue="q", arguments={"x-dead-letter-exchange": "d"})
    assert ada.fail(dead_letters) == refused("write", "exchange 'd'")
    other = commands.Queue.Declare(queue="p", arguments={"x-dead-letter-exchange": "x"})
    assert ada.fail(other) == refused("read", "queue 'p'")
    ada.declare("q", arguments={"x-dead-letter-exchange": "x"})
    alternate = commands.Exchange.Declare(exchange="q", arguments={"alternate-exchange": "d"})
    assert ada.fail(alternate) == refused("write", "exchange 'd'")


def test_binding_needs_both_sides(ada: AmqpPeer, broker: AmqpBroker) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("q"))
    grant(broker, write="^q$")
    bind = commands.Queue.Bind(queue="q", exchange="amq.topic", routing_key="a.b")
    assert ada.fail(bind) == refused("read", "exchange 'amq.topic'")
    grant(broker, write="^q$", read="^amq.topic$")
    ada.call(bind)


def test_topic_permissions(ada: AmqpPeer, broker: AmqpBroker) -> None:
    broker.virtual_host.declare_queue(QueueDeclaration("q"))
    grant(broker, ".*", ".*", ".*")
    topic = TopicPermission("ada", "/", "amq.topic", r"^{username}\.", r"^{vhost}\.")
    broker.gateway.permissions.put_topic(topic)
    ada.publish("ada.x", b"1", exchange="amq.topic")
    ada.publish("bob.x", b"1", exchange="amq.topic")
    assert ada.failure()[2] == (
        "ACCESS_REFUSED - write access to topic 'bob.x' in exchange 'amq.topic' in vhost '/'"
        " refused for user 'ada'"
    )
    ada.publish("bob.x", b"1", exchange="amq.direct")
    bind = commands.Queue.Bind(queue="q", exchange="amq.topic", routing_key="ada.x")
    assert ada.fail(bind)[2].startswith("ACCESS_REFUSED - read access to topic 'ada.x' in")
    ada.call(commands.Queue.Bind(queue="q", exchange="amq.topic", routing_key="/.x"))
    assert broker.gateway.permissions.delete_topics("ada", "/")
    ada.publish("bob.x", b"1", exchange="amq.topic")
    assert not ada.receive_all()


def test_opening_a_virtual_host(broker: AmqpBroker) -> None:
    broker.gateway.users.put("ada", password="lovelace")
    assert open_failure(broker, "nowhere") == (
        "Connection.Close", 530, "NOT_ALLOWED - vhost nowhere not found"
    )  # fmt: skip
    assert open_failure(broker, "/") == (
        "Connection.Close",
        530,
        "NOT_ALLOWED - access to vhost '/' refused for user 'ada'",
    )


def test_limits_of_a_virtual_host(broker: AmqpBroker) -> None:
    gateway = broker.gateway
    gateway.set_virtual_host_limit("/", "max-connections", 1)
    gateway.set_virtual_host_limit("/", "max-queues", 1)
    peer = broker.connect()
    assert open_failure(broker, "/", "guest")[2] == (
        "NOT_ALLOWED - access to vhost '/' refused for user 'guest':"
        " connection limit (1) is reached"
    )
    peer.declare("q")
    peer.declare("q")
    assert peer.fail(commands.Queue.Declare(queue="p")) == (
        "Channel.Close",
        406,
        "PRECONDITION_FAILED - cannot declare queue 'p': queue limit in vhost '/' (1) is reached",
    )
    peer.lose()
    broker.connect().lose()
    gateway.set_virtual_host_limit("/", "max-connections", 0)
    assert "(0) is reached" in open_failure(broker, "/", "guest")[2]
    gateway.set_virtual_host_limit("/", "max-connections", None)
    broker.connect()


@pytest.mark.parametrize("first", [commands.Channel.Open(), commands.Tx.Select()])
def test_limits_of_a_user(broker: AmqpBroker, first: Any) -> None:
    broker.gateway.users.set_limit("guest", "max-connections", 1)
    broker.gateway.users.set_limit("guest", "max-channels", 2)
    peer = broker.connect()
    assert open_failure(broker, "/", "guest")[2] == (
        "NOT_ALLOWED - connection refused for user 'guest': user connection limit (1) is reached"
    )
    peer.open_channel(2)
    peer.method(3, first)  # Whatever it is: the count comes first.
    (close,) = peer.receive_all()
    assert close.failure == (
        "Connection.Close",
        530,
        "NOT_ALLOWED - number of channels opened for user 'guest' has reached"
        " the maximum allowed user limit of (2)",
    )
    assert (close.command.class_id, close.command.method_id) == (0, 0)


def test_virtual_hosts_are_apart_and_survive(broker: AmqpBroker) -> None:
    gateway = broker.gateway
    assert gateway.put_virtual_host("shop", "orders", ["a"])
    gateway.permissions.put(Permission("guest", "shop", ".*", ".*", ".*"))
    peer = broker.connect(virtual_host="shop")
    peer.declare("q", durable=True)
    assert "q" not in broker.virtual_host.queues
    peer.lose()
    broker.restart()
    shop = broker.gateway.virtual_hosts["shop"]
    assert (shop.description, shop.tags) == ("orders", ("a",))
    assert "q" in shop.queues
    assert broker.connect(virtual_host="shop").get("q").name == "Basic.GetEmpty"


def test_deleting_a_virtual_host(broker: AmqpBroker) -> None:
    gateway = broker.gateway
    gateway.put_virtual_host("shop")
    gateway.permissions.put(Permission("guest", "shop", ".*", ".*", ".*"))
    inside, outside = broker.connect(virtual_host="shop"), broker.connect()
    inside.declare("q", durable=True)
    inside.call(commands.Exchange.Declare(exchange="x", durable=True))
    inside.call(commands.Queue.Bind(queue="q", exchange="x", routing_key=""))
    gateway.delete_virtual_host("shop")
    gateway.turn.end()
    closed = ("Connection.Close", 320, "CONNECTION_FORCED - vhost 'shop' was deleted")
    assert inside.receive().failure == closed
    assert not outside.receive_all()
    assert len(list(gateway.connections)) == 1
    assert open_failure(broker, "shop", "guest")[2] == "NOT_ALLOWED - vhost shop not found"
    broker.restart()
    assert list(broker.gateway.virtual_hosts) == ["/"]
    broker.gateway.put_virtual_host("shop")
    assert not broker.gateway.virtual_hosts["shop"].queues
    with pytest.raises(NotFoundError):
        gateway.delete_virtual_host("nowhere")
    with pytest.raises(PreconditionFailedError):
        gateway.delete_virtual_host("/")


def test_deleting_a_user(broker: AmqpBroker, ada: AmqpPeer) -> None:
    broker.gateway.delete_user("ada")
    broker.gateway.turn.end()
    assert ada.receive().failure[1:] == (320, "CONNECTION_FORCED - user 'ada' was deleted")
    assert broker.gateway.permissions.find("ada", "/") is None


def test_a_deleted_guest_does_not_come_back(broker: AmqpBroker) -> None:
    broker.gateway.delete_user("guest")
    broker.restart()
    assert "guest" not in broker.gateway.users


def test_a_pattern_that_is_none(broker: AmqpBroker) -> None:
    with pytest.raises(PreconditionFailedError, match="no regular expression"):
        grant(broker, configure="(")
    assert broker.gateway.permissions.find("ada", "/") is None


def test_an_impersonator_may_publish_as_anybody(broker: AmqpBroker) -> None:
    properties = encode_properties({"user_id": "ada"})
    peer = broker.connect()
    peer.declare()
    peer.publish("q", b"1", properties)
    assert peer.failure()[1] == 406
    broker.gateway.users.put("guest", password="guest", tags=["impersonator"])
    peer.publish("q", b"2", properties)
    peer.publish("q", b"3", properties)
    assert [each.body for each in peer.consume()] == [b"2", b"3"]
