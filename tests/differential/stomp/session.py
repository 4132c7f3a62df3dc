"""One server's side of an example: does what it is told, waits until nothing moves, and notes it.

After each step a fence is put on every connection, a SEND that nobody gets and whose RECEIPT says
that everything before it went through; every queue is asked for its counts, over AMQP; and this is
repeated until a round brings nothing new. What came is then noted in streams whose inner order is
certain: the answers of a connection, the deliveries of a subscription, the receipts of SENDs.
"""

from __future__ import annotations

import re
import time
import zlib
from collections import defaultdict
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from tests.differential import wire
from tests.differential.brokers import Access
from tests.differential.definitions import HOME
from tests.differential.steps import Burst, Drop, body_of
from tests.differential.stomp.client import Connection, Event, Headers, encode
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
from tests.differential.transcripts import Notes

# A delivery, called the same on every server: its connection, its subscription, which one it was.
Key: TypeAlias = "tuple[int, str, int]"

VERSIONS = ("1.2", "1.1", "1.0")  # Of the connections, unless a step says otherwise.
_MADE_UP = re.compile(
    r"(?:stomp-subscription-|amq\.gen-|session-)[A-Za-z0-9_-]{22}(?![A-Za-z0-9_-])"
)
_DELIVERY_TAG = re.compile(r"(@@session#\d+@@)\d+")
_FENCE = "fence-"
_FENCE_DESTINATION = "/exchange/amq.match/fence"
_ROUNDS_MAX = 30
_PAUSE_S = 0.01  # A process of RabbitMQ's dies, and others hear of it, in its own time.
_DEADLY = ("DISCONNECT", "UNSUBSCRIBE", "SUBSCRIBE")


