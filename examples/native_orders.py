"""Orders over RocketMQ's protocol with our SDK: `native_orders.py send` or `... receive`."""

import json
import sys

import rosettamq

NAME_SERVER = "127.0.0.1:9876"


def send():
    with rosettamq.Producer("shop", name_server=NAME_SERVER) as producer:
        for number in range(1, 4):
            producer.send(  # Returns when the order is on the disk.
                rosettamq.Message(
                    "orders",
                    json.dumps({"order": number}).encode(),
                    tag="created",
                    keys=[str(number)],
                    properties={"content-type": "application/json", "customer": "Ada"},
                )
            )
            print(f"sent order {number}")


def receive():
    # The group of the queue's name shares the queue with its AMQP and STOMP consumers. Any other
    # group would read the topic on its own, without taking anything from them.
    with rosettamq.SimpleConsumer(
        "orders", name_server=NAME_SERVER, subscriptions={"orders": "*"}
    ) as consumer:
        while messages := consumer.receive(max_messages=16, invisible_s=30, wait_s=2):
            for message in messages:
                print(json.loads(message.body), message.tag, message.properties.get("customer"))
                consumer.ack(message)


action = {("send",): send, ("receive",): receive}.get(tuple(sys.argv[1:]))
if action is None:
    sys.exit(__doc__)
action()
