from typing import Any

import pytest
from pamqp import commands

from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer, method_frame

Basic, Exchange, Queue = commands.Basic, commands.Exchange, commands.Queue
DEFAULT_EXCHANGE = "operation not permitted on the default exchange"
LOCKED = (
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'mine' in vhost '/'. It could"
    " be originally declared on another connection or the exclusive property value does not match"
    " that of the original declaration."
)


def with_names(command: Any, **names: str) -> Any:
    """A command with names that pamqp refuses."""
    for field, name in names.items():
        setattr(command, field, name)
    return command


@pytest.fixture
def peer(broker: AmqpBroker) -> AmqpPeer:
    peer = broker.connect()
    peer.declare("q")
    peer.call(Exchange.Declare(exchange="x", exchange_type="topic"))
    return peer


def declare_exchange(name: str, type: str = "direct", **options: Any) -> Any:
    return Exchange.Declare(exchange=name, exchange_type=type, **options)


class TestRefusals:
    """The texts are RabbitMQ's, and clients know them."""

    @pytest.mark.parametrize(
        ("command", "code", "text"),
        [
            (
                with_names(declare_exchange("n"), exchange_type="none"),
                406,
                "PRECONDITION_FAILED - unknown exchange type 'none'",
            ),
            (declare_exchange(""), 403, f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}"),
            (declare_exchange("", passive=True), 403, f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}"),
            (
                declare_exchange("amq.new"),
                403,
                "ACCESS_REFUSED - exchange name 'amq.new' contains reserved prefix 'amq.*'",
            ),
            (
                declare_exchange("none", passive=True),
                404,
                "NOT_FOUND - no exchange 'none' in vhost '/'",
            ),
            (
                declare_exchange("x"),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/':"
                " received 'direct' but current is 'topic'",
            ),
            (
                declare_exchange("x", "topic", durable=True),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for exchange 'x' in vhost '/':"
                " received 'true' but current is 'false'",
            ),
            (
                declare_exchange("x", "topic", auto_delete=True),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for exchange 'x' in vhost"
                " '/': received 'true' but current is 'false'",
            ),
            (
                declare_exchange("x", "topic", internal=True),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'internal' for exchange 'x' in vhost '/':"
                " received 'true' but current is 'false'",
            ),
            (
                declare_exchange("x", "topic", arguments={"alternate-exchange": "y"}),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'alternate-exchange' for exchange 'x' in"
                " vhost '/': received the value 'y' of type 'longstr' but current is none",
            ),
            (
                declare_exchange("n", arguments={"alternate-exchange": 5}),
                406,
                "PRECONDITION_FAILED - invalid type 'signedint' for arg 'alternate-exchange' in"
                " exchange 'n' in vhost '/'",
            ),
            (Exchange.Delete(exchange=""), 403, f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}"),
            (
                Exchange.Delete(exchange="amq.topic"),
                403,
                "ACCESS_REFUSED - deletion of system exchange 'amq.topic' in vhost '/' not allowed",
            ),
            (
                Exchange.Delete(exchange="amq.none"),
                403,
                "ACCESS_REFUSED - deletion of system exchange 'amq.none' in vhost '/' not allowed",
            ),
            (
                Exchange.Bind(destination="x", source=""),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Exchange.Bind(destination="", source="x"),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Exchange.Bind(destination="none", source="nowhere"),
                404,
                "NOT_FOUND - no exchange 'nowhere' in vhost '/'",
            ),
            (
                Exchange.Bind(destination="none", source="x"),
                404,
                "NOT_FOUND - no exchange 'none' in vhost '/'",
            ),
            (
                Exchange.Unbind(destination="x", source=""),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Exchange.Unbind(destination="", source="x"),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Queue.Declare(queue="amq.new"),
                403,
                "ACCESS_REFUSED - queue name 'amq.new' contains reserved prefix 'amq.*'",
            ),
            (
                Queue.Declare(queue="none", passive=True),
                404,
                "NOT_FOUND - no queue 'none' in vhost '/'",
            ),
            (
                Queue.Declare(queue="", passive=True),
                404,
                "NOT_FOUND - no queue '' in vhost '/'",
            ),
            (
                Queue.Declare(queue="q", durable=True),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/':"
                " received 'true' but current is 'false'",
            ),
            (
                Queue.Declare(queue="q", auto_delete=True),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' in vhost '/':"
                " received 'true' but current is 'false'",
            ),
            (
                Queue.Declare(queue="q", arguments={"x-max-length": 5}),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-max-length' for queue 'q' in vhost '/':"
                " received the value '5' of type 'signedint' but current is none",
            ),
            (
                Queue.Declare(queue="q", arguments={"x-queue-type": "quorum"}),
                406,
                "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/':"
                " received 'quorum' but current is 'classic'",
            ),
            (Queue.Declare(queue="q", exclusive=True), 405, LOCKED.replace("mine", "q")),
            (
                Queue.Bind(queue="q", exchange=""),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Queue.Unbind(queue="q", exchange=""),
                403,
                f"ACCESS_REFUSED - {DEFAULT_EXCHANGE}",
            ),
            (
                Queue.Bind(queue="none", exchange="nowhere"),
                404,
                "NOT_FOUND - no exchange 'nowhere' in vhost '/'",
            ),
            (
                Queue.Bind(queue="none", exchange="x"),
                404,
                "NOT_FOUND - no queue 'none' in vhost '/'",
            ),
            (
                Queue.Bind(queue="q", exchange="amq.headers", arguments={"x-match": "foo"}),
                406,
                'PRECONDITION_FAILED - Invalid x-match field value <<"foo">>;'
                " expected all, any, all-with-x, or any-with-x",
            ),
            (Queue.Purge(queue="none"), 404, "NOT_FOUND - no queue 'none' in vhost '/'"),
            (Basic.Consume(queue="none"), 404, "NOT_FOUND - no queue 'none' in vhost '/'"),
            (Basic.Get(queue="none"), 404, "NOT_FOUND - no queue 'none' in vhost '/'"),
        ],
    )
    def test_that_close_the_channel(
        self, peer: AmqpPeer, command: Any, code: int, text: str
    ) -> None:
        peer.method(1, command)
        close = peer.receive()
        assert close.failure == ("Channel.Close", code, text)
        ids = (close.command.class_id << 16) + close.command.method_id
        assert ids == command.index

    @pytest.mark.parametrize(
        ("command", "code", "text"),
        [
            (Basic.Qos(prefetch_size=5), 540, "NOT_IMPLEMENTED - prefetch_size!=0 (5)"),
            (commands.Channel.Flow(active=False), 540, "NOT_IMPLEMENTED - active=false"),
            (Basic.Recover(requeue=False), 540, "NOT_IMPLEMENTED - requeue=false"),
        ],
    )
    def test_that_close_the_connection(
        self, peer: AmqpPeer, command: Any, code: int, text: str
    ) -> None:
        peer.method(1, command)
        close = peer.receive()
        assert close.failure == ("Connection.Close", code, text)
        assert (close.command.class_id << 16) + close.command.method_id == command.index

    @pytest.mark.parametrize(
        "command",
        [
            Queue.Declare(queue="none", passive=True, nowait=True),
            declare_exchange("none", passive=True, nowait=True),
            Basic.Consume(queue="none", nowait=True),
            Queue.Purge(queue="none", nowait=True),
            Queue.Bind(queue="none", exchange="x", nowait=True),
        ],
    )
    def test_are_said_even_to_those_who_do_not_wait(self, peer: AmqpPeer, command: Any) -> None:
        kind, code, _ = peer.fail(command)
        assert (kind, code) == ("Channel.Close", 404)

    def test_without_a_queue_to_speak_of(self, broker: AmqpBroker) -> None:
        peer = broker.connect()
        for command in (
            Queue.Bind(exchange="amq.topic"),
            Queue.Unbind(exchange="amq.topic"),
            Queue.Purge(),
            Queue.Delete(),
            Basic.Get(),
            Basic.Consume(),
        ):
            assert peer.fail(command) == (
                "Channel.Close",
                404,
                "NOT_FOUND - no previously declared queue",
            )

    def test_of_an_exchange_in_use(self, peer: AmqpPeer) -> None:
        peer.call(Queue.Bind(queue="q", exchange="x", routing_key="k"))
        text = "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use"
        failure = peer.fail(Exchange.Delete(exchange="x", if_unused=True))
        assert failure == ("Channel.Close", 406, text)
        peer.call(Queue.Unbind(queue="q", exchange="x", routing_key="k"))
        peer.call(Exchange.Delete(exchange="x", if_unused=True))

    def test_of_a_queue_in_use(self, peer: AmqpPeer) -> None:
        peer.publish("q")
        text = "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty"
        failure = peer.fail(Queue.Delete(queue="q", if_empty=True))
        assert failure == ("Channel.Close", 406, text)
        peer.broker.connect().consume("q")
        text = "PRECONDITION_FAILED - queue 'q' in vhost '/' in use"
        failure = peer.fail(Queue.Delete(queue="q", if_unused=True))
        assert failure == ("Channel.Close", 406, text)
        assert peer.call(Queue.Delete(queue="q", if_empty=True)).message_count == 0

    @pytest.mark.parametrize(
        "command",
        [
            Queue.Declare(queue="mine"),
            Queue.Declare(queue="mine", exclusive=True),
            Queue.Declare(queue="mine", passive=True),
            Queue.Bind(queue="mine", exchange="x"),
            Queue.Purge(queue="mine"),
            Queue.Delete(queue="mine"),
            Basic.Get(queue="mine"),
            Basic.Consume(queue="mine"),
        ],
    )
    def test_of_a_queue_that_is_not_ones_own(self, peer: AmqpPeer, command: Any) -> None:
        owner = peer.broker.connect()
        owner.declare("mine", exclusive=True)
        assert peer.fail(command) == ("Channel.Close", 405, LOCKED[:255])
        # Publishing into it is nobody's business.
        peer.publish("mine", b"1")
        assert [delivery.body for delivery in owner.consume("mine")] == [b"1"]

    def test_a_text_is_cut_to_what_fits(self, peer: AmqpPeer) -> None:
        name = "€" * 85
        command = with_names(Queue.Declare(queue="q", passive=True), queue=name)
        kind, code, text = peer.fail(command)
        assert (kind, code) == ("Channel.Close", 404)
        assert f"NOT_FOUND - no queue '{name}'".startswith(text)
        assert len(text.encode()) in range(253, 256)


