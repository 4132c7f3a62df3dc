"""One server's side of an example: does what it is told, waits until nothing moves, and notes it.

A broker answers some things later than others: a delivery may still be on its way when the reply to
the method that caused it is here. So after each step a fence is put on every open channel
(channel.flow, which changes nothing), every queue is asked for its counts, and this is repeated
until a round brings nothing new. What came is then noted in streams whose inner order is certain:
the replies of a connection, the deliveries of a consumer, the confirms of a channel.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tests.differential import wire
from tests.differential.brokers import Access
from tests.differential.client import Connection, Event, RefusedError
from tests.differential.definitions import LOGINS
from tests.differential.janitor import PROBE_CHANNEL
from tests.differential.names import REPLY_TO, Names, find_made_up
from tests.differential.operations import (
    WRONG,
    Call,
    Manage,
    Operation,
    Publish,
    Raw,
    Settle,
    Step,
    encode_publish,
)
from tests.differential.probe import Place, Probe, shown_place
from tests.differential.shown import shown_content
from tests.differential.steps import Burst, Drop
from tests.differential.transcripts import Notes

# A delivery, called the same on every server: its channel, its consumer, which one it was.
Key: TypeAlias = "tuple[int, int, str, int]"

_ROUNDS_MAX = 30
_CONFIRMS_TIMEOUT_S = 5.0
# A process of RabbitMQ's dies, and others hear of it, in its own time.
_DEATH_PAUSE_S = 0.005
_DROP_PAUSE_S = 0.03
_CHANGE_PAUSE_S = 0.02
# A quorum queue of RabbitMQ's answers when its log is written; a channel does not wait for that.
_QUORUM_PAUSE_S = 0.008
# What comes on a channel between close and close-ok, RabbitMQ takes in either way; and nothing may
# come while it commits.
_AWAITED = {
    "channel.close": ("channel.close-ok",),
    "tx.commit": ("tx.commit-ok", "channel.close"),
}
_DEADLY = ("channel.close", "connection.close", "queue.delete", "basic.cancel", "exchange.delete")


class _Confirms:
    """The confirms of one channel."""

    def __init__(self) -> None:
        self.sent_count = 0
        self.outstanding: set[int] = set()


class Session:
    """What one server is told and says during one example."""

    def __init__(self, access: Access, prefix: str) -> None:
        self.outstanding: dict[Key, int] = {}  # Delivery tags.
        self._access = access
        self._names = Names(prefix)
        self._connections: dict[int, Connection] = {}
        self._probe = Probe(access.janitors, self._connections, self._note)
        self._notes: Notes = defaultdict(list)
        self._confirms: dict[tuple[int, int], _Confirms] = {}
        self._no_ack: dict[tuple[int, int, str], bool] = {}
        self._delivered_counts: dict[tuple[int, int, str], int] = defaultdict(int)
        self._pending_consumes: dict[tuple[int, int], list[bool]] = defaultdict(list)
        self._new_replies: dict[str, str] = {}
        self._has_quorum_queues = False
        self._exchanges: set[Place] = set()
        # Bindings between predeclared exchanges, and where.
        self._lasting: list[tuple[str, Mapping[str, Any]]] = []
        self._undoing: dict[tuple[str, ...], Mapping[str, Any] | None] = {}
        self._message_number = 0
        self._pause_s = 0.0

    # Steps

    def run(self, step: Step, operation: Operation) -> Notes:
        """Do one step, and note everything that follows from it."""
        self._notes = defaultdict(list)
        self._pause_s = 0.0
        if isinstance(operation, Manage):
            self._manage(operation)
            if operation.drops and step.connection in self._connections:
                self._drop(step.connection)
        elif self._open(step):
            if isinstance(operation, Drop):
                self._drop(step.connection)
            else:
                self._connections[step.connection].send(self._encode(step, operation))
            if isinstance(operation, Call) and operation.name in _AWAITED:
                answers = _AWAITED[operation.name]
                self._read(step.connection, lambda event: event.name in answers)
        self._settle()
        return self._notes

    def finish(self) -> Notes:
        """End all connections; note what is left in the queues, and which exchanges are."""
        self._notes = defaultdict(list)
        for slot, connection in list(self._connections.items()):
            if connection.alive:
                connection.send(wire.method(0, "connection.close", code=200))
                self._read(slot, lambda event: event.name == "connection.close-ok")
                self._pause_s = _DEATH_PAUSE_S
                self._settle()
        for place in list(self._probe.readable()):
            for told, event in self._access.janitors[place[0]].take_all(place[1]):
                line = f"{shown_place(place)} holds {told} {self._shown(event)}"
                self._notes["left"].append(self._names.take_out(line))
        for place in sorted(self._exchanges):
            janitor = self._access.janitors[place[0]]
            event = janitor.ask("exchange.declare", exchange=place[1], passive=True)
            line = f"{shown_place(place)} {event.name}"
            self._notes["exchanges"].append(self._names.take_out(line))
        return self._notes

    def clean_up(self) -> None:
        """Delete all that the example may have made."""
        for connection in self._connections.values():
            connection.close()
        for path, body in self._undoing.items():
            self._access.management.call("DELETE" if body is None else "PUT", path, body)
        self._probe.delete_all()
        for virtual_host, exchange in self._exchanges:
            self._access.janitors[virtual_host].ask("exchange.delete", exchange=exchange)
        for virtual_host, binding in self._lasting:
            self._access.janitors[virtual_host].ask("exchange.unbind", **binding)

    def outstanding_on(self, step: Step) -> list[Key]:
        """The deliveries that a step's channel could acknowledge, oldest first."""
        keys = [key for key in self.outstanding if key[:2] == (step.connection, step.channel)]
        return sorted(keys, key=self.outstanding.__getitem__)

    def upto(self, key: Key) -> set[Key]:
        """What an acknowledgement of `key` and all before it would be about."""
        tag = self.outstanding[key]
        return {k for k, t in self.outstanding.items() if k[:2] == key[:2] and t <= tag}

    # Saying things

    def _open(self, step: Step) -> bool:
        """Whether the channel is open, now if not before; a refusal is noted."""
        connection = self._connections.get(step.connection)
        if connection is None or not connection.alive:
            try:
                connection = Connection(self._access.port, *LOGINS[step.connection])
            except RefusedError as refused:
                self._note(step.connection, refused.event)
                return False
            self._connections[step.connection] = connection
        if step.channel not in connection.open_channels:
            connection.send(wire.method(step.channel, "channel.open"))
            self._read(step.connection, lambda event: event.name == "channel.open-ok")
        return connection.alive

    def _drop(self, slot: int) -> None:
        self._connections[slot].close()
        self._forget(slot)
        self._pause_s = _DROP_PAUSE_S

    def _manage(self, request: Manage) -> None:
        path = self._names.put_in(request.path)
        answer = self._access.management.call(
            request.method, path, self._names.put_in(request.body)
        )
        self._notes["api"].append(self._names.take_out(answer))
        self._undoing[path] = request.undone_by
        self._pause_s = _CHANGE_PAUSE_S

    def _encode(self, step: Step, operation: Operation) -> bytes:
        where = step.connection, step.channel
        if isinstance(operation, Burst):
            return b"".join(self._encode(step, each) for each in operation.operations)
        if isinstance(operation, Raw):
            self._pause_s = _DEATH_PAUSE_S
            return WRONG[operation.wrong](step.channel)
        if isinstance(operation, Publish):
            named = Publish(**{k: self._names.put_in(v) for k, v in vars(operation).items()})
            return self._encode_publish(where, named)
        if isinstance(operation, Settle):
            return self._encode_settle(where, operation)
        assert isinstance(operation, Call)
        fields = {name: self._names.put_in(value) for name, value in operation.fields.items()}
        self._foresee(where, operation.name, fields)
        number = 0 if operation.name.startswith("connection.") else step.channel
        return wire.method(number, operation.name, **fields)

    def _encode_publish(self, where: tuple[int, int], publish: Publish) -> bytes:
        frames = []
        for _ in range(publish.count):
            self._message_number += 1
            frames.append(encode_publish(publish, where[1], self._message_number))
            if where in self._confirms:
                confirms = self._confirms[where]
                confirms.sent_count += 1
                confirms.outstanding.add(confirms.sent_count)
        return b"".join(frames)

    def _encode_settle(self, where: tuple[int, int], settle: Settle) -> bytes:
        tag = settle.tag or 0
        fields: dict[str, Any] = {"delivery_tag": tag}
        if settle.method != "basic.reject":
            fields["multiple"] = settle.multiple
        if settle.method != "basic.ack":
            fields["requeue"] = settle.requeue
        multiple = fields.get("multiple")
        for key, known in list(self.outstanding.items()):
            covered = known == tag or (multiple and (known < tag or not tag))
            if key[:2] == where and covered:
                del self.outstanding[key]
        return wire.method(where[1], settle.method, **fields)

    def _foresee(self, where: tuple[int, int], name: str, fields: Mapping[str, Any]) -> None:
        """Remember what is needed to understand the answers."""
        virtual_host = LOGINS[where[0]].virtual_host
        if name in _DEADLY:
            self._pause_s = _DEATH_PAUSE_S
        if name == "queue.declare":
            self._foresee_queue(virtual_host, fields)
        elif name == "exchange.declare" and fields.get("exchange", "").startswith(
            self._names.prefix
        ):
            self._exchanges.add((virtual_host, fields["exchange"]))
        elif name == "exchange.bind":
            if all(fields.get(end, "").startswith("amq.") for end in ("source", "destination")):
                binding = {key: fields[key] for key in fields if key != "nowait"}
                self._lasting.append((virtual_host, binding))
        elif name == "confirm.select":
            self._confirms.setdefault(where, _Confirms())
        elif name.startswith("basic."):
            self._foresee_deliveries(where, name, fields)

    def _foresee_queue(self, virtual_host: str, fields: Mapping[str, Any]) -> None:
        queue = fields.get("queue", "")
        if queue and not queue.startswith(REPLY_TO):
            self._probe.add(virtual_host, queue.replace("\r", "").replace("\n", ""))
        if ("x-queue-type", ("S", "quorum")) in fields.get("arguments", ()):
            self._has_quorum_queues = True

    def _foresee_deliveries(
        self, where: tuple[int, int], name: str, fields: Mapping[str, Any]
    ) -> None:
        if name == "basic.consume":
            no_ack = bool(fields.get("no_ack"))
            if fields.get("nowait") and fields.get("consumer_tag"):
                self._no_ack.setdefault((*where, fields["consumer_tag"]), no_ack)
            elif not fields.get("nowait"):
                self._pending_consumes[where].append(no_ack)
        elif name == "basic.get":
            self._no_ack[*where, "get"] = bool(fields.get("no_ack"))
            if self._has_quorum_queues and not fields.get("no_ack"):
                # From now on such a queue of RabbitMQ's may count that as a consumer.
                self._probe.counts_consumers = False
        elif name.startswith("basic.recover"):
            for key in [key for key in self.outstanding if key[:2] == where]:
                del self.outstanding[key]

    # Hearing things

    def _settle(self) -> None:
        """Wait until nothing moves any more."""
        before: object = None
        for _ in range(_ROUNDS_MAX):
            if self._has_quorum_queues:
                time.sleep(_QUORUM_PAUSE_S)
            self._fence(*self._connections)
            self._await_confirms()
            if self._pause_s:
                time.sleep(self._pause_s)
                self._pause_s = 0.0
            self._probe.look()
            now = self._probe.counts, sum(map(len, self._notes.values()))
            if now == before:
                break
            before = now
        else:
            self._notes["rest"].append("never")
        if self._new_replies:
            # Of several consumers the same one on every server.
            self._names.reply_to = self._new_replies[max(self._new_replies)]
            self._new_replies.clear()
        self._notes["queues"] = sorted(map(self._names.take_out, self._probe.show()))

    def _fence(self, *slots: int) -> None:
        """Have everything that was said on these connections worked off by their channels."""
        waiting: dict[int, set[int]] = {}
        for slot in slots:
            connection = self._connections[slot]
            numbers = {number for number in connection.open_channels if number < PROBE_CHANNEL}
            waiting[slot] = numbers
            connection.send(
                b"".join(wire.method(number, "channel.flow", active=True) for number in numbers)
            )
        for slot, numbers in waiting.items():
            still_open = self._connections[slot].open_channels

            def is_done(event: Event, numbers: set[int] = numbers) -> bool:
                if event.name == "channel.flow-ok":
                    numbers.discard(event.channel)
                return not numbers & still_open  # noqa: B023

            if numbers:
                self._read(slot, is_done)

    def _await_confirms(self) -> None:
        for (slot, number), confirms in list(self._confirms.items()):
            deadline = time.monotonic() + _CONFIRMS_TIMEOUT_S
            while confirms.outstanding and (slot, number) in self._confirms:
                if time.monotonic() > deadline:
                    missing = sorted(confirms.outstanding)
                    self._notes[f"c{slot}.{number} confirms"].append(f"missing {missing}")
                    confirms.outstanding.clear()
                    break
                self._fence(slot)

    def _read(self, slot: int, is_done: Callable[[Event], bool]) -> None:
        """Note what comes on a connection until `is_done`, or its end."""
        connection = self._connections[slot]
        while connection.alive:
            event = connection.receive()
            if event.channel < PROBE_CHANNEL:
                self._note(slot, event)
            if is_done(event):
                return

    def _note(self, slot: int, event: Event) -> None:
        if event.name == "channel.flow-ok":
            return
        where = slot, event.channel
        name, fields = event.name, dict(event.fields)
        if name in ("basic.ack", "basic.nack"):
            self._note_confirm(where, event)
            return
        stream = f"c{slot} replies"
        if name in ("basic.deliver", "basic.cancel"):
            stream = f"c{slot}.{event.channel} consumer {fields['consumer_tag']}"
        if name in ("basic.deliver", "basic.get-ok"):
            self._note_delivery(where, fields.pop("consumer_tag", "get"), fields)
            if found := find_made_up(event.properties.decode("latin-1")):
                self._new_replies[self._names.take_out(stream)] = found
        else:
            self._learn(where, event)
        if name == "queue.declare-ok" and not self._probe.counts_consumers:
            del fields["consumer_count"]
        shown = " ".join(f"{key}={value}" for key, value in fields.items())
        content = f" {self._shown(event)}" if name in wire.CONTENT_METHODS else ""
        line = f"{event.channel} {name} {shown}{content}"
        self._notes[self._names.take_out(stream)].append(self._names.take_out(line))

    def _learn(self, where: tuple[int, int], event: Event) -> None:
        """What a reply means for those to come."""
        name = event.name
        if name in ("channel.close", "channel.close-ok"):
            self._forget(*where)
        elif name in ("connection.close", "connection.close-ok", "closed", "silent"):
            self._forget(where[0])
        elif name == "basic.consume-ok":
            no_ack = self._pending_consumes[where].pop(0)
            self._no_ack[*where, event.fields["consumer_tag"]] = no_ack
        elif name == "queue.declare-ok":
            queue = event.fields["queue"]
            if not queue.startswith(REPLY_TO):
                self._probe.add(LOGINS[where[0]].virtual_host, queue)
            if queue.startswith("amq.gen-"):
                self._names.generated = queue

    def _note_delivery(self, where: tuple[int, int], tag: str, fields: dict[str, Any]) -> None:
        """Tags are given to two consumers' deliveries in whatever order the queues were faster."""
        delivery_tag = fields.pop("delivery_tag")
        number = self._delivered_counts[*where, tag] = self._delivered_counts[*where, tag] + 1
        if not self._no_ack.get((*where, tag)):
            self.outstanding[(*where, self._names.take_out(tag), number)] = delivery_tag

    def _note_confirm(self, where: tuple[int, int], event: Event) -> None:
        confirms = self._confirms.get(where)
        tag = event.fields["delivery_tag"]
        numbers = {tag}
        if confirms is not None:
            if event.fields["multiple"]:
                numbers |= {number for number in confirms.outstanding if number <= tag}
            unknown = numbers - confirms.outstanding
            confirms.outstanding -= numbers
        else:
            unknown = numbers
        lines = self._notes[f"c{where[0]}.{where[1]} confirms"]
        lines += [f"{event.name} {number}" for number in sorted(numbers - unknown)]
        lines += [f"{event.name} {number} out of the blue" for number in sorted(unknown)]
        lines.sort()

    def _forget(self, slot: int, channel: int | None = None) -> None:
        """A connection or channel is gone, and with it what it knew."""
        for known in (
            self.outstanding, self._confirms, self._no_ack, self._delivered_counts,
            self._pending_consumes,
        ):  # fmt: skip
            for key in [key for key in known if key[0] == slot and channel in (None, key[1])]:
                del known[key]  # type: ignore[attr-defined]

    def _shown(self, event: Event) -> str:
        return shown_content(event, decodes=self._has_quorum_queues)
