"""The circle rule, and dead letters of a message that came in another language."""

from __future__ import annotations

from pathlib import Path

from twisted.internet.task import Clock

from gateway.declarations import QueueDeclaration
from gateway.gateway import Gateway
from gateway.messages import Envelope, Message
from gateway.queues.dead_letters import EXPIRED, MAXLEN, REJECTED
from gateway.queues.queue import Queue
from protocols.amqp.language import AmqpLanguage
from protocols.stomp.language import STOMP
from tests.support.disk import HeldDisk


def make_gateway(folder: Path) -> Gateway:
    gateway = Gateway(folder, Clock(), HeldDisk().run)
    gateway.add_language(STOMP)
    gateway.add_language(AmqpLanguage())
    gateway.start()
    return gateway


def declare(gateway: Gateway, name: str, target: str) -> Queue:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": target}
    return gateway.default_virtual_host.declare_queue(QueueDeclaration(name, arguments=arguments))


def publish(gateway: Gateway, key: str) -> None:
    host = gateway.default_virtual_host
    header = STOMP.make_header(b"color:red\npriority:3\n", {})
    message: Message = (Envelope("", key), header, b"body")
    host.intake.publish([(host.route("", key, header), message, header.raw + b"\nbody")])


def die(queue: Queue, reason: str) -> None:
    queue.bury([(each.offset, [each.message], False) for each in queue.take(10)], reason)


def test_a_circle_without_a_rejection_ends(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    a, b = declare(gateway, "a", "b"), declare(gateway, "b", "a")
    publish(gateway, "a")
    die(a, EXPIRED)
    assert b.ready_count == 1
    die(b, MAXLEN)
    assert (a.ready_count, b.ready_count, b.unsettled_count) == (0, 0, 0)


def test_a_rejection_opens_the_circle(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    a, b = declare(gateway, "a", "b"), declare(gateway, "b", "a")
    publish(gateway, "a")
    for queue, reason in ((a, REJECTED), (b, EXPIRED), (a, EXPIRED)):
        die(queue, reason)
    assert b.ready_count == 0, "since the rejection it was in b and died there of itself"
    publish(gateway, "a")
    for queue, reason in ((a, EXPIRED), (b, REJECTED), (a, EXPIRED)):
        die(queue, reason)
    assert b.ready_count == 1


def test_a_stomp_message_dies_in_amqp(tmp_path: Path) -> None:
    gateway = make_gateway(tmp_path)
    queue, dead = declare(gateway, "a", "dead"), declare(gateway, "dead", "nowhere")
    publish(gateway, "a")
    die(queue, REJECTED)
    ((envelope, header, body),) = [each.message for each in dead.take(1)]
    assert (envelope.exchange, envelope.routing_key, body) == ("", "dead", b"body")
    assert header.language.name == "amqp"
    properties = header.properties
    assert properties.priority == 3
    assert properties.headers["color"] == "red"
    assert properties.headers["x-first-death-queue"] == "a"