class TestExchanges:
    def test_there_is_no_error_in_deleting_nothing(self, peer: AmqpPeer) -> None:
        assert isinstance(peer.call(Exchange.Delete(exchange="none")), Exchange.DeleteOk)
        assert isinstance(
            peer.call(Exchange.Unbind(destination="none", source="x")), Exchange.UnbindOk
        )
        assert isinstance(
            peer.call(Exchange.Unbind(destination="x", source="none")), Exchange.UnbindOk
        )

    @pytest.mark.parametrize(
        "name", ["amq.direct", "amq.fanout", "amq.topic", "amq.headers", "amq.match"]
    )
    def test_predeclared_ones_are_there(self, peer: AmqpPeer, name: str) -> None:
        type = "headers" if name == "amq.match" else name[4:]
        assert isinstance(peer.call(declare_exchange(name, type, durable=True)), Exchange.DeclareOk)
        peer.call(declare_exchange(name, passive=True))

    def test_lead_to_exchanges(self, peer: AmqpPeer) -> None:
        peer.call(declare_exchange("y", "fanout", internal=True))
        peer.call(Exchange.Bind(destination="y", source="x", routing_key="a.*"))
        peer.call(Queue.Bind(queue="q", exchange="y"))
        peer.publish("a.b", b"1", exchange="x")
        peer.publish("a", b"2", exchange="x")
        delivery = peer.get()
        assert (delivery.command.exchange, delivery.command.routing_key) == ("x", "a.b")
        assert delivery.command.message_count == 0
        peer.call(Exchange.Unbind(destination="y", source="x", routing_key="a.*"))
        peer.publish("a.b", b"3", exchange="x")
        assert peer.get().name == "Basic.GetEmpty"

    def test_an_alternate_gets_what_would_be_lost(self, peer: AmqpPeer) -> None:
        peer.call(declare_exchange("y", arguments={"alternate-exchange": "amq.fanout"}))
        peer.call(Queue.Bind(queue="q", exchange="amq.fanout"))
        peer.publish("k", b"1", exchange="y", mandatory=True)
        assert peer.get().body == b"1"

    def test_auto_deleted_ones_go_with_their_last_binding(self, peer: AmqpPeer) -> None:
        peer.call(declare_exchange("y", auto_delete=True))
        peer.call(Queue.Bind(queue="q", exchange="y"))
        peer.call(Queue.Delete(queue="q"))
        assert peer.fail(declare_exchange("y", passive=True))[1] == 404

    def test_line_breaks_are_stripped(self, peer: AmqpPeer) -> None:
        peer.call(with_names(declare_exchange("y"), exchange="a\r\nb"))
        peer.call(with_names(declare_exchange("y", passive=True), exchange="ab\n"))
        peer.call(with_names(Exchange.Bind(destination="y", source="y"), source="a\nb",
                             destination="a\rb"))  # fmt: skip
        peer.call(with_names(Exchange.Unbind(destination="y", source="y"), source="a\nb",
                             destination="a\rb"))  # fmt: skip
        peer.call(with_names(Exchange.Delete(exchange="y"), exchange="a\nb"))
        assert "ab" not in peer.broker.virtual_host.exchanges

    def test_nowait_is_not_answered(self, peer: AmqpPeer) -> None:
        for command in (
            declare_exchange("y", durable=True, nowait=True),
            Exchange.Bind(destination="x", source="y", nowait=True),
            Exchange.Unbind(destination="x", source="y", nowait=True),
            Exchange.Delete(exchange="y", nowait=True),
        ):
            peer.method(1, command)
            assert peer.receive_all() == []

    @pytest.mark.parametrize(
        "arguments",
        [
            {"bytes": bytearray(b"a\xff"), "more": [{"deep": [bytearray(b"x"), None, 1.5]}]},
            {"long": 1 << 40, "text": "x", "flag": True, "table": {"a": {"b": []}}},
        ],
    )
    def test_arguments_of_any_type(self, peer: AmqpPeer, arguments: dict[str, Any]) -> None:
        command = Queue.Bind(queue="d", exchange="y", arguments=arguments)
        for _ in range(2):
            peer.call(declare_exchange("y", durable=True, arguments=arguments))
            peer.call(Queue.Declare(queue="d", durable=True, arguments=arguments))
            peer.call(command)
        (binding,) = peer.broker.virtual_host.exchanges["y"].bindings
        peer.broker.restart()
        assert [each.arguments for each in peer.broker.virtual_host.exchanges["y"].bindings] == [
            binding.arguments
        ]
        again = peer.broker.connect()
        again.call(declare_exchange("y", durable=True, arguments=arguments))
        again.call(command)
        assert len(peer.broker.virtual_host.exchanges["y"].bindings) == 1
        again.call(Queue.Unbind(queue="d", exchange="y", arguments=arguments))
        assert not peer.broker.virtual_host.exchanges["y"].bindings


