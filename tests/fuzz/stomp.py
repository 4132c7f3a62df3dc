"""Mutated STOMP conversations against a real gateway: `python -m tests.fuzz.stomp SEED COUNT`.

Whatever comes, no exception leaves a connection, it ends closed or goes on as the protocol says,
what it keeps is bounded, another connection is not disturbed, and where the octets are cut never
matters to the frames that are read. A failure prints the seed and the number of the conversation:
the same two find it again.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from protocols.stomp.codec import Frame, FrameReader
from protocols.stomp.config import StompConfig
from protocols.stomp.connection import State, StompConnection
from protocols.stomp.errors import StompProtocolError
from tests.fuzz.campaign import BYSTANDER, STILL_HERE, Fuzzer, delete_queues, do_nothing, main
from tests.fuzz.mutation import chunks, mutate
from tests.support.stomp_peer import StompBroker, split

CONFIG = StompConfig(
    max_frame_size=20_000,
    max_frame_size_before_login=5_000,
    max_header_count=50,
    max_transaction_count=2,
    max_transaction_size=50_000,
    max_output_size=30_000,
)
ACTIVEMQ = replace(CONFIG, personality="activemq")
ANSWERS = ("CONNECTED", "MESSAGE", "RECEIPT", "ERROR")
COMMANDS = (
    "SEND",
    "SEND",
    "SEND",
    "SEND",
    "SUBSCRIBE",
    "SUBSCRIBE",
    "UNSUBSCRIBE",
    "ACK",
    "ACK",
    "NACK",
    "BEGIN",
    "BEGIN",
    "COMMIT",
    "ABORT",
    "UNKNOWN",
)
LAST_COMMANDS = ("DISCONNECT", "CONNECT", "STOMP")  # fmt: skip
DESTINATIONS = (
    "/queue/a", "/queue/a", "/queue/b", "a", "/topic/a.b", "/topic/#", "/exchange/amq.fanout",
    "/exchange/none/k", "/amq/queue/a", "/temp-queue/t", "/reply-queue/a", "", "/queue/a/b",
    "/temp-topic/t", "/queue/a,/topic/a.b", "/topic/a.>", "/queue/a?consumer.prefetchSize=1",
)  # fmt: skip
HEADERS: dict[str, tuple[str, ...]] = {
    "id": ("0", "0", "1", "T@@x", "/temp-queue/t"),
    "ack": ("auto", "client", "client-individual", "?"),
    "transaction": ("t", "u"),
    "receipt": ("r", "s\\c", "1", "2"),
    "persistent": ("true", "false", "?"),
    "durable": ("true", "false"),
    "auto-delete": ("true", "false"),
    "exclusive": ("true",),
    "prefetch-count": ("1", "3", "x"),
    "priority": ("1", "256"),
    "reply-to": ("/temp-queue/t", "/queue/a", "/x"),
    "x-queue-name": ("named", "a"),
    "x-message-ttl": ("1", "x"),
    "expiration": ("1", "60000", "x"),
    "requeue": ("true", "false"),
    "x-rosetta-from": ("first", "last", "offset=1", "timestamp=0", "x"),
    "browser": ("true",),
    "selector": ("own = 'value'", "priority > 1 OR own IS NULL", "= ="),
    "durable-subscription-name": ("n",),
    "activemq.exclusive": ("true",),
    "activemq.prefetchSize": ("1", "x"),
    "destination-type": ("MULTICAST", "ANYCAST", "?"),
    "subscription-type": ("MULTICAST", "ANYCAST", "?"),
    "expires": ("0", "1", "9999999999999", "x"),
    "AMQ_SCHEDULED_DELAY": ("10", "x"),
    "own": ("value", "", " \\\\\\n", "a:b"),
}
BODIES = (b"", b"hello", b"hello", b"x" * 300, b"x" * 300, b"y" * 9_000)
TOO_LARGE = b"z" * 30_000


def frames(choose: random.Random) -> list[bytes]:
    """A conversation that makes sense, more or less; `@TAG@` is the last message's name."""
    return [_frame(choose) for _ in range(choose.randint(0, 14))]


def opening(choose: random.Random) -> bytes:
    """A CONNECT, mostly one that is accepted."""
    versions = choose.choice(["1.2", "1.1", "1.0", "1.0,1.1,1.2", "1.2", "9"])
    beats = choose.choice(["", "heart-beat:0,0\n", "heart-beat:1000,2000\n", "heart-beat:x\n"])
    client = choose.choice(["", "client-id:me\n"])
    return f"CONNECT\naccept-version:{versions}\n{beats}{client}\n\0".encode()


