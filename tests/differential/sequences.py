"""Hypothesis draws sequences of steps: mostly sensible ones, with wrong ones among them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from hypothesis import strategies as st

from tests.differential import exchange_types, features, wire
from tests.differential.client import FRAME_MAX
from tests.differential.definitions import LIMITED
from tests.differential.features import Features
from tests.differential.operations import (
    WRONG,
    Call,
    Example,
    Operation,
    Publish,
    Raw,
    Settle,
    Step,
)
from tests.differential.properties import any_properties
from tests.differential.steps import Burst, Drop

T = TypeVar("T")

_STEPS_MAX = 24
_QUEUES = ("~q1", "~q2", "~q3")
_EXCHANGES = ("~x1", "~x2", "~x3")
_KEYS = ("a", "a.b", "", "a..b", "b", "a.b.c")
_ALTERNATES: tuple[wire.Field, ...] = (
    ("S", "~x1"), ("S", "~x2"), ("S", "~x2"), ("S", "~x3"), ("S", "~none"), ("S", ""), ("I", 5),
)  # fmt: skip
_PATTERNS = ("#", "*", "*.b", "a.#", "#.b", "a.*", "*.*.b", "#.#", "a.#.c")
_SIZES = (5,) * 10 + (0, 1, 1000, FRAME_MAX - 8, FRAME_MAX - 7, 300_000)

_MAX_PRIORITIES: tuple[wire.Field, ...] = (
    *(("I", each) for each in (0, 1, 2, 5, 9, 10, 255, 256, -1)),
    ("b", 3), ("l", 5), ("S", "5"), ("t", True),
)  # fmt: skip
_OVERFLOWS = ("drop-head", "reject-publish", "reject-publish-dlx", "drop-tail")

# Headers exchanges: what a binding asks for, and what a message has.

_HEADERS: tuple[wire.Field, ...] = (
    ("I", 1), ("b", 1), ("l", 1), ("S", "1"), ("t", True), ("V", None), ("d", 1.0), ("T", 1),
)  # fmt: skip
_X_MATCHES: tuple[wire.Field, ...] = (
    *(("S", each) for each in ("all", "any", "all", "any", "all-with-x", "any-with-x", "some")),
    ("I", 1),
)


class _World:
    """About what there is, so that most of what is drawn makes sense."""

    def __init__(self) -> None:
        self.queues: dict[str, dict[str, Any]] = {}  # As declared.
        self.exchanges: dict[str, str] = {}
        self.receivers: dict[tuple[int, int], None] = {}  # Channels with something to settle.


class _Author:
    """Draws one operation after the other."""

    def __init__(self, draw: Callable[[st.SearchStrategy[Any]], Any]) -> None:
        self.draw = draw
        self.world = _World()
        # A no-ack consumer beside one that is held up by it: see `differences`.
        self.shares_prefetch = False
        self.has_priorities = False
        self.features = Features()

    def pick(self, choices: Sequence[T]) -> T:
        chosen: T = self.draw(st.sampled_from(choices))
        return chosen

    def happens(self, percentage: int) -> bool:
        return bool(self.draw(st.integers(0, 99)) >= 100 - percentage)

    def flags(self, **percentages: int) -> dict[str, bool]:
        """Those of these flags that are set."""
        return {name: True for name, each in percentages.items() if self.happens(each)}

    def queue(self) -> str:
        """Mostly one that exists."""
        if self.happens(12) or not self.world.queues:
            return self.pick((*_QUEUES, "", "$gen", "~none"))
        return self.pick(tuple(self.world.queues))

    def exchange(self) -> str:
        """Mostly one that exists."""
        if self.happens(6):
            return self.pick(("~none", ""))
        if self.happens(15) or not self.world.exchanges:
            return self.pick(("amq.direct", "amq.fanout", "amq.topic", "amq.match"))
        return self.pick(tuple(self.world.exchanges))

    def write(self) -> Example:
        """A queue and a way into it, and then anything."""
        self.features = features.draw(self)
        policies = self.features.policy_set(self)
        # A global prefetch is not for quorum queues, but counts beside them: not drawn.
        has_quorum_queues = self.features.quorum_queues
        self.shares_prefetch = not has_quorum_queues and self.happens(30)
        self.has_priorities = not has_quorum_queues and self.happens(40)
        steps = [Step(0, 1, self.declare_queue())]
        if self.happens(30):
            steps.append(Step(0, 1, self.declare_queue()))
        if self.happens(60):
            steps.append(Step(0, 1, self.declare_exchange()))
            steps.append(Step(0, 1, self.bind_queue()))
        if self.happens(50):
            steps.append(self.step(self.consume))
        for _ in range(self.draw(st.integers(4, _STEPS_MAX))):
            # Shrinking takes steps away by making them nothing.
            if self.happens(95):
                steps.append(self.step(self.pick(_OPERATIONS)))
        return Example(policies, steps)

    def connection(self) -> int:
        """Mostly the first one."""
        favoured = self.features.connections()
        if favoured and self.happens(55):
            return self.pick(favoured)
        return self.pick((0, 1) if self.features.locks else (0, 0, 0, 1))

    def step(self, operation: Callable[[_Author], Operation] | Callable[[], Operation]) -> Step:
        where = self.connection(), self.pick(self.features.channels())
        if self.features.transactions and self.happens(15):
            operation = _Author.transact
        if self.features.replies and self.happens(40):
            operation = self.pick(_REPLYING)
        if self.features.deaths and self.happens(12):
            operation = _Author.die
        if self.features.chains and self.happens(20):
            operation = self.pick((_Author.declare_exchange, _Author.bind_exchange))
        changes = self.features.changes()
        if changes and self.happens(20):
            return Step(LIMITED, 1, self.pick(changes)(self))
        receivers = tuple(self.world.receivers)
        if operation is _Author.settle and receivers and self.happens(90):
            where = self.pick(receivers)
        drawn = operation() if hasattr(operation, "__self__") else operation(self)  # type: ignore
        if isinstance(drawn, Call) and drawn.name in ("basic.consume", "basic.get"):
            self.world.receivers[where] = None
        return Step(*where, drawn)

    # Topology

    def declare_exchange(self) -> Call:
        name = self.pick(_EXCHANGES)
        type = self.world.exchanges.get(name) or self.pick(("direct", "fanout", "topic", "headers"))
        if self.happens(10):
            name = self.pick(("~x\r\n4", "", "amq.direct", "amq.new", "~none"))
        if self.happens(5):
            type = self.pick(("direct", "strange", ""))
        fields: dict[str, Any] = {"exchange": name, "type": type}
        if self.features.plugin_types and name.startswith("~x") and name in _EXCHANGES:
            if not type.startswith("x-") and (name == exchange_types.CHOOSER or self.happens(60)):
                type = fields["type"] = exchange_types.draw_type(self, name)
            fields["arguments"] = exchange_types.draw_arguments(self, type)
        fields |= self.flags(passive=5, durable=20, auto_delete=10, internal=5, nowait=7)
        if self.happens(70 if self.features.chains else 20):
            value: wire.Field = self.pick(_ALTERNATES)
            argument = self.pick((*("alternate-exchange",) * 5, "unknown")), value
            fields["arguments"] = (*fields.get("arguments", ()), argument)
        if not fields.get("passive"):
            self.world.exchanges[name] = type
        return Call("exchange.declare", fields)

    def declare_queue(self) -> Call:
        name = self.pick((*_QUEUES, *_QUEUES, ""))
        if self.happens(8):
            name = self.pick(("~q\r\n4", "amq.mine", "$gen", "~none"))
        fields: dict[str, Any] = {"queue": name}
        if name in self.world.queues and self.happens(60):
            return Call("queue.declare", self.world.queues[name] | self.flags(passive=15))
        fields |= self.flags(passive=8, durable=25, exclusive=8, auto_delete=10, nowait=7)
        fields |= self.features.queue_flags(self)
        arguments: list[tuple[str, wire.Field]] = []
        if self.happens(5):
            arguments.append(("unknown", ("S", "x")))
        if self.has_priorities and self.happens(70):
            arguments.append(("x-max-priority", self.pick(_MAX_PRIORITIES)))
        if self.has_priorities and self.happens(25):
            arguments.append(("x-max-length", ("I", self.pick((0, 1, 2, 5)))))
            if self.happens(40):
                arguments.append(("x-overflow", ("S", self.pick(_OVERFLOWS))))
        present = {argument for argument, _ in arguments}
        arguments += [
            each for each in self.features.queue_arguments(self) if each[0] not in present
        ]
        if arguments:
            fields["arguments"] = tuple(arguments)
        if not fields.get("passive"):
            self.world.queues[name or "$gen"] = fields | {"queue": name or "$gen"}
        return Call("queue.declare", fields)

    def bind_queue(self) -> Call:
        return Call("queue.bind", self._queue_binding() | self.flags(nowait=7))

    def unbind_queue(self) -> Call:
        return Call("queue.unbind", self._queue_binding())

    def _queue_binding(self) -> dict[str, Any]:
        fields = {"queue": self.queue(), **self._binding("exchange")}
        if self.features.plugin_types and fields["exchange"] == exchange_types.CHOOSER:
            fields["queue"] = exchange_types.CHOSEN
        return fields

    def bind_exchange(self) -> Call:
        return Call("exchange.bind", self._exchange_binding() | self.flags(nowait=7))

    def unbind_exchange(self) -> Call:
        return Call("exchange.unbind", self._exchange_binding() | self.flags(nowait=7))

    def _exchange_binding(self) -> dict[str, Any]:
        fields = {"destination": self.exchange(), **self._binding("source")}
        if self.features.plugin_types and fields["source"] == exchange_types.CHOOSER:
            fields["source"] = "~x2"
        return fields

    def _binding(self, source: str) -> dict[str, Any]:
        exchange = self.exchange()
        type = self.world.exchanges.get(exchange, exchange.removeprefix("amq."))
        if type.startswith("x-"):
            key, arguments = exchange_types.draw_binding(self, type)
            return {source: exchange, "routing_key": key, "arguments": arguments}
        fields: dict[str, Any] = {source: exchange, "routing_key": self.pick(_KEYS)}
        if self.happens(60 if type == "topic" else 10):
            fields["routing_key"] = self.pick(_PATTERNS)
        if self.happens(90 if type in ("headers", "match") else 5):
            arguments = self.match_fields()
            if self.happens(60):
                arguments = (("x-match", self.pick(_X_MATCHES)), *arguments)
            fields["arguments"] = arguments
        return fields

    def delete_exchange(self) -> Call:
        name = self.exchange()
        name = name if name == "amq.direct" or not name.startswith("amq.") else "~none"
        self.world.exchanges.pop(name, None)
        return Call("exchange.delete", {"exchange": name, **self.flags(if_unused=30, nowait=7)})

    def delete_queue(self) -> Call:
        name = self.queue()
        self.world.queues.pop(name, None)
        flags = self.flags(if_unused=25, if_empty=25, nowait=7)
        return Call("queue.delete", {"queue": name, **flags})

    def purge_queue(self) -> Call:
        return Call("queue.purge", {"queue": self.queue(), **self.flags(nowait=7)})

    # Messages

    def publish(self) -> Publish:
        if self.happens(50):
            exchange, key = "", self.queue()
        else:
            exchange, key = self.exchange(), self.pick(_KEYS)
        size = self.pick(_SIZES)
        return Publish(
            exchange,
            key,
            size,
            self.properties(),
            mandatory=self.happens(25),
            immediate=self.happens(1),
            # Large ones come singly: see `differences`.
            count=self.pick((1, 1, 1, 2, 3, 7)) if size <= 1000 else 1,
            split=self.pick(("whole", "whole", "whole", "small", "with empty")),
        )

    def properties(self) -> dict[str, Any]:
        drawn: dict[str, Any] = {}
        if self.happens(40):
            drawn["delivery_mode"] = self.pick((2, 2, 2, 1))
        if self.has_priorities and self.happens(70):
            drawn["priority"] = self.pick((0, 1, 1, 2, 3, 5, 9, 10, 255))
        if self.happens(20):
            drawn["headers"] = self.match_fields()
        if self.happens(15):
            drawn |= self.draw(any_properties)
        if self.features.quorum_queues:
            drawn.pop("priority", None)
        if self.features.plugin_types and self.happens(10):
            value: wire.Field = self.pick((("t", True), ("t", False), ("S", "true")))
            drawn["headers"] = (("x-recent-history-no-store", value),)
        return drawn | self.features.properties(self)

    def match_fields(self) -> wire.Table:
        names = [name for name in ("a", "b", "x-c") if self.happens(40)]
        return tuple((name, self.pick(_HEADERS)) for name in names)

    def consume(self) -> Call:
        fields: dict[str, Any] = {
            "queue": self.queue(),
            "consumer_tag": self.pick(("t1", "t2", "t3", "t4", "")),
        }
        fields |= self.flags(no_local=5, no_ack=0 if self.shares_prefetch else 20, exclusive=6)
        if fields["consumer_tag"]:
            fields |= self.flags(nowait=5)
        if arguments := self.features.consumer_arguments(self):
            fields["arguments"] = arguments
        return Call("basic.consume", fields)

    def cancel(self) -> Call:
        tag = self.pick(("t1", "t2", "t3", "none", *(("r1",) if self.features.replies else ())))
        return Call("basic.cancel", {"consumer_tag": tag, **self.flags(nowait=7)})

    def get(self) -> Call:
        return Call("basic.get", {"queue": self.queue(), **self.flags(no_ack=25)})

    def settle(self) -> Settle:
        acks = () if self.features.cycles else ("basic.ack", "basic.ack")
        method = self.pick((*acks, "basic.nack", "basic.reject"))
        return Settle(
            method,
            pick=self.pick((0, 0, 1, 2, 3)),
            tag=self.pick((0, 0, 1, 999)) if self.happens(7) else None,
            multiple=method != "basic.reject" and self.happens(30),
            requeue=method != "basic.ack" and self.happens(10 if self.features.cycles else 60),
        )

    def qos(self) -> Call:
        fields = {"prefetch_count": self.pick((0, 1, 1, 2, 3, 5))}
        if self.shares_prefetch:
            fields |= self.flags(**{"global": 60})
        if self.happens(2):
            fields["prefetch_size"] = 1
        return Call("basic.qos", fields)

    def recover(self) -> Call:
        name = self.pick(("basic.recover", "basic.recover", "basic.recover-async"))
        return Call(name, {"requeue": not self.happens(8)})

    def transact(self) -> Call:
        return Call(self.pick(("tx.select", "tx.commit", "tx.commit", "tx.rollback")), {})

    def confirm(self) -> Call:
        return Call("confirm.select", self.flags(nowait=10))

    # Direct replies

    def consume_replies(self) -> Call:
        tag = self.pick(("r1", "r1", "r2", ""))
        fields: dict[str, Any] = {"queue": "amq.rabbitmq.reply-to", "consumer_tag": tag}
        fields |= self.flags(no_ack=93, exclusive=5)
        return Call("basic.consume", fields | (self.flags(nowait=5) if tag else {}))

    def request(self) -> Publish:
        publish = self.publish()
        if self.happens(70):
            publish = replace(publish, exchange="", routing_key=self.queue(), count=1)
        address = self.pick(("amq.rabbitmq.reply-to",) * 9 + ("$reply",))
        return replace(publish, properties=publish.properties | {"reply_to": address})

    def answer(self) -> Publish:
        return replace(self.publish(), exchange="", routing_key=self.pick(_ADDRESSES))

    def misuse_address(self) -> Call:
        """What is no queue, used as one; it can be asked for only: by declaring it."""
        queue = self.pick(("$reply", "$reply", "amq.rabbitmq.reply-to"))
        return self.pick(
            (
                Call("queue.declare", {"queue": queue, **self.flags(passive=50, durable=20)}),
                Call("queue.declare", {"queue": queue, "passive": True}),
                Call("queue.delete", {"queue": queue}),
                Call("queue.purge", {"queue": queue}),
                Call("queue.bind", {"queue": queue, "exchange": "amq.fanout"}),
                Call("basic.get", {"queue": queue}),
                Call("basic.consume", {"queue": "$reply", "consumer_tag": "t2", "no_ack": True}),
            )
        )

    def burst(self) -> Burst[Operation]:
        """What is given back in it may come again before the rest of it is read, or after.

        And what is urgent in it may come too late to overtake the rest.
        """
        drawn: list[Operation] = []
        for _ in range(self.pick((2, 3, 4))):
            settle = self.settle()
            if self.happens(60) or settle.requeue:
                publish = self.publish()
                properties = {k: v for k, v in publish.properties.items() if k != "priority"}
                drawn.append(replace(publish, properties=properties))
            else:
                drawn.append(settle)
        return Burst(tuple(drawn))

    # Life

    def die(self) -> Operation:
        close = Call(self.pick(("channel.close", "connection.close")), {"code": 200})
        return self.pick((Drop(), Drop(), close))

    def life(self) -> Operation:
        return self.pick(
            (
                Call("channel.close", {"code": 200, "text": "bye"}),
                Call("channel.close", {"code": 200}),
                Call("connection.close", {"code": 200}),
                Drop(),
                Call("channel.flow", {"active": False}),
                Call("access.request", {"realm": "/data"}),
                *(Raw(wrong) for wrong in sorted(WRONG)),
            )
        )


_OPERATIONS = [
    operation
    for weight, operation in (
        (26, _Author.publish),
        (18, _Author.settle),
        (8, _Author.consume),
        (7, _Author.get),
        (6, _Author.declare_queue),
        (5, _Author.declare_exchange),
        (7, _Author.bind_queue),
        (3, _Author.unbind_queue),
        (4, _Author.bind_exchange),
        (2, _Author.unbind_exchange),
        (2, _Author.delete_exchange),
        (3, _Author.delete_queue),
        (2, _Author.purge_queue),
        (3, _Author.cancel),
        (5, _Author.qos),
        (3, _Author.recover),
        (3, _Author.confirm),
        (5, _Author.burst),
        (3, _Author.life),
    )
    for _ in range(weight)
]

_ADDRESSES = ("$reply",) * 8 + ("amq.rabbitmq.reply-to", "amq.rabbitmq.reply-to.none")
_REPLYING = [
    operation
    for weight, operation in (
        (3, _Author.consume_replies),
        (5, _Author.request),
        (4, _Author.get),
        (5, _Author.answer),
        (1, _Author.misuse_address),
    )
    for _ in range(weight)
]


@st.composite
def examples(draw: Callable[[st.SearchStrategy[Any]], Any]) -> Example:
    """One example."""
    return _Author(draw).write()
