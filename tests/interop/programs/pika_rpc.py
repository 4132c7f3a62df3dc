"""pika's direct reply-to: a client and a server of remote calls, without a queue for replies."""

from __future__ import annotations

import sys
from typing import Any

import pika
from pika.exceptions import ChannelClosedByBroker

REPLY_TO = "amq.rabbitmq.reply-to"
COUNT = 20

parameters = pika.ConnectionParameters("127.0.0.1", int(sys.argv[1]))
client_connection = pika.BlockingConnection(parameters)
server_connection = pika.BlockingConnection(parameters)
client = client_connection.channel()
server = server_connection.channel()
server.queue_declare("rpc")
replies: dict[str, bytes] = {}
names = set()


def on_request(channel: Any, method: Any, properties: Any, body: bytes) -> None:
    names.add(properties.reply_to)
    channel.queue_declare(properties.reply_to, passive=True)
    answer = pika.BasicProperties(correlation_id=properties.correlation_id)
    channel.basic_publish("", properties.reply_to, b"%d" % int(body) ** 2, answer)
    channel.basic_ack(method.delivery_tag)


def on_reply(_channel: Any, _method: Any, properties: Any, body: bytes) -> None:
    replies[properties.correlation_id] = body


server.basic_consume("rpc", on_request)
client.basic_consume(REPLY_TO, on_reply, auto_ack=True)
for number in range(COUNT):
    request = pika.BasicProperties(reply_to=REPLY_TO, correlation_id=str(number))
    client.basic_publish("", "rpc", b"%d" % number, request)
while len(replies) < COUNT:
    server_connection.process_data_events(0.05)
    client_connection.process_data_events(0.05)
assert replies == {str(number): b"%d" % number**2 for number in range(COUNT)}

(name,) = names
client_connection.close()
code = 0
try:
    server.queue_declare(name, passive=True)
except ChannelClosedByBroker as error:
    code = error.reply_code
assert code == 404, "the requester is gone, but still there"
server_connection.close()
print("ok")
