"""pika's transactions: what is committed is there and is gone, what is rolled back is neither."""

from __future__ import annotations

import sys

import pika

connection = pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", int(sys.argv[1])))
outside = connection.channel()
outside.queue_declare("transactions", durable=True)
channel = connection.channel()
channel.tx_select()
persistent = pika.BasicProperties(delivery_mode=2)


def ready_count() -> int:
    return int(outside.queue_declare("transactions", passive=True).method.message_count)


for number in range(10):
    channel.basic_publish("", "transactions", b"%d" % number, persistent)
assert ready_count() == 0
channel.tx_commit()
assert ready_count() == 10

channel.basic_publish("", "transactions", b"never", persistent)
method, _, body = channel.basic_get("transactions")
assert body == b"0"
channel.basic_ack(method.delivery_tag)
channel.tx_rollback()
assert ready_count() == 9

channel.basic_ack(method.delivery_tag)
channel.basic_publish("", "transactions", b"after", persistent)
channel.tx_commit()
assert ready_count() == 10
channel.close()

bodies = [outside.basic_get("transactions", auto_ack=True)[2] for _ in range(10)]
assert bodies == [b"%d" % number for number in range(1, 10)] + [b"after"], bodies
connection.close()
print("ok")
