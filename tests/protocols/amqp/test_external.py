"""SASL EXTERNAL: a login by certificate; and who may be guest, from where."""

import pytest

from protocols.amqp.codec import PROTOCOL_HEADER
from tests.support.amqp_peer import AmqpBroker, AmqpPeer, start_ok_frame

CLOSES = ("authentication_failure_close",)


def started(
    broker: AmqpBroker, host: str = "127.0.0.1", certificate_user: str | None = None
) -> tuple[AmqpPeer, list[bytes]]:
    """A peer, and the mechanisms that it is offered."""
    peer = broker.peer(host, certificate_user)
    peer.send(PROTOCOL_HEADER)
    return peer, peer.receive().command.mechanisms.split()


def test_a_user_known_by_certificate_needs_no_password(broker: AmqpBroker) -> None:
    peer, mechanisms = started(broker, certificate_user="guest")
    assert mechanisms == [b"PLAIN", b"AMQPLAIN", b"EXTERNAL"]
    peer.send(start_ok_frame(b"", "EXTERNAL"))
    assert peer.receive().name == "Connection.Tune"
    assert peer.connection.client.user == "guest"


def test_a_password_still_does(broker: AmqpBroker) -> None:
    peer, _mechanisms = started(broker, certificate_user="CN=nobody")
    peer.send(start_ok_frame(b"\0guest\0guest"))
    assert peer.receive().name == "Connection.Tune"


@pytest.mark.parametrize(
    ("host", "user"),
    [
        ("127.0.0.1", "CN=nobody"),
        ("127.0.0.1", ""),
        ("203.0.113.9", "guest"),  # guest is at home here only, whatever it shows.
    ],
)
def test_others_are_refused(broker: AmqpBroker, host: str, user: str) -> None:
    peer, _mechanisms = started(broker, host, user)
    peer.send(start_ok_frame(b"guest", "EXTERNAL", CLOSES))
    _name, code, text = peer.receive().failure
    assert code == 403
    assert "authentication mechanism EXTERNAL" in text


def test_without_a_certificate_it_is_no_mechanism(broker: AmqpBroker) -> None:
    peer, mechanisms = started(broker)
    assert mechanisms == [b"PLAIN", b"AMQPLAIN"]
    peer.send(start_ok_frame(b"guest", "EXTERNAL", CLOSES))
    assert peer.receive_all() == []
    broker.clock.advance(3)
    assert peer.hung_up


@pytest.mark.parametrize("host", ["203.0.113.9", ""])
def test_guest_does_not_come_from_an_announced_elsewhere(broker: AmqpBroker, host: str) -> None:
    peer, _mechanisms = started(broker, host)
    peer.send(start_ok_frame(b"\0guest\0guest", capabilities=CLOSES))
    assert peer.receive().failure[1] == 403
