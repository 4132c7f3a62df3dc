"""pika's Twisted adapter: the same with Deferreds."""

from __future__ import annotations

import sys
from collections.abc import Generator
from typing import Any

import pika
from pika.adapters.twisted_connection import TwistedProtocolConnection
from twisted.internet import reactor
from twisted.internet.defer import inlineCallbacks
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.task import react

COUNT = 50


@inlineCallbacks
def main(reactor: Any, port: str) -> Generator[Any, Any, None]:
    endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", int(port))
    connection = yield connectProtocol(
        endpoint, TwistedProtocolConnection(pika.ConnectionParameters())
    )
    yield connection.ready
    channel = yield connection.channel()
    yield channel.queue_declare("twisted", durable=True)
    yield channel.basic_qos(prefetch_count=5)
    messages, _tag = yield channel.basic_consume("twisted")
    for number in range(COUNT):
        yield channel.basic_publish("", "twisted", b"%d" % number)
    consumed = []
    for _ in range(COUNT):
        _channel, method, _properties, body = yield messages.get()
        consumed.append(int(body))
        yield channel.basic_ack(method.delivery_tag)
    assert consumed == list(range(COUNT))
    print("ok")
    yield connection.close()


react(main, sys.argv[1:2], _reactor=reactor)