class TestQueues:
    def test_declare_counts(self, peer: AmqpPeer) -> None:
        answer = peer.declare()
        assert (answer.queue, answer.message_count, answer.consumer_count) == ("q", 0, 0)
        for body in (b"1", b"2", b"3"):
            peer.publish("q", body)
        peer.call(Basic.Qos(prefetch_count=1))
        peer.consume()
        for passive in (True, False):
            answer = peer.declare(passive=passive)
            assert (answer.message_count, answer.consumer_count) == (2, 1)

    def test_names_are_made_up(self, peer: AmqpPeer) -> None:
        names = {peer.declare("").queue for _ in range(10)}
        assert len(names) == 10
        assert all(name.startswith("amq.gen-") and len(name) == 30 for name in names)

    def test_the_last_one_declared_needs_no_name(self, peer: AmqpPeer) -> None:
        name = peer.declare("").queue
        peer.call(Queue.Bind(exchange="amq.direct"))
        peer.publish(name, b"1", exchange="amq.direct")
        peer.publish("", b"2", exchange="amq.direct")
        assert peer.get("").body == b"1"
        peer.call(Queue.Unbind(exchange="amq.direct"))
        peer.publish(name, b"3", exchange="amq.direct")
        assert peer.get("").name == "Basic.GetEmpty"
        assert peer.call(Queue.Purge()).message_count == 0
        assert peer.call(Queue.Delete()).message_count == 0
        peer.declare("q", passive=True)
        assert peer.get("").name == "Basic.GetEmpty"

    def test_a_named_one_with_an_empty_key_keeps_it(self, peer: AmqpPeer) -> None:
        peer.call(Queue.Bind(queue="q", exchange="amq.direct"))
        peer.publish("", b"1", exchange="amq.direct")
        peer.publish("q", b"2", exchange="amq.direct")
        delivery = peer.get()
        assert (delivery.body, delivery.command.message_count) == (b"1", 0)

    def test_a_binding_twice_is_one(self, peer: AmqpPeer) -> None:
        for _ in range(2):
            peer.call(Queue.Bind(queue="q", exchange="x", routing_key="a.#"))
        peer.call(Queue.Bind(queue="q", exchange="x", routing_key="#.b"))
        peer.publish("a.b", b"1", exchange="x")
        assert peer.get().command.message_count == 0
        for _ in range(2):
            peer.call(Queue.Unbind(queue="q", exchange="x", routing_key="a.#"))
        peer.call(Queue.Unbind(queue="none", exchange="x"))
        peer.call(Queue.Unbind(queue="q", exchange="none"))

    def test_purge_leaves_what_is_in_flight(self, peer: AmqpPeer) -> None:
        for body in (b"1", b"2", b"3"):
            peer.publish("q", body)
        peer.get()
        assert peer.call(Queue.Purge(queue="q")).message_count == 2
        assert peer.call(Queue.Purge(queue="q")).message_count == 0
        peer.method(1, Basic.Nack(delivery_tag=1))
        assert peer.get().body == b"1"

    def test_delete(self, peer: AmqpPeer) -> None:
        peer.publish("q")
        peer.publish("q")
        peer.get()
        assert peer.call(Queue.Delete(queue="q")).message_count == 1
        assert peer.call(Queue.Delete(queue="q")).message_count == 0
        # What it had in flight can still be acknowledged.
        peer.ack(1)
        assert peer.receive_all() == []

    def test_delete_tells_its_consumers(self, peer: AmqpPeer) -> None:
        consumer = peer.broker.connect()
        deaf = peer.broker.peer()
        deaf.open(capabilities=())
        deaf.open_channel(1)
        for each in (consumer, deaf):
            each.consume("q", "tag")
        peer.call(Queue.Delete(queue="q"))
        cancel = consumer.receive().command
        assert isinstance(cancel, Basic.Cancel)
        assert (cancel.consumer_tag, cancel.nowait) == ("tag", True)
        assert deaf.receive_all() == []
        # The tag is free again.
        peer.declare("q")
        consumer.consume("q", "tag")

    def test_auto_deleted_ones_go_with_their_last_consumer(self, peer: AmqpPeer) -> None:
        peer.declare("a", auto_delete=True)
        peer.publish("a")
        assert peer.get("a", no_ack=True).name == "Basic.GetOk"
        other = peer.broker.connect()
        peer.consume("a", "t")
        other.consume("a", "t")
        peer.call(Basic.Cancel(consumer_tag="t"))
        assert peer.declare("a", passive=True).consumer_count == 1
        other.call(commands.Channel.Close(200, "", 0, 0))
        assert peer.fail(Queue.Declare(queue="a", passive=True))[1] == 404

    def test_exclusive_ones_are_the_whole_connections(self, peer: AmqpPeer) -> None:
        peer.open_channel(2)
        peer.declare("mine", exclusive=True, durable=True)
        peer.declare("mine", exclusive=True, durable=True, channel=2)
        peer.publish("mine", b"1", PERSISTENT)
        assert peer.get("mine", channel=2).body == b"1"
        assert peer.fail(Queue.Declare(queue="mine")) == ("Channel.Close", 405, LOCKED[:255])

    def test_line_breaks_are_stripped(self, peer: AmqpPeer) -> None:
        odd = {"queue": "a\r\nb"}
        assert peer.call(with_names(Queue.Declare(queue="q"), **odd)).queue == "ab"
        assert peer.call(with_names(Queue.Declare(queue="q", passive=True), **odd)).queue == "ab"
        peer.call(with_names(Queue.Bind(queue="q", exchange="x"), **odd))
        peer.call(with_names(Queue.Unbind(queue="q", exchange="x"), **odd))
        peer.call(with_names(Queue.Delete(queue="q"), **odd))
        assert "ab" not in peer.broker.virtual_host.queues

    @pytest.mark.parametrize("name", ["a|b", "%*€", "x" * 255, " ", "\x00", "'"])
    def test_any_name(self, peer: AmqpPeer, name: str) -> None:
        assert peer.call(with_names(Queue.Declare(queue="q"), queue=name)).queue == name
        peer.publish(name, b"1")
        peer.method(1, with_names(Basic.Consume(queue="q"), queue=name, consumer_tag=name))
        assert peer.receive().command.consumer_tag == name
        (delivery,) = peer.deliveries()
        assert delivery.command.consumer_tag == name
        assert delivery.command.routing_key == name

    def test_a_name_that_is_not_utf_8(self, peer: AmqpPeer) -> None:
        octets = method_frame(1, with_names(Queue.Declare(queue="q"), queue="\udcff"))
        peer.send(octets)
        kind, code, text = peer.receive().failure
        assert (kind, code) == ("Connection.Close", 501)
        assert text.startswith("FRAME_ERROR - cannot decode")

    def test_no_type_is_classic(self, peer: AmqpPeer) -> None:
        peer.declare("q", arguments={"x-queue-type": "classic"})
        peer.declare("c", arguments={"x-queue-type": "classic"})
        peer.declare("c")
        # What no queue type knows is not compared.
        peer.declare("c", arguments={"x-whatever": 1})

    def test_nowait_is_not_answered(self, peer: AmqpPeer) -> None:
        for command in (
            Queue.Declare(queue="n", durable=True, nowait=True),
            Queue.Bind(queue="n", exchange="x", nowait=True),
            Queue.Purge(queue="n", nowait=True),
            Queue.Delete(queue="n", nowait=True),
        ):
            peer.method(1, command)
            assert peer.receive_all() == []


