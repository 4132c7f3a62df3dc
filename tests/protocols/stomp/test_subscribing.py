"""What SUBSCRIBE and UNSUBSCRIBE do, and are answered."""

from protocols.stomp.config import StompConfig
from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import StompBroker, send, subscribe


class TestSubscriptions:
    def test_the_same_id_twice_closes(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", "1")
        subscribe(peer, "/queue/b", "1")
        assert peer.octets() == error(
            "Duplicated subscription identifier",
            "A subscription identified by 'T_1' already exists.",
        )
        assert peer.hung_up
        assert broker.virtual_host.queues["a"].consumer_count == 0

    def test_an_unknown_ack_mode_is_refused(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", ack="sometimes")
        assert peer.octets() == error("Processing error", "Processing error")
        assert not peer.hung_up

    def test_unsubscribe_by_id_or_destination(self, broker: StompBroker) -> None:
        peer = broker.connect("1.0")
        subscribe(peer, "/queue/a", "1")
        subscribe(peer, "/queue/b", None)
        peer.frame("UNSUBSCRIBE", id="1")
        peer.frame("UNSUBSCRIBE", destination="/queue/b")
        send(peer, "/queue/a", b"x")
        send(peer, "/queue/b", b"x")
        assert peer.octets() == b""

    def test_unsubscribe_what_is_not_there(self, broker: StompBroker) -> None:
        peer = broker.connect()
        text = "UNSUBSCRIBE must refer to an existing subscription.\nSubscription to "
        peer.frame("UNSUBSCRIBE", id="9")
        assert peer.octets() == error("No subscription found", text + "\"id='9'\" not found.\n")
        peer.frame("UNSUBSCRIBE", destination="/queue/x")
        assert peer.octets() == error(
            "No subscription found", text + "\"destination='/queue/x'\" not found.\n"
        )
        peer.frame("UNSUBSCRIBE")
        detail = "UNSUBSCRIBE must include a 'destination' or 'id' header"
        assert peer.octets() == error("Missing destination or id", detail)
        assert not peer.hung_up

    def test_a_deleted_queue_cancels(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/a", "7", ack="client")
        send(peer, "/queue/a", b"x")
        message = peer.receive()
        broker.virtual_host.delete_queue("a")
        broker.gateway.turn.end()
        assert peer.octets() == error(
            "Server cancelled subscription",
            "The server has canceled a subscription.\n"
            "No more messages will be delivered for \"id='7'\".\n",
            "subscription:7\n",
        )
        peer.frame("ACK", id=message.headers["ack"], receipt="r")
        assert peer.receive().command == "RECEIPT"
        subscribe(peer, "/queue/a", "7")  # Declares it again.
        send(peer, "/queue/a", b"y")
        assert peer.bodies() == [b"y"]

    def test_prefetch_count_stays_for_later_subscriptions(self, broker: StompBroker) -> None:
        peer = broker.connect()
        for name in ("a", "b"):
            send(peer, f"/queue/{name}", b"1", b"2", b"3")
        subscribe(peer, "/queue/a", "a", ack="client", prefetch_count="2")
        assert peer.bodies() == [b"1", b"2"]
        subscribe(peer, "/queue/b", "b", ack="client-individual")
        messages = peer.receive_all()
        assert [message.body for message in messages] == [b"1", b"2"]
        peer.frame("ACK", id=messages[1].headers["ack"])
        assert peer.bodies() == [b"3"]

    def test_a_peer_that_does_not_read_gets_nothing_more(self, broker: StompBroker) -> None:
        peer, publisher = broker.connect(), broker.connect()
        subscribe(peer, "/queue/a")
        peer.protocol.pauseProducing()
        send(publisher, "/queue/a", b"1", b"2")
        assert peer.octets() == b""
        assert broker.virtual_host.queues["a"].ready_count == 2
        peer.protocol.resumeProducing()
        assert peer.bodies() == [b"1", b"2"]

    def test_output_is_bounded_but_goes_on(self, broker: StompBroker) -> None:
        publisher = broker.connect()
        body = b"x" * 10_000
        send(publisher, "/queue/a", *[body] * 200)
        peer = broker.connect()
        sizes: list[int] = []
        connection = peer.protocol._connection
        assert connection is not None
        take = connection.data_to_send

        def recording_take() -> bytes:
            octets: bytes = take()
            sizes.append(len(octets))
            return octets

        connection.data_to_send = recording_take  # type: ignore[method-assign]
        subscribe(peer, "/queue/a")
        assert peer.bodies() == [body] * 200
        assert max(sizes) < 2 * StompConfig().max_output_size
