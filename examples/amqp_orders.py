"""Orders over AMQP 0-9-1 with pika: `amqp_orders.py send` or `amqp_orders.py receive`."""

import json
import sys

import pika

PERSISTENT = 2


def send(channel):
    channel.confirm_delivery()  # basic_publish then returns when the order is on the disk.
    for number in range(1, 4):
        channel.basic_publish(
            exchange="",
            routing_key="orders",
            body=json.dumps({"order": number}),
            properties=pika.BasicProperties(
                content_type="application/json",
                delivery_mode=PERSISTENT,
                correlation_id=f"amqp-{number}",
                headers={"customer": "Ada"},
            ),
            mandatory=True,
        )
        print(f"sent order {number}")


def receive(channel):
    channel.basic_qos(prefetch_count=10)
    for method, properties, body in channel.consume("orders", inactivity_timeout=2):
        if method is None:
            break
        print(json.loads(body), properties.correlation_id, properties.headers)
        channel.basic_ack(method.delivery_tag)


action = {("send",): send, ("receive",): receive}.get(tuple(sys.argv[1:]))
if action is None:
    sys.exit(__doc__)
with pika.BlockingConnection(pika.ConnectionParameters("127.0.0.1", 5672)) as connection:
    channel = connection.channel()
    channel.queue_declare("orders", durable=True)
    action(channel)
