"""Hypothesis draws sequences of steps: mostly sensible ones, with wrong ones among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.differential.steps import Burst, Drop
from tests.differential.stomp.client import Headers
from tests.differential.stomp.operations import (
    WRONG,
    Connect,
    Operation,
    Raw,
    Say,
    Send,
    Settle,
    Step,
)

T = TypeVar("T")

QUEUES = ("~q1", "~q2", "~sub1", "~sub2")  # Those that are looked at from outside.
_STEPS_MAX = 20
_KEYS = ("~a", "~a.b", "~a.b.c", "~b")
_PATTERNS = (*_KEYS, "~a.*", "~a.#", "~*", "#")
_SIZES = (5,) * 10 + (0, 1, 1000, 131_064, 300_000)
_WRONG_DESTINATIONS = (
    "", "/", "/queue", "/queue/", "/queue/a/b", "/queue//bah/baz", "/topic", "/topic/",
    "/topic/a/b", "/exchange", "/exchange/", "/exchange//k", "/exchange/amq.direct/a/b",
    "/exchange/~none/k", "/exchange/amq.rabbitmq.trace/k", "/amq/queue", "/amq/queue/",
    "/amq/queue/~none", "/amq/queues/a", "/temp-queue/t", "/temp-queue", "/reply-queue",
    "/reply-queue/", "/reply-queue/~q1", "/nothing/a", "queue/a", "/queue/amq.own", "//queue/a",
)  # fmt: skip
_MESSAGE_HEADERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("persistent", ("true", "True")),
    ("content-type", ("text/plain", "")),
    ("content-encoding", ("gzip",)),
    ("priority", ("0", "5", "255", " 7 ", "x")),
    ("correlation-id", ("c1", "")),
    (
        "reply-to",
        ("/queue/~q1", "~q1", "/reply-queue/~q1", "/temp-queue/r1", "/strange/x", "/topic/a"),
    ),
    ("expiration", ("600000",)),
    ("amqp-message-id", ("m1",)),
    ("timestamp", ("1700000000", "x")),
    ("type", ("t1",)),
    ("user-id", ("guest",)),
    ("app-id", ("app",)),
    ("message-id", ("m2",)),
    ("own", ("value", "", " padded ", "a:b", "a\nb", "back\\slash", "käse")),
    ("na:me", ("x",)),
    ("x-strange", ("1",)),
)
_PARAMETERS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("durable", ("true", "false")),
    ("auto-delete", ("true", "false", "True")),
    ("exclusive", ("true", "false")),
    ("x-message-ttl", ("600000", " 600000", "x")),
    ("x-max-length", ("100",)),
    ("x-expires", ("600000",)),
    ("x-dead-letter-exchange", ("amq.fanout",)),
    ("x-overflow", ("drop-head",)),
)


class _Author:
    """Draws one operation after the other."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.subscriptions: dict[int, list[Headers]] = {0: [], 1: [], 2: []}
        self.transactions: dict[int, list[str]] = {0: [], 1: [], 2: []}
        self.receipt_number = 0

    def pick(self, choices: Sequence[T]) -> T:
        chosen: T = self.draw(st.sampled_from(choices))
        return chosen

    def happens(self, percentage: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percentage)

    def write(self) -> list[Step]:
        """Something to read from, and then anything."""
        steps = [Step(0, self.subscribe(0))]
        for _ in range(self.draw(st.integers(4, _STEPS_MAX))):
            # Shrinking takes steps away by making them nothing.
            if self.happens(95):
                slot = self.pick((0, 0, 0, 1, 2))
                steps.append(Step(slot, self.pick(_OPERATIONS)(self, slot)))
        return steps

    def receipt(self, percentage: int = 60) -> Headers:
        if not self.happens(percentage):
            return ()
        self.receipt_number += 1
        return (("receipt", f"x{self.receipt_number}"),)

    def some(self, choices: Sequence[tuple[str, tuple[str, ...]]], percentage: int) -> Headers:
        return tuple(
            (name, self.pick(values)) for name, values in choices if self.happens(percentage)
        )

    def transaction(self, slot: int) -> Headers:
        if not self.transactions[slot] or not self.happens(40):
            return ()
        return (("transaction", self.pick(self.transactions[slot])),)

    # Frames

    def destination(self) -> str:
        if self.happens(6):
            return self.pick(_WRONG_DESTINATIONS)
        return self.pick(
            (
                "/queue/~q1", "/queue/~q1", "/queue/~q2", "~q2", "/amq/queue/~q1", "/queue/~q%2F3",
                *(f"/topic/{key}" for key in _KEYS),
                f"/exchange/amq.topic/{self.pick(_KEYS)}",
                "/exchange/amq.fanout", f"/exchange/amq.direct/{self.pick(_KEYS)}",
            )
        )  # fmt: skip

    def send(self, slot: int) -> Operation:
        if self.happens(1):
            return Say("SEND", self.receipt(), b"no destination")
        if self.happens(2):
            return Send("/topic/~a", (("transaction", "none"),), receipt=self.happens(50))
        headers = self.transaction(slot)
        if self.happens(30):
            headers += self.some(_MESSAGE_HEADERS, 15)
        elif self.happens(4):
            headers += self.some(_PARAMETERS, 20)
        return Send(
            self.destination(),
            headers,
            self.pick(_SIZES),
            self.pick((1, 1, 1, 2, 3, 7)),
            receipt=self.happens(50),
            measured=self.happens(80),
        )

    def subscribe(self, slot: int) -> Say:
        headers: Headers = (("destination", self.source()),)
        if self.happens(1):
            headers = ()
        if self.happens(90):
            headers += (("id", self.pick(("1", "2", "3", "a:b", "/temp-queue/x"))),)
        if self.happens(70):
            modes = ("client", "client-individual", "client", "client-individual", "auto", "wrong")
            headers += (("ack", self.pick(modes)),)
        if self.happens(35):
            headers += (("prefetch-count", self.pick(("1", "2", "3", "0", "x", "70000"))),)
        if self.happens(12):
            headers += self.some(_PARAMETERS, 15)
        if self.happens(10):
            headers += (("x-queue-name", self.pick(("~sub1", "~sub2"))),)
        self.subscriptions[slot].append(headers)
        return Say("SUBSCRIBE", headers + self.receipt())

    def source(self) -> str:
        if self.happens(6):
            return self.pick(_WRONG_DESTINATIONS)
        return self.pick(
            (
                "/queue/~q1", "/queue/~q1", "/queue/~q1", "/queue/~q2", "~q2", "/amq/queue/~q1",
                *(f"/topic/{pattern}" for pattern in _PATTERNS),
                f"/exchange/amq.topic/{self.pick(_PATTERNS)}",
                "/exchange/amq.fanout", f"/exchange/amq.direct/{self.pick(_KEYS)}",
            )
        )  # fmt: skip

    def unsubscribe(self, slot: int) -> Say:
        headers: Headers = (("id", self.pick(("1", "2", "none", "/temp-queue/r1"))),)
        if self.subscriptions[slot] and self.happens(85):
            subscribed = self.pick(self.subscriptions[slot])
            names = ("id", "destination") if self.happens(50) else ("id",)
            headers = tuple(each for each in subscribed if each[0] in names)
            if not any(name == "id" for name, _ in subscribed):
                headers = tuple(each for each in subscribed if each[0] == "destination")
            headers += tuple(each for each in subscribed if each[0] == "durable")
        elif self.happens(10):
            headers = (("destination", self.source()),) if self.happens(50) else ()
        return Say("UNSUBSCRIBE", headers + self.receipt())

    def settle(self, slot: int) -> Settle:
        command = self.pick(("ACK", "ACK", "NACK"))
        headers = self.transaction(slot)
        if command == "NACK" and self.happens(60):
            headers += (("requeue", self.pick(("false", "false", "true", "strange"))),)
        return Settle(command, self.pick((0, 0, 1, 2, 3)), headers + self.receipt(40))

    def settle_wrongly(self, slot: int) -> Say:
        value = self.pick(
            ("", "x", "a@@b", "T_1@@session-AAAAAAAAAAAAAAAAAAAAAA@@1", "@@", "T_9@@x@@1")
        )
        name = self.pick(("id", "message-id", "subscription"))
        return Say(self.pick(("ACK", "NACK")), ((name, value), *self.receipt()))

    def transact(self, slot: int) -> Say:
        name = self.pick(("t1", "t2"))
        command = self.pick(("BEGIN", "BEGIN", "COMMIT", "COMMIT", "ABORT"))
        begun = self.transactions[slot]
        if command == "BEGIN" and name not in begun:
            begun.append(name)
        elif command != "BEGIN" and begun and self.happens(80):
            name = self.pick(begun)
            begun.remove(name)
        headers: Headers = (("transaction", name),) if self.happens(95) else ()
        return Say(command, headers + self.receipt())

    def burst(self, slot: int) -> Burst[Operation]:
        """Frames in one write. Only the last may end the session.

        RabbitMQ may have looked at what follows such a frame before its channel has died.
        """
        sends: list[Operation] = [self.plain_send() for _ in range(2)]
        last = self.send(slot) if self.happens(50) else self.settle(slot)
        return Burst(tuple(each for each in (*sends, last) if not _is_nack(each)))

    def plain_send(self) -> Send:
        return Send(
            self.pick(("/queue/~q1", "/queue/~q2", f"/topic/{self.pick(_KEYS)}")),
            (),
            self.pick(_SIZES),
            receipt=self.happens(50),
            measured=self.happens(80),
        )

    # Life

    def connect(self, slot: int) -> Connect:
        self.subscriptions[slot], self.transactions[slot] = [], []
        login: Headers = (("login", "guest"), ("passcode", "guest"))
        versions = ("1.0", "1.1", "1.2", "1.0,1.1,1.2", "1.1,1.0", "2.0", "1.3,1.2", "", "1.2, 1.1")
        headers: Headers = ()
        if self.happens(85):
            headers = (("accept-version", self.pick(versions)),)
        if self.happens(60):
            headers += (("host", self.pick(("/", "/", "localhost", "none", ""))),)
        if self.happens(70):
            headers += login
        elif self.happens(70):
            headers += self.pick(
                (
                    (("login", "guest"),),
                    (("passcode", "guest"),),
                    (("login", "guest"), ("passcode", "wrong")),
                    (("login", "nobody"), ("passcode", "guest")),
                    (("login", ""), ("passcode", "")),
                    (("login", " guest"), ("passcode", " guest")),
                )
            )
        if self.happens(40):
            beats = ("0,0", "10000,10000", "500,1500", "1500,0", "0,2999", "x,y", "5", "-1,-5", "")
            headers += (("heart-beat", self.pick(beats)),)
        return Connect(headers, self.pick(("CONNECT", "STOMP", "CONNECT", "STOMP", "SEND")))

    def life(self, slot: int) -> Operation:
        return self.pick(
            (
                Say("DISCONNECT"),
                Say("DISCONNECT", (("receipt", "bye"),)),
                Drop(),
                *(Raw(wrong) for wrong in sorted(WRONG)),
            )
        )


def _is_nack(operation: Operation) -> bool:
    """What is given back in a burst may come again before the rest of it is read, or after."""
    return isinstance(operation, Settle) and operation.command == "NACK"


_OPERATIONS: list[Callable[[_Author, int], Operation]] = [
    operation
    for weight, operation in (
        (30, _Author.send),
        (24, _Author.settle),
        (14, _Author.subscribe),
        (6, _Author.unsubscribe),
        (3, _Author.settle_wrongly),
        (9, _Author.transact),
        (6, _Author.burst),
        (5, _Author.connect),
        (5, _Author.life),
    )
    for _ in range(weight)
]


@st.composite
def sequences(draw: Callable[[st.SearchStrategy[Any]], Any]) -> list[Step]:
    """The steps of one example."""
    return _Author(draw).write()
