"""Orders over STOMP with stomp.py: `stomp_orders.py send` or `stomp_orders.py receive`."""

import json
import queue
import sys

import stomp


class Inbox(stomp.ConnectionListener):
    """Hands frames from stomp.py's thread to ours."""

    def __init__(self):
        self.messages = queue.SimpleQueue()
        self.receipts = queue.SimpleQueue()

    def on_message(self, frame):
        self.messages.put(frame)

    def on_receipt(self, frame):
        self.receipts.put(frame)


def send(connection, inbox):
    for number in range(1, 4):
        connection.send(
            "/queue/orders",
            json.dumps({"order": number}),
            content_type="application/json",
            headers={
                "persistent": "true",
                "correlation-id": f"stomp-{number}",
                "customer": "Ada",
                "receipt": f"order-{number}",
            },
        )
        inbox.receipts.get(timeout=10)  # The order is on the disk.
        print(f"sent order {number}")


def receive(connection, inbox):
    connection.subscribe(
        "/queue/orders", id="1", ack="client-individual", headers={"prefetch-count": "10"}
    )
    while True:
        try:
            frame = inbox.messages.get(timeout=2)
        except queue.Empty:
            break
        headers = frame.headers
        print(json.loads(frame.body), headers.get("correlation-id"), headers.get("customer"))
        connection.ack(headers["ack"])


action = {("send",): send, ("receive",): receive}.get(tuple(sys.argv[1:]))
if action is None:
    sys.exit(__doc__)
inbox = Inbox()
connection = stomp.Connection12([("127.0.0.1", 61613)], vhost="/")
connection.set_listener("inbox", inbox)
connection.connect("guest", "guest", wait=True)
action(connection, inbox)
connection.disconnect()