class TestDurability:
    @pytest.mark.parametrize(
        "command",
        [
            Queue.Declare(queue="n", durable=True),
            declare_exchange("n", durable=True),
            Queue.Bind(queue="d", exchange="amq.direct"),
            Queue.Unbind(queue="d", exchange="amq.topic"),
            Queue.Delete(queue="d"),
            Exchange.Delete(exchange="dx"),
            Exchange.Bind(destination="dx", source="amq.topic"),
            Exchange.Unbind(destination="dx", source="amq.direct"),
        ],
    )
    def test_the_answer_waits_for_the_disk(self, peer: AmqpPeer, command: Any) -> None:
        peer.declare("d", durable=True)
        peer.call(declare_exchange("dx", durable=True))
        peer.call(Queue.Bind(queue="d", exchange="amq.topic"))
        peer.call(Exchange.Bind(destination="dx", source="amq.direct"))
        peer.broker.disk.held = True
        peer.method(1, command)
        assert peer.receive_all() == []
        peer.broker.disk.release()
        (answer,) = peer.receive_all()
        assert answer.name == f"{type(command).__qualname__}Ok"

    @pytest.mark.parametrize(
        "command",
        [Queue.Declare(queue="n"), Queue.Declare(queue="d", passive=True), declare_exchange("n")],
    )
    def test_others_do_not_wait(self, peer: AmqpPeer, command: Any) -> None:
        peer.declare("d", durable=True)
        peer.broker.disk.held = True
        peer.call(command)
        peer.broker.disk.release()

    def test_answers_come_in_order(self, peer: AmqpPeer) -> None:
        peer.broker.disk.held = True
        peer.method(1, Queue.Declare(queue="n", durable=True))
        peer.method(1, Queue.Declare(queue="t"))
        assert peer.receive_all() == []
        peer.broker.disk.release()
        assert [received.command.queue for received in peer.receive_all()] == ["n", "t"]

    def test_what_survives_a_restart(self, peer: AmqpPeer) -> None:
        peer.declare("d", durable=True)
        peer.call(declare_exchange("dx", durable=True))
        peer.call(Queue.Bind(queue="d", exchange="dx", routing_key="k"))
        peer.publish("k", b"durable", PERSISTENT, exchange="dx")
        peer.publish("k", b"transient", exchange="dx")
        peer.publish("q", b"lost", PERSISTENT)
        peer.broker.restart()
        again = peer.broker.connect()
        (delivery,) = again.consume("d")
        assert (delivery.body, delivery.command.exchange) == (b"durable", "dx")
        again.publish("k", b"2", exchange="dx")
        assert again.bodies() == [b"2"]
        assert again.fail(Queue.Declare(queue="q", passive=True))[1] == 404


class TestChannel:
    def test_flow(self, peer: AmqpPeer) -> None:
        answer = peer.call(commands.Channel.Flow(active=True))
        assert (type(answer), answer.active) == (commands.Channel.FlowOk, True)

    def test_qos(self, peer: AmqpPeer) -> None:
        assert isinstance(peer.call(Basic.Qos(prefetch_count=65535)), Basic.QosOk)
        assert isinstance(peer.call(Basic.Qos(prefetch_count=1, global_=True)), Basic.QosOk)

    def test_confirm_select_may_come_twice(self, peer: AmqpPeer) -> None:
        for _ in range(2):
            assert isinstance(peer.call(commands.Confirm.Select()), commands.Confirm.SelectOk)
        peer.method(1, commands.Confirm.Select(nowait=True))
        assert peer.receive_all() == []
