"""What the frames of a session do to a real gateway, and what they are answered."""

from pathlib import Path

import pytest

from gateway.declarations import QueueBinding, QueueDeclaration
from gateway.messages import Envelope, Header, Message, Properties
from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import StompBroker, send, subscribe


class TestMessages:
    def test_the_plugins_own_vector(self, broker: StompBroker) -> None:
        peer = broker.connect("1.0")
        subscribe(peer, "/exchange/amq.fanout", None)
        peer.send(
            b"SEND\ndestination:/exchange/amq.fanout\ncontent-type:text/plain\n"
            b"content-length:6\n\nhello\n\0"
        )
        message_id = f"Q_/exchange/amq.fanout@@{peer.session}@@1"
        assert (
            peer.octets()
            == (
                f"MESSAGE\ndestination:/exchange/amq.fanout\nmessage-id:{message_id}\n"
                "redelivered:false\ncontent-type:text/plain\ncontent-length:6\n\nhello\n\0\n"
            ).encode()
        )

    def test_a_message_of_a_subscription_with_id(self, broker: StompBroker) -> None:
        peer = broker.connect("1.2")
        subscribe(peer, "/queue/a", "s:1", ack="client")
        send(peer, "/queue/a", b"", zeta="1", alpha="x\\cy", persistent="true", priority="4")
        message_id = f"T_s\\c1@@{peer.session}@@1"
        assert (
            peer.octets()
            == (
                "MESSAGE\nsubscription:s\\c1\ndestination:/queue/a\n"
                f"message-id:{message_id}\nredelivered:false\nack:{message_id}\n"
                "zeta:1\nalpha:x\\cy\npersistent:true\npriority:4\n\n\0\n"
            ).encode()
        )

    @pytest.mark.parametrize(
        ("version", "ack", "shown"),
        [("1.2", "auto", False), ("1.2", "client-individual", True), ("1.1", "client", False)],
    )
    def test_who_sees_an_ack_header(
        self, broker: StompBroker, version: str, ack: str, shown: bool
    ) -> None:
        peer = broker.connect(version)
        subscribe(peer, "/queue/a", ack=ack)
        send(peer, "/queue/a", b"x")
        assert ("ack" in peer.receive().headers) is shown

    def test_the_applications_headers_come_back_receipt_and_all(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a")
        for number in range(3):  # The second and third take the hot path.
            send(peer, "/queue/a", b"x", receipt=f"r{number}", b="2", content_length="1", a="1")
        messages = [frame for frame in peer.receive_all() if frame.command == "MESSAGE"]
        own = [list(frame.headers.items())[4:-1] for frame in messages]
        assert own == [[("receipt", f"r{n}"), ("b", "2"), ("a", "1")] for n in range(3)]

    def test_octets_that_are_no_text_come_through(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a")
        peer.send(b"SEND\ndestination:/queue/a\nx:\xff\n\n\xfe\0")
        octets = peer.octets()
        assert b"\nx:\xff\n" in octets
        assert octets.endswith(b"\n\xfe\0\n")

    def test_version_1_0_trims_values(self, broker: StompBroker) -> None:
        peer = broker.connect("1.0")
        peer.frame("SUBSCRIBE", destination=" /queue/a", id=" 0")
        for _ in range(2):
            peer.frame("SEND", b"x", destination=" /queue/a", own="  v")
        for message in peer.receive_all():
            assert message.headers["subscription"] == "0"
            assert message.headers["own"] == "v"

    def test_version_1_1_does_not_trim(self, broker: StompBroker) -> None:
        peer = broker.connect("1.1")
        subscribe(peer, "/queue/a")
        send(peer, "/queue/a", b"x", own="  v")
        assert peer.receive().headers["own"] == "  v"

    def test_a_message_of_another_language(self, broker: StompBroker) -> None:
        """A header that AMQP might have made is translated when it is read here."""

        class OtherLanguage:
            number = 1
            name = "other"

            def parse_stored(self, stored: bytes) -> Message:
                raise NotImplementedError

            def decode_properties(self, raw: bytes) -> Properties:
                return Properties(
                    content_type="a/b",
                    headers={"n": 7, "ok": True, "s": "t:u", "x-death": [{}]},
                    persistent=False,
                    reply_to="amq.gen-1",
                    timestamp=5,
                )

        queue = broker.virtual_host.declare_queue(QueueDeclaration("a", durable=True))
        broker.virtual_host.bind(QueueBinding("a", "amq.direct", "k/1"))
        header = Header(OtherLanguage(), b"raw", False)
        route = broker.virtual_host.route("amq.direct", "k/1", header)
        message = (Envelope("amq.direct", "k/1"), header, b"body")
        broker.virtual_host.intake.publish([(route, message, b"stored")])
        assert queue.ready_count == 1
        peer = broker.connect()
        subscribe(peer, "/amq/queue/a")
        frame = peer.receive()
        headers = dict(frame.headers)
        del headers["message-id"]
        assert headers == {
            "subscription": "0",
            "destination": "/exchange/amq.direct/k%2F1",
            "redelivered": "false",
            "n": "7",
            "s": "t:u",
            "persistent": "1",
            "reply-to": "/reply-queue/amq.gen-1",
            "timestamp": "5",
            "content-type": "a/b",
            "content-length": "4",
        }
        assert frame.body == b"body"


class TestDestinations:
    def test_a_queue_is_declared_at_first_use_and_kept(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/queue/a%2Fb", b"1", b"2")
        send(peer, "bare", b"3")
        queue = broker.virtual_host.queues["a/b"]
        assert (queue.durable, queue.exclusive, queue.auto_delete) == (True, False, False)
        assert queue.ready_count == 2
        assert broker.virtual_host.queues["bare"].ready_count == 1
        subscribe(broker.connect(), "/queue/bare")
        peer.lose()
        assert broker.virtual_host.queues["a/b"].ready_count == 2

    def test_arguments_and_options_come_from_the_headers(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame(
            "SUBSCRIBE",
            destination="/queue/a",
            id="1",
            durable="false",
            exclusive="False",
            auto_delete="true",
            x_message_ttl="60000",
            x_max_length=" 5 ",
            x_dead_letter_exchange="dlx",
            x_overflow="drop-head",
        )
        queue = broker.virtual_host.queues["a"]
        assert (queue.durable, queue.exclusive, queue.auto_delete) == (False, False, True)
        assert queue.arguments == {
            "x-dead-letter-exchange": "dlx",
            "x-message-ttl": 60_000,
            "x-max-length": 5,
        }

    def test_a_private_queue(self, broker: StompBroker) -> None:
        """Not durable, and nothing else said: exclusive and deleted with its consumer."""
        peer = broker.connect()
        subscribe(peer, "/queue/a", durable="false")
        queue = broker.virtual_host.queues["a"]
        assert (queue.durable, queue.exclusive, queue.auto_delete) == (False, True, True)
        other = broker.connect()
        send(other, "/queue/a", b"x")
        assert other.receive().headers["message"] == "resource_locked"
        assert other.hung_up

    def test_persistent_false_speaks_of_the_message_only(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/queue/a", b"x", persistent="false")
        assert broker.virtual_host.queues["a"].durable

    @pytest.mark.parametrize("name", ["durable", "exclusive", "auto-delete", "x-message-ttl"])
    def test_an_option_that_is_none_is_refused(self, broker: StompBroker, name: str) -> None:
        peer = broker.connect()
        peer.frame("SUBSCRIBE", destination="/queue/a", id="0", **{name: "maybe"})
        assert peer.octets() == error("Processing error", "Processing error")

    def test_a_topic_reaches_those_who_match(self, broker: StompBroker) -> None:
        one, two, publisher = broker.connect(), broker.connect(), broker.connect()
        subscribe(one, "/topic/a.*")
        subscribe(two, "/topic/#")
        send(publisher, "/topic/a.b", b"1")
        send(publisher, "/topic/a.b.c", b"2")
        assert one.bodies() == [b"1"]
        message = two.receive()
        assert message.headers["destination"] == "/topic/a.b"
        assert two.bodies() == [b"2"]

    def test_a_topics_queue_goes_with_its_subscription(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/topic/a")
        (queue,) = broker.virtual_host.queues.values()
        assert queue.name.startswith("stomp-subscription-")
        assert len(queue.name) == len("stomp-subscription-") + 22
        assert (queue.durable, queue.exclusive, queue.auto_delete) == (False, False, True)
        peer.frame("UNSUBSCRIBE", id="0")
        assert not broker.virtual_host.queues

    def test_an_exchanges_queue_is_the_connections_own(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/exchange/amq.direct/k")
        (queue,) = broker.virtual_host.queues.values()
        assert (queue.durable, queue.exclusive, queue.auto_delete) == (False, True, True)
        send(peer, "/exchange/amq.direct/k", b"1")
        send(peer, "/exchange/amq.direct/other", b"2")
        assert peer.bodies() == [b"1"]
        peer.lose()
        assert not broker.virtual_host.queues

    def test_a_queue_name_can_be_asked_for(self, broker: StompBroker) -> None:
        subscribe(broker.connect(), "/topic/a", x_queue_name="mine")
        assert list(broker.virtual_host.queues) == ["mine"]

    def test_a_durable_topic_subscription_collects_while_its_owner_is_away(
        self, broker: StompBroker
    ) -> None:
        options = {"durable": "true", "auto_delete": "false"}
        peer = broker.connect()
        subscribe(peer, "/topic/a", "mine", **options)
        (name,) = broker.virtual_host.queues
        peer.frame("DISCONNECT")
        send(broker.connect(), "/topic/a", b"1")
        peer = broker.connect()
        subscribe(peer, "/topic/a", "mine", **options)
        assert list(broker.virtual_host.queues) == [name]
        assert peer.bodies() == [b"1"]
        peer.frame("UNSUBSCRIBE", id="mine", durable="true")
        assert not broker.virtual_host.queues

    def test_a_durable_subscription_needs_an_id(self, broker: StompBroker) -> None:
        expected = error("Missing Header", "Header 'id' is required for durable subscriptions")
        peer = broker.connect()
        for name in ("durable", "persistent"):
            subscribe(peer, "/topic/a", None, **{name: "true"})
            assert peer.octets() == expected
        peer.frame("UNSUBSCRIBE", destination="/topic/a", durable="true")
        assert peer.octets() == expected

    def test_amq_queue_must_exist_to_be_read(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/amq/queue/a", b"dropped")
        assert not broker.virtual_host.queues
        subscribe(peer, "/amq/queue/a")
        assert peer.octets() == error("not_found", "NOT_FOUND - no queue 'a' in vhost '/'")
        assert peer.hung_up

    @pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE"])
    def test_an_exchange_must_exist(self, broker: StompBroker, command: str) -> None:
        peer = broker.connect()
        peer.frame(command, destination="/exchange/x/k", id="0", receipt="r")
        assert peer.octets() == error("not_found", "NOT_FOUND - no exchange 'x' in vhost '/'")
        assert peer.hung_up
        assert not broker.virtual_host.queues

    @pytest.mark.parametrize(
        ("command", "destination"),
        [
            ("SEND", "/temp-queue/x"),
            ("SUBSCRIBE", "/temp-queue/x"),
            ("SUBSCRIBE", "/reply-queue/x"),
        ],
    )
    def test_not_valid_for_this_command(
        self, broker: StompBroker, command: str, destination: str
    ) -> None:
        peer = broker.connect()
        peer.frame(command, destination=destination, id="0")
        detail = f"'{destination}' is not a valid destination for '{command}'\n"
        assert peer.octets() == error("Invalid destination", detail)
        assert not peer.hung_up

    @pytest.mark.parametrize("command", ["SEND", "SUBSCRIBE"])
    def test_a_destination_must_be_given(self, broker: StompBroker, command: str) -> None:
        peer = broker.connect()
        peer.frame(command, receipt="r")
        detail = f"\"{command}\" must include a 'destination' header\n"
        assert peer.octets() == error("Missing destination", detail)
        assert not peer.hung_up

    def test_a_mismatch_of_declarations_closes(self, broker: StompBroker) -> None:
        broker.virtual_host.declare_queue(QueueDeclaration("a", durable=True))
        peer = broker.connect()
        send(peer, "/queue/a", b"x", x_message_ttl="5")
        frame = peer.receive()
        assert frame.headers["message"] == "precondition_failed"
        assert frame.body.startswith(b"PRECONDITION_FAILED - inequivalent arg 'x-message-ttl'")
        assert peer.hung_up


class TestReplies:
    def test_a_temporary_queue_answers_a_request(self, broker: StompBroker) -> None:
        client, server = broker.connect(), broker.connect()
        subscribe(server, "/queue/rpc")
        for number in (b"1", b"2"):
            send(client, "/queue/rpc", number, reply_to="/temp-queue/mine")
            reply_to = server.receive().headers["reply-to"]
            assert reply_to.startswith("/reply-queue/amq.gen-")
            send(server, reply_to, b"re:" + number)
            reply = client.receive()
            assert reply.headers["subscription"] == "/temp-queue/mine"
            assert reply.headers["message-id"].startswith("T_/temp-queue/mine@@")
            assert reply.body == b"re:" + number
        assert len(broker.virtual_host.queues) == 2
        client.lose()
        assert list(broker.virtual_host.queues) == ["rpc"]

    def test_it_cannot_be_cancelled_or_taken(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame("UNSUBSCRIBE", id="/temp-queue/mine")
        detail = "UNSUBSCRIBE 'id' may not start with /temp-queue/\n"
        assert peer.octets() == error("Invalid id", detail)
        subscribe(peer, "/queue/a", "/temp-queue/mine")
        assert peer.octets() == error("Processing error", "Processing error")

    def test_the_real_name_is_what_is_stored(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/queue/a", b"x", reply_to="/temp-queue/mine", persistent="true")
        ((_, message),) = broker.virtual_host.queues["a"].read(0, 1)
        assert b"reply-to:amq.gen-" in message[1].raw


class TestReceipts:
    def test_every_frame_may_ask_for_one(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", receipt="1", ack="client")
        send(peer, "/queue/a", b"x", receipt="2")
        peer.frame("BEGIN", transaction="t", receipt="3")
        peer.frame("ABORT", transaction="t", receipt="4")
        peer.frame("UNSUBSCRIBE", id="0", receipt="5")
        frames = peer.receive_all()
        ids = [frame.headers["receipt-id"] for frame in frames if frame.command == "RECEIPT"]
        assert ids == ["1", "2", "3", "4", "5"]

    def test_a_send_is_confirmed_when_it_is_stored(self, broker: StompBroker) -> None:
        peer = broker.connect()
        broker.disk.held = True
        send(peer, "/queue/a", b"1", persistent="true", receipt="1")
        send(peer, "/queue/a", b"2", receipt="2")  # Needs no disk, but may not overtake.
        peer.frame("BEGIN", transaction="t", receipt="3")
        assert peer.octets() == b"RECEIPT\nreceipt-id:3\n\n\0\n"
        broker.disk.release()
        assert peer.octets() == b"RECEIPT\nreceipt-id:1\n\n\0\nRECEIPT\nreceipt-id:2\n\n\0\n"

    def test_what_goes_nowhere_is_confirmed(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/topic/nobody", b"x", receipt="1")
        assert peer.octets() == b"RECEIPT\nreceipt-id:1\n\n\0\n"

    def test_a_connection_that_is_gone_gets_none(self, broker: StompBroker) -> None:
        peer = broker.connect()
        broker.disk.held = True
        send(peer, "/queue/a", b"1", persistent="true", receipt="1")
        peer.lose()
        broker.disk.release()
        assert peer.octets() == b""

    def test_a_refused_frame_gets_none(self, broker: StompBroker) -> None:
        peer = broker.connect()
        send(peer, "/queue/a", b"x", receipt="1", message_id="2")
        detail = "'message-id' is not allowed on 'SEND'.\n"
        assert peer.octets() == error("Invalid header", detail)


def test_user_id_must_be_ones_own(broker: StompBroker) -> None:
    peer = broker.connect()
    send(peer, "/queue/a", b"x", user_id="guest")
    assert peer.octets() == b""
    send(peer, "/queue/a", b"x", user_id="root")
    detail = (
        "PRECONDITION_FAILED - user_id property set to 'root' but authenticated user was 'guest'"
    )
    assert peer.octets() == error("precondition_failed", detail)
    assert peer.hung_up


def test_messages_survive_a_restart(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path)
    peer = broker.connect("1.0")
    send(peer, "/queue/a", b"gone")
    send(peer, "/queue/a", b"kept\0", persistent="true", own=" x\\cy", content_length="5")
    broker.stop()
    broker = StompBroker(tmp_path)
    peer = broker.connect()
    subscribe(peer, "/queue/a")
    (frame,) = peer.receive_all()
    assert frame.body == b"kept\0"
    assert frame.headers["own"] == "x:y"
    assert frame.headers["persistent"] == "true"
    broker.stop()


def test_an_impersonator_may_be_anybody(broker: StompBroker) -> None:
    broker.gateway.users.put("guest", password="guest", tags=["impersonator"])
    peer = broker.connect()
    send(peer, "/queue/a", b"x", user_id="root")
    assert peer.octets() == b""
