"""Permissions and the registry of connections, as a STOMP client meets them."""

import pytest

from gateway.security.permissions import Permission
from tests.support.stomp_peer import Peer, StompBroker


@pytest.fixture
def ada(broker: StompBroker) -> Peer:
    broker.gateway.users.put("ada", password="lovelace")
    grant(broker, "^q$", r"^amq\.default$", "")
    return broker.connect(login="ada", passcode="lovelace")


def grant(broker: StompBroker, configure: str, write: str, read: str) -> None:
    broker.gateway.permissions.put(Permission("ada", "/", configure, write, read))


def refusal(peer: Peer) -> str:
    frame = peer.receive()
    assert frame.command == "ERROR"
    return frame.body.decode()


def test_sending_and_not_subscribing(broker: StompBroker, ada: Peer) -> None:
    ada.frame("SEND", b"1", destination="/queue/q")
    assert broker.virtual_host.queues["q"].ready_count == 1
    ada.frame("SUBSCRIBE", destination="/queue/q", id="0")
    assert "read access to queue 'q' in vhost '/' refused for user 'ada'" in refusal(ada)
    assert not broker.virtual_host.queues["q"].is_consumed


def test_permissions_that_go_while_routes_are_known(broker: StompBroker, ada: Peer) -> None:
    ada.frame("SEND", b"1", destination="/queue/q")
    ada.frame("SEND", b"2", destination="/queue/q")
    grant(broker, "^q$", "", "")
    ada.frame("SEND", b"3", destination="/queue/q")
    assert "write access to exchange 'amq.default' in vhost '/' refused" in refusal(ada)
    assert broker.virtual_host.queues["q"].ready_count == 2


def test_no_permission_at_all(broker: StompBroker) -> None:
    broker.gateway.users.put("ada", password="lovelace")
    peer = broker.peer()
    peer.frame("CONNECT", accept_version="1.2", login="ada", passcode="lovelace")
    assert refusal(peer) == "Virtual host '/' access denied"


def test_who_is_connected(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/queue/q", id="0", ack="client", x_priority="3")
    (entry,) = broker.gateway.connections
    assert (entry.user, entry.virtual_host) == ("guest", "/")
    facts = entry.connection.facts()
    assert facts.protocol == "STOMP 1.2"
    assert (facts.ends.peer_host, facts.ends.peer_port) == ("127.0.0.1", 40_000)
    (channel,) = entry.connection.channel_facts()
    (consumer,) = channel.consumers
    assert (consumer.tag, consumer.queue, consumer.no_ack) == ("T_0", "q", False)
    assert consumer.arguments == {"x-priority": 3}
    entry.connection.force_close("enough")
    broker.gateway.turn.end()
    assert refusal(peer) == "CONNECTION_FORCED - enough"
    assert not list(broker.gateway.connections)
