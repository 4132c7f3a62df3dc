"""Mutated AMQP conversations against a real gateway: `python -m tests.fuzz.amqp SEED COUNT`.

Whatever comes, no exception leaves a connection, it ends closed or goes on as the protocol says,
what it keeps is bounded, and another connection is not disturbed. A failure prints the seed and the
number of the conversation: the same two find it again.
"""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from pamqp import commands

from gateway.service.peers import Peer
from protocols.amqp.codec import HEARTBEAT_FRAME, PROTOCOL_HEADER, encode_method, encode_properties
from protocols.amqp.config import AmqpConfig
from protocols.amqp.connection import AmqpConnection
from protocols.amqp.front_end import AmqpFrontEnd
from protocols.amqp.language import AmqpLanguage
from protocols.amqp.states import ConnectionState
from tests.fuzz.campaign import BYSTANDER, STILL_HERE, Fuzzer, delete_queues, do_nothing, main
from tests.fuzz.mutation import chunks, mutate
from tests.support.amqp_peer import (
    PERSISTENT,
    AmqpBroker,
    method_frame,
    publish_frames,
    split,
    start_ok_frame,
)

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    RECOVER_ASYNC = commands.Basic.RecoverAsync(requeue=True)

CONFIG = AmqpConfig(
    channel_max=8,
    frame_max=8192,
    heartbeat_s=60,
    handshake_timeout_s=10,
    message_size_max=20_000,
    transactions_size_max=100_000,
    consumer_timeout_ms=0,
)
KEPT_SIZE_MAX = 4 * CONFIG.frame_max
OPENING = [
    PROTOCOL_HEADER,
    start_ok_frame(b"\0guest\0guest", capabilities=("consumer_cancel_notify",)),
    method_frame(0, commands.Connection.TuneOk(8, 8192, 60)),
    method_frame(0, commands.Connection.Open()),
    method_frame(1, commands.Channel.Open()),
    method_frame(2, commands.Channel.Open()),
]
COMMANDS: list[Any] = [
    commands.Queue.Declare(queue="a"),
    commands.Queue.Declare(queue="b", durable=True, arguments={"x-max-length": 5, "t": {"u": [1]}}),
    commands.Queue.Declare(queue="c", exclusive=True, auto_delete=True),
    commands.Queue.Declare(queue=""),
    commands.Queue.Declare(queue="a", passive=True),
    commands.Queue.Bind(queue="a", exchange="amq.topic", routing_key="k.#"),
    commands.Queue.Bind(queue="b", exchange="amq.headers", arguments={"x-match": "any", "h": 1}),
    commands.Queue.Unbind(queue="a", exchange="amq.topic", routing_key="k.#"),
    commands.Queue.Purge(queue="b"),
    commands.Queue.Delete(queue="a"),
    commands.Exchange.Declare(exchange="x", exchange_type="fanout", auto_delete=True),
    commands.Exchange.Bind(destination="x", source="amq.fanout"),
    commands.Exchange.Unbind(destination="x", source="amq.fanout"),
    commands.Exchange.Delete(exchange="x"),
    commands.Basic.Qos(prefetch_count=2),
    commands.Basic.Qos(prefetch_count=1, global_=True),
    commands.Basic.Consume(queue="a", consumer_tag="t"),
    commands.Basic.Consume(queue="b", consumer_tag="u", no_ack=True),
    commands.Basic.Consume(queue="a", exclusive=True),
    commands.Basic.Cancel(consumer_tag="t"),
    commands.Basic.Get(queue="a"),
    commands.Basic.Get(queue="b", no_ack=True),
    commands.Basic.Ack(1),
    commands.Basic.Ack(2, True),
    commands.Basic.Ack(0, True),
    commands.Basic.Nack(1),
    commands.Basic.Nack(0, True, False),
    commands.Basic.Reject(1),
    commands.Basic.Recover(requeue=True),
    RECOVER_ASYNC,
    commands.Confirm.Select(),
    commands.Tx.Select(),
    commands.Tx.Commit(),
    commands.Tx.Rollback(),
    commands.Basic.Consume(queue="amq.rabbitmq.reply-to", consumer_tag="r", no_ack=True),
    commands.Queue.Declare(queue="amq.rabbitmq.reply-to", passive=True),
    commands.Channel.Open(),
    commands.Channel.Flow(active=True),
    commands.Channel.Close(200, "", 0, 0),
    commands.Channel.CloseOk(),
    commands.Connection.Close(200, "", 0, 0),
    commands.Connection.CloseOk(),
    commands.Connection.UpdateSecret("s", "r"),
]
PROPERTIES = [
    b"\0\0",
    PERSISTENT,
    b"\x20\x00\x00\x00\x00\x07\x01hI\x00\x00\x00\x01",
    b"\x20\x00\x00\x00\x00\x13\x01hA\x00\x00\x00\x0cF\x00\x00\x00\x07\x01aS\x00\x00\x00\x00",
    b"\x00\x40" + b"\xff" * 8,
    b"\x02\x00\x15amq.rabbitmq.reply-to",
    b"\x01\x10\x0260\x05guest",
    encode_properties({"headers": {"CC": ["a", 1], "x": 2, "BCC": ["b"]}, "expiration": "5"}),
]


