"""What BEGIN, COMMIT and ABORT do, and are answered."""

from pathlib import Path

import pytest

from gateway.declarations import ExchangeDeclaration
from protocols.stomp.config import StompConfig
from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import StompBroker, send, subscribe


class TestTransactions:
    def test_nothing_happens_before_commit(self, broker: StompBroker) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/in", ack="client")
        send(peer, "/queue/in", b"request")
        ack = peer.receive().headers["ack"]
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/out", b"1", b"2", transaction="t")
        peer.frame("ACK", id=ack, transaction="t")
        queues = broker.virtual_host.queues
        assert (queues["out"].ready_count, queues["in"].unsettled_count) == (0, 1)
        peer.frame("COMMIT", transaction="t")
        assert (queues["out"].ready_count, queues["in"].unsettled_count) == (2, 0)
        assert peer.octets() == b""

    def test_abort_forgets(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t", receipt="1")
        peer.frame("ABORT", transaction="t", receipt="2")
        assert peer.octets() == b"RECEIPT\nreceipt-id:2\n\n\0\n"
        assert broker.virtual_host.queues["a"].ready_count == 0

    def test_so_does_the_end_of_the_connection(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t")
        peer.lose()
        assert broker.virtual_host.queues["a"].ready_count == 0

    def test_the_receipts_follow_when_all_is_stored(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t", receipt="1", persistent="true")
        assert peer.octets() == b""
        broker.disk.held = True
        peer.frame("COMMIT", transaction="t", receipt="2")
        assert peer.octets() == b""
        broker.disk.release()
        assert peer.octets() == b"RECEIPT\nreceipt-id:1\n\n\0\nRECEIPT\nreceipt-id:2\n\n\0\n"

    def test_beginning_again_begins_anew(self, broker: StompBroker) -> None:
        peer = broker.connect()
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t")
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"2", transaction="t")
        peer.frame("COMMIT", transaction="t", receipt="r")
        subscribe(peer, "/queue/a")
        assert [frame.body for frame in peer.receive_all()] == [b"", b"2"]

    def test_all_or_nothing(self, broker: StompBroker) -> None:
        """What cannot be routed any more at COMMIT takes everything with it."""
        broker.virtual_host.declare_exchange(ExchangeDeclaration("x", "fanout"))
        peer = broker.connect()
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t")
        send(peer, "/exchange/x", b"2", transaction="t")
        broker.virtual_host.delete_exchange("x")
        peer.frame("COMMIT", transaction="t")
        assert peer.octets() == error("not_found", "NOT_FOUND - no exchange 'x' in vhost '/'")
        assert peer.hung_up
        assert broker.virtual_host.queues["a"].ready_count == 0

    def test_an_acknowledgement_that_is_none_takes_everything_with_it(
        self, broker: StompBroker
    ) -> None:
        peer = broker.connect()
        subscribe(peer, "/queue/in")
        peer.frame("BEGIN", transaction="t")
        send(peer, "/queue/a", b"1", transaction="t")
        peer.frame("ACK", id=f"T_0@@{peer.session}@@1", transaction="t")
        peer.frame("COMMIT", transaction="t")
        assert peer.receive().headers["message"] == "precondition_failed"
        assert broker.virtual_host.queues["a"].ready_count == 0

    @pytest.mark.parametrize("command", ["BEGIN", "COMMIT", "ABORT"])
    def test_a_transaction_must_be_named(self, broker: StompBroker, command: str) -> None:
        peer = broker.connect()
        peer.frame(command)
        detail = f"\"{command}\" must include a 'transaction' header\n"
        assert peer.octets() == error("Missing transaction", detail)

    @pytest.mark.parametrize("command", ["COMMIT", "ABORT", "SEND", "ACK", "NACK"])
    def test_an_unknown_transaction_is_refused(self, broker: StompBroker, command: str) -> None:
        peer = broker.connect()
        peer.frame(command, transaction="t", destination="/queue/a", receipt="r")
        detail = 'Invalid transaction identifier: "t"\n'
        assert peer.octets() == error("Bad transaction", detail)
        assert not peer.hung_up

    def test_they_are_bounded(self, broker: StompBroker) -> None:
        peer = broker.connect()
        for number in (*range(16), 0, 16):
            assert not peer.hung_up
            peer.frame("BEGIN", transaction=str(number))
        assert peer.receive().headers["message"] == "Too many transactions"
        assert peer.hung_up


def test_too_large_a_transaction_closes(tmp_path: Path) -> None:
    broker = StompBroker(tmp_path, StompConfig(max_transaction_size=5_000))
    peer = broker.connect()
    peer.frame("BEGIN", transaction="t")
    send(peer, "/queue/a", b"x" * 3_000, transaction="t")
    assert peer.receive().headers["message"] == "Transaction too large"
    assert peer.hung_up
    broker.stop()
