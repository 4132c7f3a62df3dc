from typing import Any

import pytest
from pamqp import commands
from pamqp.commands import Basic

from protocols.amqp.codec import decode_properties, encode_properties
from tests.support.amqp_peer import PERSISTENT, AmqpBroker, AmqpPeer

REPLY_TO = "amq.rabbitmq.reply-to"
REQUEST = encode_properties(
    {
        "headers": {"a": 1},
        "delivery_mode": 2,
        "reply_to": REPLY_TO,
        "message_id": "m",
    }
)
CONSUME = Basic.Consume(queue=REPLY_TO, consumer_tag="r", no_ack=True)


@pytest.fixture
def server(broker: AmqpBroker) -> AmqpPeer:
    server = broker.connect()
    server.declare("rpc")
    return server


@pytest.fixture
def client(broker: AmqpBroker, server: AmqpPeer) -> AmqpPeer:
    client = broker.connect()
    client.consume(REPLY_TO, "r", no_ack=True)
    return client


def ask(client: AmqpPeer, server: AmqpPeer, channel: int = 1) -> str:
    """Send a request; where its reply is to go."""
    client.publish("rpc", b"ping", REQUEST, channel=channel)
    properties = decode_properties(server.get("rpc", no_ack=True).properties)
    reply_to = properties.pop("reply_to")
    assert properties == {"headers": {"a": 1}, "delivery_mode": 2, "message_id": "m"}
    assert isinstance(reply_to, str)
    assert reply_to.startswith(REPLY_TO + ".")
    return reply_to


def no_queue(name: str) -> tuple[str, int, str]:
    return "Channel.Close", 404, f"NOT_FOUND - no queue '{name}' in vhost '/'"


def refused(text: str) -> tuple[str, int, str]:
    return "Channel.Close", 406, f"PRECONDITION_FAILED - {text}"


def test_a_reply_comes_back(client: AmqpPeer, server: AmqpPeer) -> None:
    reply_to = ask(client, server)
    server.publish(reply_to, b"pong", PERSISTENT)
    (reply,) = client.deliveries()
    deliver = reply.command
    assert (deliver.consumer_tag, deliver.delivery_tag, deliver.redelivered) == ("r", 1, False)
    assert (deliver.exchange, deliver.routing_key) == ("", reply_to)
    assert (reply.body, reply.properties) == (b"pong", PERSISTENT)


def test_a_channel_has_one_name_for_all_its_requests(client: AmqpPeer, server: AmqpPeer) -> None:
    assert ask(client, server) == ask(client, server)
    client.open_channel(2)
    client.consume(REPLY_TO, "r", channel=2, no_ack=True)
    assert ask(client, server, channel=2) != ask(client, server)


def test_a_confirm_comes_at_once(broker: AmqpBroker, client: AmqpPeer, server: AmqpPeer) -> None:
    reply_to = ask(client, server)
    server.call(commands.Confirm.Select())
    broker.disk.held = True
    server.publish(reply_to, b"pong", PERSISTENT, mandatory=True)
    assert server.receive().name == "Basic.Ack"
    assert client.bodies() == [b"pong"]
    broker.disk.release()


class TestProbe:
    @pytest.mark.parametrize("passive", [True, False])
    def test_tells_whether_the_requester_is_there(
        self, client: AmqpPeer, server: AmqpPeer, passive: bool
    ) -> None:
        reply_to = ask(client, server)
        for name in (reply_to, REPLY_TO):
            ok = server.declare(name, passive=passive)
            assert (ok.queue, ok.message_count, ok.consumer_count) == (name, 0, 1)
        client.lose()
        declare = commands.Queue.Declare(queue=reply_to, passive=passive)
        assert server.fail(declare) == no_queue(reply_to)


class TestTheEnd:
    @pytest.mark.parametrize(
        "command",
        [
            Basic.Cancel(consumer_tag="r"),
            commands.Channel.Close(200, "", 0, 0),
            None,
        ],
    )
    def test_nobody_gets_what_comes_too_late(
        self,
        broker: AmqpBroker,
        client: AmqpPeer,
        server: AmqpPeer,
        command: Basic.Cancel | None,
    ) -> None:
        reply_to = ask(client, server)
        if command is None:
            client.lose()
        else:
            client.call(command)
        server.publish(reply_to, b"pong")
        assert server.receive_all() == []
        assert set(broker.virtual_host.queues) == {"rpc"}

    def test_after_a_cancel_there_may_be_another(self, client: AmqpPeer, server: AmqpPeer) -> None:
        before = ask(client, server)
        client.call(Basic.Cancel(consumer_tag="r"))
        client.consume(REPLY_TO, "r", no_ack=True)
        assert ask(client, server) != before


class TestRefusals:
    def test_acknowledging(self, server: AmqpPeer) -> None:
        consume = Basic.Consume(queue=REPLY_TO)
        assert server.fail(consume) == refused("reply consumer cannot acknowledge")

    @pytest.mark.parametrize("tag", ["r", "s"])
    def test_a_second_consumer(self, client: AmqpPeer, tag: str) -> None:
        consume = Basic.Consume(queue=REPLY_TO, consumer_tag=tag, no_ack=True)
        assert client.fail(consume) == refused("reply consumer already set")

    def test_a_second_consumer_that_would_acknowledge(self, client: AmqpPeer) -> None:
        consume = Basic.Consume(queue=REPLY_TO, consumer_tag="s")
        assert client.fail(consume) == refused("reply consumer cannot acknowledge")

    def test_the_tag_of_another_consumer(self, server: AmqpPeer) -> None:
        server.consume("rpc", "r")
        server.method(1, CONSUME)
        close = server.receive().failure
        assert close == ("Connection.Close", 530, "NOT_ALLOWED - attempt to reuse consumer tag 'r'")

    @pytest.mark.parametrize("times", [1, 2])
    def test_a_request_without_a_consumer(self, server: AmqpPeer, times: int) -> None:
        for _ in range(times):
            server.publish("rpc", b"ping", REQUEST)
            assert server.failure() == refused("fast reply consumer does not exist")
        assert server.get("rpc").name == "Basic.GetEmpty"

    @pytest.mark.parametrize("command", [Basic.Get, Basic.Consume, commands.Queue.Purge])
    def test_looking_into_it(self, client: AmqpPeer, server: AmqpPeer, command: Any) -> None:
        reply_to = ask(client, server)
        assert server.fail(command(queue=reply_to)) == no_queue(reply_to)
        assert client.fail(command(queue=reply_to)) == no_queue(reply_to)

    def test_getting_replies(self, server: AmqpPeer) -> None:
        assert server.fail(Basic.Get(queue=REPLY_TO)) == no_queue(REPLY_TO)