class Session:
    """What one server is told and says during one example."""

    def __init__(self, access: Access, prefix: str, queues: list[str]) -> None:
        self.outstanding: dict[Key, tuple[int, str]] = {}  # Delivery tags, and what to ACK with.
        self._port = access.stomp_port
        self._janitor = access.janitors[HOME]
        self._prefix = prefix
        self._queues = [prefix + queue for queue in queues]
        self._connections: dict[int, Connection] = {}
        self._versions: dict[int, str] = {}
        self._ack_modes: dict[tuple[int, str], str] = {}
        self._delivered_counts: dict[tuple[int, str], int] = defaultdict(int)
        self._notes: Notes = defaultdict(list)
        self._made_up: dict[str, dict[str, str]] = defaultdict(dict)  # By what it begins with.
        self._counts: dict[str, str] = {}
        self._message_number = 0
        self._fence_number = 0
        self._pauses = False

    # Steps

    def run(self, step: Step, operation: Operation) -> Notes:
        """Do one step, and note everything that follows from it."""
        self._notes = defaultdict(list)
        if isinstance(operation, Connect):
            self._connect(step.connection, operation.command, operation.headers)
        else:
            self._open(step.connection)
            self._pauses = False
            connection = self._connections[step.connection]
            if isinstance(operation, Drop):
                connection.close()
                self._forget(step.connection)
                self._pauses = True
            else:
                connection.send(self._encode(step.connection, operation))
        self._settle()
        return self._notes

    def finish(self) -> Notes:
        """End all connections; note what is left in the queues."""
        self._notes = defaultdict(list)
        for slot, connection in list(self._connections.items()):
            if connection.alive:
                connection.send(encode("DISCONNECT", (("receipt", "bye"),)))
                self._read(slot, lambda event: False)
                self._pauses = True
                self._settle()
        for queue in self._queues:
            if "ready" in self._counts[queue]:
                self._drain(queue)
        return self._notes

    def clean_up(self) -> None:
        """Delete all that the example may have made."""
        for connection in self._connections.values():
            connection.close()
        for queue in self._queues:
            self._janitor.ask("queue.delete", queue=queue)

    def outstanding_on(self, slot: int) -> list[Key]:
        """The deliveries that a connection could acknowledge, oldest first."""
        keys = [key for key in self.outstanding if key[0] == slot]
        return sorted(keys, key=lambda key: self.outstanding[key][0])

    def covered_by(self, key: Key) -> set[Key]:
        """What an acknowledgement of `key` is about."""
        tag = self.outstanding[key][0]
        if self._ack_modes.get(key[:2]) != "client":
            return {key}
        return {k for k, (t, _) in self.outstanding.items() if k[0] == key[0] and t <= tag}

    # Saying things

    def _open(self, slot: int) -> None:
        connection = self._connections.get(slot)
        if connection is None or not connection.alive:
            version = VERSIONS[slot % len(VERSIONS)]
            accepts = (("accept-version", version),) if version != "1.0" else ()
            self._connect(slot, "CONNECT", (*accepts, ("login", "guest"), ("passcode", "guest")))

    def _connect(self, slot: int, command: str, headers: Headers) -> None:
        if slot in self._connections:
            self._connections[slot].close()
            self._forget(slot)
            time.sleep(_PAUSE_S)
        connection = self._connections[slot] = Connection(self._port)
        connection.send(encode(command, headers, escapes=False))
        event = connection.receive()
        if event.command == "CONNECTED":
            self._versions[slot] = event.get("version") or "1.0"
        else:
            connection.close()  # RabbitMQ leaves that to the client, for ten seconds.
        self._note(slot, event)

    def _encode(self, slot: int, operation: Operation) -> bytes:
        if isinstance(operation, Burst):
            return b"".join(self._encode(slot, each) for each in operation.operations)
        if isinstance(operation, Raw):
            self._pauses = True
            return WRONG[operation.wrong]
        if isinstance(operation, Send):
            return self._encode_send(operation)
        if isinstance(operation, Settle):
            return self._encode_settle(slot, operation)
        assert isinstance(operation, Say)
        self._pauses = self._pauses or operation.command in _DEADLY
        headers = self._named(operation.headers)
        if operation.command == "SUBSCRIBE":
            self._foresee_subscription(slot, dict(reversed(headers)))
        return encode(operation.command, headers, operation.body)

    def _encode_send(self, send: Send) -> bytes:
        frames = []
        for _ in range(send.count):
            self._message_number += 1
            body = body_of(self._message_number, send.size)
            headers = self._named((("destination", send.destination), *send.headers))
            if send.receipt:
                headers += (("receipt", f"r{self._message_number}"),)
            if send.measured:
                headers += (("content-length", str(len(body))),)
            frames.append(encode("SEND", headers, body))
        return b"".join(frames)

    def _encode_settle(self, slot: int, settle: Settle) -> bytes:
        """`StompPair` has put the delivery in the headers, and it is settled from now on."""
        if not any(name == "transaction" for name, _ in settle.headers):
            acknowledged = {value for _, value in settle.headers}
            for key, (_, value) in list(self.outstanding.items()):
                if key[0] == slot and value in acknowledged:
                    for covered in self.covered_by(key):
                        del self.outstanding[covered]
        return encode(settle.command, self._named(settle.headers))

    def settle_header(self, key: Key) -> tuple[str, str]:
        """How an ACK of this connection names a delivery."""
        name = "id" if self._versions[key[0]] == "1.2" else "message-id"
        return name, self.outstanding[key][1]

    def _foresee_subscription(self, slot: int, headers: Mapping[str, str]) -> None:
        identifier = headers.get("id")
        tag = f"T_{identifier}" if identifier is not None else f"Q_{headers.get('destination')}"
        self._ack_modes.setdefault((slot, self._clean(tag)), headers.get("ack", "auto"))

    def _named(self, headers: Headers) -> Headers:
        return tuple((name, value.replace("~", self._prefix)) for name, value in headers)

    # Hearing things

    def _settle(self) -> None:
        """Wait until nothing moves any more."""
        before: object = None
        for _ in range(_ROUNDS_MAX):
            for slot in self._connections:
                self._fence(slot)
            if self._pauses:
                time.sleep(_PAUSE_S)
                self._pauses = False
            self._probe()
            now = dict(self._counts), sum(map(len, self._notes.values()))
            if now == before:
                break
            before = now
        else:
            self._notes["rest"].append("never")
        self._notes["queues"] = sorted(
            self._clean(f"{name}: {counts}") for name, counts in self._counts.items()
        )
        for stream in self._notes:
            if stream.endswith(" receipts"):
                self._notes[stream].sort()

    def _fence(self, slot: int) -> None:
        connection = self._connections[slot]
        if not connection.alive:
            return
        self._fence_number += 1
        receipt = f"{_FENCE}{self._fence_number}"
        headers = (("destination", _FENCE_DESTINATION), ("receipt", receipt))
        connection.send(encode("SEND", headers))
        self._read(slot, lambda event: event.get("receipt-id") == receipt)

    def _read(self, slot: int, is_done: Callable[[Event], bool]) -> None:
        """Note what comes on a connection until `is_done`, or its end."""
        connection = self._connections[slot]
        while connection.alive:
            event = connection.receive()
            self._note(slot, event)
            if is_done(event):
                return

    def _note(self, slot: int, event: Event) -> None:
        if event.command == "MESSAGE":
            self._note_delivery(slot, event)
            return
        if event.command in ("closed", "silent"):
            self._forget(slot)
        if event.command == "RECEIPT":
            receipt = event.get("receipt-id") or ""
            if not receipt.startswith(_FENCE):
                self._notes[f"c{slot} receipts"].append(self._shown(event))
            return
        self._notes[f"c{slot} answers"].append(self._shown(event))

    def _note_delivery(self, slot: int, event: Event) -> None:
        value = event.get("message-id") or ""
        tag, _, number = value.rpartition("@@")
        subscription = self._clean(tag.rpartition("@@")[0])
        key = slot, subscription
        self._delivered_counts[key] += 1
        if self._ack_modes.get(key, "auto") != "auto":
            shown = slot, subscription, self._delivered_counts[key]
            self.outstanding[shown] = int(number), value
        self._notes[f"c{slot} subscription {subscription}"].append(self._shown(event))

    def _shown(self, event: Event) -> str:
        """A MESSAGE's own headers may come in any order: RabbitMQ 4.3 has them in a map."""
        pairs = list(event.headers)
        if event.command == "MESSAGE":
            names = [name for name, _ in pairs]
            own = 1 + max(map(names.index, {"redelivered", "ack"}.intersection(names)))
            pairs = pairs[:own] + sorted(pairs[own:])
        headers = " ".join(
            f"{name}={value!r}" for name, value in pairs if name not in ("server", "content-length")
        )
        line = f"{event.command} {headers} {_shown_body(event.body)}".rstrip()
        return _DELIVERY_TAG.sub(r"\1", self._clean(line))

    def _forget(self, slot: int) -> None:
        """A connection is gone, and with it what it knew."""
        known: dict[Any, Any]
        for known in (self.outstanding, self._ack_modes, self._delivered_counts):
            for key in [key for key in known if key[0] == slot]:
                del known[key]

    def _clean(self, text: str) -> str:
        """Without what differs from run to run."""

        def replace(match: re.Match[str]) -> str:
            known = self._made_up[match[0][:-22]]
            return known.setdefault(match[0], f"{match[0][:-23]}#{len(known) + 1}")

        return _MADE_UP.sub(replace, text.replace(self._prefix, "~"))

    # Looking from outside

    def _probe(self) -> None:
        """Ask every queue for its counts."""
        for queue in self._queues:
            event = self._janitor.ask("queue.declare", queue=queue, passive=True)
            if event.name == "queue.declare-ok":
                ready, consumers = event.fields["message_count"], event.fields["consumer_count"]
                self._counts[queue] = f"{ready} ready, {consumers} consumers"
            else:
                self._counts[queue] = "missing" if event.fields["code"] == 404 else "locked"

    def _drain(self, queue: str) -> None:
        """Note what is left, as AMQP shows it: so what a SEND was made into is compared, too."""
        for told, event in self._janitor.take_all(queue):
            line = f"{queue} holds {told} |{_shown_properties(event.properties)}"
            self._notes["left"].append(self._clean(f"{line} | {_shown_body(event.body)}"))


def _shown_properties(octets: bytes) -> str:
    """RabbitMQ's plugin sends a table of headers even where there are none."""
    properties = wire.decode_properties(octets)
    properties["headers"] = sorted(wire.decode_texts(properties.pop("headers", b"")))
    return "".join(f" {name}={value!r}" for name, value in properties.items())


def _shown_body(body: bytes) -> str:
    if len(body) <= 300:
        return repr(body)[1:] if body else ""
    return f"{body[:8]!r}..., {len(body)} bytes, crc {zlib.crc32(body):x}"
