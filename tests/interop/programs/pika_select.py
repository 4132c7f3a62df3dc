"""pika's SelectConnection: declare, confirms, consume and acknowledge, all by callbacks."""

from __future__ import annotations

import sys
from typing import Any

import pika
from pika.adapters.select_connection import SelectConnection

COUNT = 100


class Program:
    def __init__(self, port: int) -> None:
        self.consumed: list[int] = []
        self.confirmed_count = 0
        self.connection = SelectConnection(
            pika.ConnectionParameters("127.0.0.1", port),
            on_open_callback=lambda connection: connection.channel(on_open_callback=self.on_open),
            on_close_callback=lambda connection, reason: connection.ioloop.stop(),
        )

    def on_open(self, channel: Any) -> None:
        self.channel = channel
        channel.queue_declare("select", durable=True, callback=self.on_declared)

    def on_declared(self, _frame: Any) -> None:
        self.channel.confirm_delivery(self.on_confirm)
        self.channel.basic_qos(prefetch_count=10)
        self.channel.basic_consume("select", self.on_message)
        persistent = pika.BasicProperties(delivery_mode=2)
        for number in range(COUNT):
            self.channel.basic_publish("", "select", b"%d" % number, persistent)

    def on_confirm(self, frame: Any) -> None:
        self.confirmed_count = frame.method.delivery_tag
        self.close_when_done()

    def on_message(self, channel: Any, method: Any, _properties: Any, body: bytes) -> None:
        self.consumed.append(int(body))
        channel.basic_ack(method.delivery_tag)
        self.close_when_done()

    def close_when_done(self) -> None:
        if self.confirmed_count == len(self.consumed) == COUNT:
            self.connection.close()


program = Program(int(sys.argv[1]))
program.connection.ioloop.start()
assert program.consumed == list(range(COUNT))
print("ok")