def frames(choose: random.Random) -> list[bytes]:
    """A conversation that makes sense, more or less."""
    conversation = list(OPENING)
    for _ in range(choose.randint(0, 12)):
        channel = choose.choice([1, 1, 1, 2, 2, 3])
        kind = choose.random()
        if kind < 0.4:
            command = choose.choice(COMMANDS)
            is_connections = type(command).__qualname__.startswith("Connection")
            conversation.append(method_frame(0 if is_connections else channel, command))
        elif kind < 0.9:
            size = choose.choice([0, 1, 5, 300, 9000, 30_000])
            conversation.append(
                publish_frames(
                    channel,
                    choose.choice(["", "", "amq.topic", "amq.headers", "amq.fanout", "none"]),
                    choose.choice(["a", "b", "c", "k.1", "none"]),
                    bytes(size),
                    choose.choice(PROPERTIES),
                    mandatory=choose.random() < 0.3,
                    part_size=choose.choice([8184, 8184, 100]),
                )
                * choose.choice([1, 1, 3])
            )
        elif kind < 0.95:
            conversation.append(HEARTBEAT_FRAME)
        else:
            class_id, method_id = choose.choice([(30, 10), (60, 60), (99, 1), (50, 12)])
            conversation.append(encode_method(channel, class_id, method_id, b"\x01a" * 3))
    return conversation


class AmqpFuzzer(Fuzzer):
    """With two channels that are open, mostly."""

    def __init__(self, broker: AmqpBroker, seed: int) -> None:
        super().__init__(seed)
        self.broker = broker
        self.bystander = broker.connect()
        self.bystander.declare(BYSTANDER)
        self.bystander.consume(BYSTANDER, no_ack=True)
        (language,) = AmqpFrontEnd.languages
        assert isinstance(language, AmqpLanguage)
        self._language = language

    def connect(self) -> AmqpConnection:
        """Without a transport, which would log and forget what goes wrong."""
        return AmqpConnection(
            self.broker.gateway,
            self._language,
            CONFIG,
            Peer("127.0.0.1"),
            do_nothing,
            do_nothing,
            0.0,
        )

    def converse(self, choose: random.Random) -> None:
        """See above."""
        conversation = frames(choose)
        first = len(OPENING) if choose.random() < 0.9 else 0  # Mostly it gets to a channel.
        untouched, rest = b"".join(conversation[:first]), b"".join(conversation[first:])
        self.talk(chunks(choose, untouched + mutate(choose, rest)))

    def talk(self, parts: list[bytes]) -> None:
        connection = self.connect()
        turn = self.broker.gateway.turn
        answers = b""
        for part in parts:
            connection.receive_data(part, 0.0)
            turn.end()
            answers += connection.data_to_send()
            assert connection._input.size <= KEPT_SIZE_MAX, "too much is kept"
            if connection.closed:
                break
        check_answers(connection, answers)
        self.ended(connection)
        while not connection.closed and (due := connection.next_deadline()) is not None:
            connection.handle_deadline(due)
        connection.connection_lost()
        turn.end()

    def tidy(self) -> None:
        """See above."""
        host = self.broker.virtual_host
        delete_queues(host)
        for name in [name for name in host.exchanges if name and not name.startswith("amq.")]:
            host.delete_exchange(name)
        bodies = [body for body in self.bystander.bodies() if body == STILL_HERE]
        assert bodies == []
        self.bystander.publish(BYSTANDER, STILL_HERE)
        assert self.bystander.bodies() == [STILL_HERE]


def check_answers(connection: AmqpConnection, answers: bytes) -> None:
    """They are whole frames, unless the peer did not even speak AMQP."""
    if answers.startswith(b"AMQP"):
        assert answers == PROTOCOL_HEADER
        return
    closes = 0
    for type, channel, payload in split(answers):
        assert type in (1, 2, 3, 8)
        assert len(payload) <= CONFIG.frame_max - 8
        closes += (type, channel, payload[:4]) == (1, 0, b"\x00\x0a\x00\x32")
    assert closes <= 1
    assert not closes or connection.closed or connection.state is ConnectionState.CLOSING


def fuzz(folder: Path, seed: int, count: int, progress: Callable[[int], None]) -> dict[str, int]:
    """Run `count` conversations; return how many came to which end."""
    broker = AmqpBroker(folder)
    outcomes = AmqpFuzzer(broker, seed).fuzz(count, progress)
    broker.stop()
    return outcomes


if __name__ == "__main__":
    main(fuzz)
