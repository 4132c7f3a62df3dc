"""What the differential tests found in RabbitMQ's plugin, one by one."""

from __future__ import annotations

import pytest

from tests.protocols.stomp.test_connection import error
from tests.support.stomp_peer import StompBroker

PROCESSING_ERROR = error("Processing error", "Processing error")


@pytest.mark.parametrize("reply_to", ["", "/strange/x", "/temp-queue/a/b", "/queue/"])
def test_a_reply_to_must_be_a_destination(broker: StompBroker, reply_to: str) -> None:
    peer = broker.connect()
    peer.frame("SEND", destination="/topic/a", reply_to=reply_to, receipt="r")
    assert peer.octets() == PROCESSING_ERROR
    assert not peer.hung_up


def test_arguments_of_a_queue_are_read_whatever_they_are_for(broker: StompBroker) -> None:
    peer = broker.connect()
    for _ in range(2):  # The second time the destination is known.
        peer.frame("SEND", destination="/exchange/amq.topic/a", x_message_ttl="x")
        assert peer.octets() == PROCESSING_ERROR
        peer.frame("SEND", destination="/exchange/amq.topic/a")
        assert peer.octets() == b""


def test_a_bad_argument_is_seen_before_a_used_id(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/topic/a", id="1")
    peer.frame("SUBSCRIBE", destination="/topic/a", id="1", x_expires="x")
    assert peer.octets() == PROCESSING_ERROR
    assert not peer.hung_up


def test_a_prefetch_count_may_be_larger_than_amqp_can_say(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/queue/a", id="1", ack="client", prefetch_count="70000")
    peer.frame("SEND", b"m", destination="/queue/a")
    assert peer.bodies() == [b"m"]


@pytest.mark.parametrize(
    "header", [b"x-queue-name:\xff", b"x-dead-letter-exchange:\xff", b"x-queue-name:" + b"x" * 256]
)
def test_a_name_that_others_cannot_read(broker: StompBroker, header: bytes) -> None:
    peer = broker.connect()
    peer.send(b"SUBSCRIBE\ndestination:/topic/a\nid:1\ndurable:true\n%b\n\n\0" % header)
    assert peer.octets() == PROCESSING_ERROR
    assert not peer.hung_up


def test_a_destination_is_looked_at_before_an_id(broker: StompBroker) -> None:
    peer = broker.connect()
    peer.frame("SUBSCRIBE", destination="/temp-queue/t", id="/temp-queue/x")
    detail = "'/temp-queue/t' is not a valid destination for 'SUBSCRIBE'\n"
    assert peer.octets() == error("Invalid destination", detail)
