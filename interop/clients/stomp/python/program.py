"""The scenarios with stomp.py: program.py HOST PORT PREFIX."""

from __future__ import annotations

import json
import queue
import sys
import time
from importlib.metadata import version
from typing import Any

import stomp
from stomp.utils import Frame

HOST, PORT, PREFIX = sys.argv[1:4]
PATIENCE_S = 20.0


class Client(stomp.ConnectionListener):  # type: ignore[misc]
    """A connection whose frames can be waited for."""

    def __init__(self, passcode: str = "guest", **settings: Any) -> None:
        self.frames: queue.Queue[tuple[str, Frame]] = queue.Queue()
        self.connection = stomp.Connection12(
            [(HOST, int(PORT))], vhost="/", auto_decode=False, **settings
        )
        self.connection.set_listener("", self)
        self.connection.connect("guest", passcode, wait=False)
        kind, frame = self.frames.get(timeout=PATIENCE_S)
        self.refusal = "" if kind == "connected" else frame.headers["message"]

    def on_connected(self, frame: Frame) -> None:
        self.frames.put(("connected", frame))

    def on_message(self, frame: Frame) -> None:
        self.frames.put(("message", frame))

    def on_error(self, frame: Frame) -> None:
        self.frames.put(("error", frame))

    def on_receipt(self, frame: Frame) -> None:
        self.frames.put(("receipt", frame))

    def receive(self, kind: str = "message") -> Frame:
        while (received := self.frames.get(timeout=PATIENCE_S))[0] != kind:
            pass
        return received[1]

    def subscribe(self, destination: str, ack: str = "auto", id: str = "s", **more: str) -> None:
        self.connection.subscribe(destination, id, ack, headers=more)

    def send(self, destination: str, body: str | bytes, **headers: str) -> None:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.connection.send(destination, body, headers=named)

    def end(self) -> None:
        self.connection.disconnect()


def named(name: str) -> str:
    return f"/queue/{PREFIX}{name}"


def refused_login() -> object:
    return Client(passcode="wrong").refusal


def headers() -> object:
    c = Client()
    c.subscribe(named("headers"))
    c.connection.send(
        named("headers"),
        "käse",
        content_type="text/plain",
        headers={"colon": "a:b\\c", "umlaut": "ü", "correlation-id": "c1"},
    )
    frame = c.receive()
    c.end()
    names = ("colon", "umlaut", "correlation-id", "content-type")
    return [frame.body.decode(), *(frame.headers[name] for name in names)]


def binary() -> object:
    c = Client()
    c.subscribe(named("binary"))
    c.send(named("binary"), bytes(range(256)))
    frame = c.receive()
    c.end()
    return frame.body == bytes(range(256))


def receipts() -> object:
    c = Client()
    for number in range(100):
        c.send(named("receipts"), str(number), persistent="true", receipt=f"r{number}")
    seen = {c.receive("receipt").headers["receipt-id"] for _ in range(100)}
    c.end()
    return len(seen)


def redelivery() -> object:
    c = Client()
    c.send(named("redelivery"), "m")
    c.subscribe(named("redelivery"), "client-individual")
    first = c.receive()
    c.end()
    c = Client()
    c.subscribe(named("redelivery"), "client-individual")
    second = c.receive()
    c.connection.ack(second.headers["ack"])
    c.end()
    return [first.headers["redelivered"], second.headers["redelivered"]]


def nack() -> object:
    c = Client()
    c.subscribe(named("nack"), "client-individual")
    c.send(named("nack"), "m")
    c.connection.nack(c.receive().headers["ack"])
    again = c.receive()
    c.connection.ack(again.headers["ack"])
    c.end()
    return again.headers["redelivered"]


def transactions() -> object:
    c = Client()
    c.connection.begin("t1")
    c.send(named("transactions"), "aborted", transaction="t1")
    c.connection.abort("t1")
    c.connection.begin("t2")
    for body in ("1", "2"):
        c.send(named("transactions"), body, transaction="t2")
    c.connection.commit("t2")
    c.subscribe(named("transactions"))
    bodies = [c.receive().body.decode() for _ in range(2)]
    c.end()
    return bodies


def topic() -> object:
    c = Client()
    c.subscribe(f"/topic/{PREFIX}a.*", id="one")
    c.subscribe(f"/topic/{PREFIX}a.#", id="all")
    c.send(f"/topic/{PREFIX}a.b", "m")
    seen = sorted(c.receive().headers["subscription"] for _ in range(2))
    c.end()
    return seen


def reply() -> object:
    c, server = Client(), Client()
    server.subscribe(named("questions"))
    c.send(named("questions"), "question", reply_to="/temp-queue/answers")
    server.send(server.receive().headers["reply-to"], "answer")
    frame = c.receive()
    c.end()
    server.end()
    return [frame.body.decode(), frame.headers["subscription"]]


def errors() -> object:
    c = Client()
    c.send("/nothing/a", "m")
    refused = c.receive("error")
    c.subscribe(named("errors"))
    c.send(named("errors"), "still here")
    frame = c.receive()
    c.end()
    return [refused.headers["message"], frame.body.decode()]


def in_order() -> object:
    c, other = Client(), Client()
    other.subscribe(named("order"), "client-individual", **{"prefetch-count": "50"})
    for number in range(2_000):
        c.send(named("order"), str(number))
    for number in range(2_000):
        frame = other.receive()
        assert frame.body == str(number).encode(), f"{frame.body!r} where {number} was due"
        other.connection.ack(frame.headers["ack"])
    c.end()
    other.end()
    return 2_000


def heart_beats() -> object:
    c = Client(heartbeats=(1000, 1000))
    time.sleep(4)
    c.subscribe(named("beats"))
    c.send(named("beats"), "alive")
    frame = c.receive()
    c.end()
    return frame.body.decode()


SCENARIOS = {
    "refused login": refused_login,
    "headers": headers,
    "binary": binary,
    "receipts": receipts,
    "redelivery": redelivery,
    "nack": nack,
    "transactions": transactions,
    "topic": topic,
    "reply": reply,
    "errors": errors,
    "in order": in_order,
    "heart-beats": heart_beats,
}


def main() -> None:
    """Run them all."""
    print(json.dumps({"library": f"stomp.py {version('stomp.py')}"}), flush=True)
    for name, scenario in SCENARIOS.items():
        said: dict[str, object] = {"scenario": name}
        try:
            said["seen"] = scenario()
        except Exception as error:
            said["problem"] = f"{type(error).__name__}: {error}"
        print(json.dumps(said), flush=True)


main()
