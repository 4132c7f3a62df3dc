"""Mutated native conversations against a real gateway: `python -m tests.fuzz.native SEED COUNT`.

Whatever comes, no exception leaves a connection, each request that is read is answered once at
most, what waits to be sent is bounded, what others have is not touched, and where the octets
are cut never matters to the commands that are read. A failure prints the seed and the number of the
conversation: the same two find it again.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from enum import Enum, auto
from pathlib import Path

from gateway.connections import Ends
from gateway.declarations import ExchangeDeclaration
from protocols.native.broker import Broker, Limits
from protocols.native.connection import NativeConnection
from protocols.native.front_end import OPERATIONS
from protocols.native.rights import DEFAULT_USER, Rights
from protocols.native.session import NativeSession
from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import CommandFlag, RequestCode
from rosettamq.remoting.command import HeaderForm, RemotingCommand
from rosettamq.remoting.frames import FrameReader, encode_frame
from tests.fuzz.campaign import BYSTANDER, STILL_HERE, Fuzzer, do_nothing, main
from tests.fuzz.mutation import chunks, mutate
from tests.support.native_peer import NativeBroker, bodies, pull_header

LIMITS = Limits(message_size_max=2000, held_requests_max=3, in_flight_max=20, groups_max=5)
FRAME_SIZE_MAX = 20_000
ANSWER_SIZE_MAX = 300 << 10  # Room for one answer more than wait to be sent.

NUMBERS = ["0", "1", "-1", "2", "5", "32", "33", "2147483648", "9223372036854775807", "x", ""]
GROUPS = ["T", "G", "E", "%RETRY%G", "", "a b"]
FIELDS = {
    "topic": GROUPS,
    "consumerGroup": ["G", *GROUPS],
    "group": GROUPS,
    "producerGroup": ["P"],
    "subscription": ["*", "a || b", ""],
    "exp": ["*", "a", ""],
    "expressionType": ["TAG", "SQL92", ""],
    "properties": ["TAGS\x01a\x02", "UNIQ_KEY\x01k", "junk", "a\x01", ""],
    "batch": ["true", "1", "0"],
    "extraInfo": ["0 1700000000000 60000 0 0 broker-a 0 0", "0 1 2 3", "a b c d e f g h"],
    "sysFlag": ["6", "0", "1", "2", "4", "7", *NUMBERS],
    "maxMsgNums": ["32", *NUMBERS],
    "suspendTimeoutMillis": ["1000", *NUMBERS],
    "pollTime": ["1000", *NUMBERS],
    "invisibleTime": ["60000", *NUMBERS],
}
NUMBER_FIELDS = (
    *("queueId", "offset", "queueOffset", "commitOffset", "bornTimestamp", "flag", "timestamp"),
    *("delayLevel", "reconsumeTimes", "maxReconsumeTimes", "bornTime", "initMode", "subVersion"),
)
LETTERS = {"a": "producerGroup", "b": "topic", "f": "sysFlag", "i": "properties", "m": "batch"}
FIELDS |= dict.fromkeys(NUMBER_FIELDS, NUMBERS)
FIELDS |= {letter: FIELDS[name] for letter, name in LETTERS.items()}
FIELDS |= dict.fromkeys("eghj", NUMBERS)
BODIES = (
    b"",
    b"body",
    b"{}",
    b'{"clientID":"c","consumerDataSet":[{"groupName":"G","subscriptionDataSet":[{"topic":"T"}]}]}',
    b'{"acks":[{"c":"G","t":"T","so":0,"pt":1700000000000,"b":"/w=="}]}',
    b'{"consumerGroup":"G","clientId":"c","mqSet":[{"topic":"T","queueId":0}]}',
    b"\x00\x00\x00\x16" + bytes(18),
)
SENSIBLE = {name: values[0] for name, values in FIELDS.items()}
CHANGES = [(name, value) for name, values in FIELDS.items() for value in values]
CODES = sorted(OPERATIONS)
# What most conversations are about, and what nobody knows.
FREQUENT = (
    *(RequestCode.SEND_MESSAGE_V2, RequestCode.SEND_MESSAGE_V2, RequestCode.PULL_MESSAGE),
    *(RequestCode.POP_MESSAGE, RequestCode.ACK_MESSAGE, RequestCode.HEART_BEAT, 999),
)


class End(Enum):
    """How a conversation was left, if it was not closed."""

    OPEN = auto()


class Client(NativeConnection):
    """A connection without a transport, which would log and forget what goes wrong."""

    state = End.OPEN


def _request(choose: random.Random, opaque: int) -> RemotingCommand:
    """A request that makes sense, but for at most three of its fields."""
    changes = choose.sample(CHANGES, choose.choice([0, 0, 1, 2, 3]))
    code = choose.choice(FREQUENT if choose.random() < 0.6 else CODES)
    return RemotingCommand(
        code,
        SENSIBLE | dict(changes),
        choose.choice(BODIES),
        opaque=opaque,
        flag=CommandFlag.ONE_WAY if choose.random() < 0.1 else 0,
        form=HeaderForm.JSON if choose.random() < 0.8 else HeaderForm.BINARY,
    )


class NativeFuzzer(Fuzzer):
    """Time goes on and queues go between what a client says; now and then it does not read."""

    def __init__(self, broker: NativeBroker, seed: int) -> None:
        super().__init__(seed)
        self.host = broker
        self.broker = Broker(
            broker.gateway, broker.clock, Rights(broker.gateway, DEFAULT_USER), LIMITS
        )
        broker.connect().publish(BYSTANDER, STILL_HERE)

    def connect(self) -> Client:
        """A client of the broker."""
        client = Client(do_nothing, self.host.clock.seconds(), frame_size_max=FRAME_SIZE_MAX)
        ends = Ends("127.0.0.1", 1)
        store_host = ("127.0.0.1", 2)
        client.attach(
            NativeSession(self.broker, client, OPERATIONS, ends, lambda: store_host, do_nothing)
        )
        return client

    def converse(self, choose: random.Random) -> None:
        """See above."""
        requests = [_request(choose, opaque) for opaque in range(choose.randint(0, 12))]
        octets = b"".join(map(encode_frame, requests))
        if choose.random() < 0.4:
            octets = mutate(choose, octets)
        parts = chunks(choose, octets)
        said = read([octets])
        assert read(parts) == said, "it matters where the octets are cut"
        answered = Counter(self.talk(choose, parts))
        asked = Counter(each.opaque for each in said if isinstance(each, RemotingCommand))
        assert answered <= asked, "a request is answered twice"

    def talk(self, choose: random.Random, parts: list[bytes]) -> list[int]:
        """Say this, while other things happen; return what is answered."""
        client = self.connect()
        reader = FrameReader()
        answered: list[int] = []
        is_paused = False
        for part in parts:
            client.receive_data(part, self.host.clock.seconds())
            answered += self.answers(client, reader)
            if client.closed:
                break
            if choose.random() < 0.1:
                is_paused = not is_paused
                (client.pause_delivery if is_paused else client.resume_delivery)()
            if choose.random() < 0.05:
                self.happen(choose, client)
        if is_paused:
            client.resume_delivery()
        for _ in range(len(parts) + 20):
            answered += self.answers(client, reader)
        self.ended(client)
        client.connection_lost()
        self.host.gateway.turn.end()
        return answered

    def answers(self, client: Client, reader: FrameReader) -> list[int]:
        """Which requests are answered by now."""
        self.host.gateway.turn.end()
        data = client.data_to_send()
        assert len(data) <= ANSWER_SIZE_MAX, "too much waits to be sent"
        return [command.opaque for command in reader.feed(data) if command.is_response]

    def happen(self, choose: random.Random, client: Client) -> None:
        """Time goes on, or a queue or an exchange goes or comes."""
        host = self.host.virtual_host
        kind = choose.randrange(4)
        if kind == 0:
            self.host.clock.advance(choose.choice([0.5, 2, 61]))
            due = client.next_deadline()
            if due is not None and due <= self.host.clock.seconds():
                client.handle_deadline(self.host.clock.seconds())
        elif kind == 1:
            host.delete_queue(choose.choice(["T", "%RETRY%G"]))
        elif kind == 2:
            host.declare_exchange(ExchangeDeclaration("E", "fanout"))
        else:
            host.delete_exchange("E")

    def tidy(self) -> None:
        """See above."""
        self.broker.invisible.stop()
        host = self.host.virtual_host
        for name in list(host.queues):
            if name != BYSTANDER:
                assert not host.queues[name].is_consumed, name
                host.delete_queue(name)
        bystander = self.host.connect()
        pulled = bystander.call(RequestCode.PULL_MESSAGE, pull_header("G", BYSTANDER, 0))
        assert bodies(pulled) == [STILL_HERE]
        bystander.lose()


def read(parts: list[bytes]) -> list[RemotingCommand | str]:
    """The commands of these octets, and what ended them."""
    reader = FrameReader(FRAME_SIZE_MAX)
    found: list[RemotingCommand | str] = []
    try:
        for part in parts:
            found += reader.feed(part)
    except ProtocolError:
        found.append("refused")
    return found


def fuzz(folder: Path, seed: int, count: int, progress: Callable[[int], None]) -> dict[str, int]:
    """Run `count` conversations; return how many came to which end."""
    broker = NativeBroker(folder)
    outcomes = NativeFuzzer(broker, seed).fuzz(count, progress)
    broker.stop()
    return outcomes


if __name__ == "__main__":
    main(fuzz)