def _frame(choose: random.Random) -> bytes:
    if choose.random() < 0.05:
        return choose.choice([b"\n", b"\r\n", b"\0", b"\n\n\n"])
    command = choose.choice(LAST_COMMANDS if choose.random() < 0.02 else COMMANDS)
    names = choose.sample(sorted(HEADERS), choose.choice([0, 1, 2, 2, 3, 5]))
    lines = [f"{name}:{choose.choice(HEADERS[name])}" for name in names]
    body = b""
    if command in ("SEND", "SUBSCRIBE"):
        lines.insert(0, f"destination:{choose.choice(DESTINATIONS)}")
    if command == "SEND":
        body = TOO_LARGE if choose.random() < 0.01 else choose.choice(BODIES)
        if choose.random() < 0.5:
            lines.append(f"content-length:{len(body)}")
        elif choose.random() < 0.02:
            lines.append(f"content-length:{choose.choice(['0', '5', 'x', '99999'])}")
    elif command in ("ACK", "NACK"):
        lines.insert(0, choose.choice(["id:@TAG@", "id:@TAG@", "message-id:@TAG@", "id:x@@y@@1"]))
    elif command in ("BEGIN", "COMMIT", "ABORT") and choose.random() < 0.9:
        lines.insert(0, f"transaction:{choose.choice('tu')}")
    elif command == "SUBSCRIBE" and "id" not in names and choose.random() < 0.9:
        lines.append(f"id:{choose.choice('01')}")
    end = choose.choice(["\n", "\n", "\n", "\r\n"])
    head = end.join([command, *lines, "", ""]).encode()
    # The same again takes the hot path.
    return (head + body + b"\0") * choose.choice([1, 1, 1, 3])


class StompFuzzer(Fuzzer):
    """With either personality."""

    def __init__(self, broker: StompBroker, seed: int) -> None:
        super().__init__(seed)
        self.broker = broker
        self.bystander = broker.connect()
        self.bystander.frame("SUBSCRIBE", destination=f"/queue/{BYSTANDER}", id="0")

    def connect(self, config: StompConfig = CONFIG) -> StompConnection:
        """Without a transport, which would log and forget what goes wrong."""
        return StompConnection(
            self.broker.gateway, config, "127.0.0.1", do_nothing, do_nothing, 0.0
        )

    def converse(self, choose: random.Random) -> None:
        """See above."""
        untouched = opening(choose)
        mutated = mutate(choose, b"".join(frames(choose)))
        if choose.random() < 0.1:
            untouched, mutated = b"", mutate(choose, untouched + mutated)
        parts = chunks(choose, untouched + mutated)
        assert read(parts) == read([untouched + mutated]), "it matters where the octets are cut"
        self.talk(parts, choose.choice([CONFIG, ACTIVEMQ]))

    def talk(self, parts: list[bytes], config: StompConfig) -> None:
        connection = self.connect(config)
        turn = self.broker.gateway.turn
        tag = b"none"
        for part in parts:
            connection.receive_data(part.replace(b"@TAG@", tag), 0.0)
            turn.end()
            kept_size = sum(map(len, connection._reader._kept))
            assert connection.closed or kept_size <= CONFIG.max_frame_size, "too much is kept"
            tag = check_answers(connection.data_to_send()) or tag
            if connection.closed:
                break
        self.ended(connection)
        if connection.state is State.CONNECTING and (due := connection.next_deadline()):
            connection.handle_deadline(due)
            assert connection.closed
        connection.connection_lost()
        turn.end()

    def tidy(self) -> None:
        """See above."""
        delete_queues(self.broker.virtual_host)
        assert self.bystander.octets() == b""
        self.bystander.frame("SEND", STILL_HERE, destination=f"/queue/{BYSTANDER}")
        assert self.bystander.bodies() == [STILL_HERE]


def read(parts: list[bytes]) -> list[Frame | str]:
    """The frames of these octets, and what ended them."""
    reader = FrameReader(CONFIG.max_frame_size, CONFIG.max_header_count)
    found: list[Frame | str] = []
    try:
        for part in parts:
            reader.feed(part)
            while (frame := reader.next_frame()) is not None:
                found.append(frame)
    except StompProtocolError:
        found.append("refused")
    return found


def check_answers(answers: bytes) -> bytes | None:
    """They are whole frames, or heart-beats; return what the last message would be ACKed with."""
    tag = None
    while answers := answers.lstrip(b"\n"):
        frame, answers = split(answers)
        assert frame.command in ANSWERS, frame
        named = frame.headers.get("ack") or frame.headers.get("message-id")
        tag = named.encode("utf-8", "surrogateescape") if named else tag
    return tag


def fuzz(folder: Path, seed: int, count: int, progress: Callable[[int], None]) -> dict[str, int]:
    """Run `count` conversations; return how many came to which end."""
    broker = StompBroker(folder)
    outcomes = StompFuzzer(broker, seed).fuzz(count, progress)
    broker.stop()
    return outcomes


if __name__ == "__main__":
    main(fuzz)
