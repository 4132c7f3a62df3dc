"""Many connections, channels and queues: what each costs, on ours and on RabbitMQ in one run.

`python -m bench.scale`. The client is plain sockets and frames made by hand; it awaits and checks
every answer, so nothing counts that the broker did not do. Its own CPU limits the rates on two
cores: the broker's CPU per operation is the figure to compare.
"""

from __future__ import annotations

import argparse
import os
import resource
import socket
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from bench.servers import RabbitMQ, RosettaMQ, Server, ServerError

_FRAME_HEAD = Struct(">BHI")
_METHOD, _HEADER, _BODY = 1, 2, 3
_TIMEOUT_S = 60.0
_TICKS = os.sysconf("SC_CLK_TCK")
_IN_FLIGHT = 200  # Requests of one connection that are not answered yet.
_AT_A_TIME = 20  # Connections that come and go together.
_COLUMNS = ("{:22} {:10}", " {:>8,} {:>8,.0f} {:>12,.0f} {:>11,.0f}", " {:>8} {:>8} {:>12} {:>11}")

_START, _TUNE, _OPEN_OK, _CLOSE_OK = (10, 10), (10, 30), (10, 41), (10, 51)
_CHANNEL_OPEN_OK, _DECLARE_OK, _DELETE_OK = (20, 11), (50, 11), (50, 41)


class WrongAnswerError(Exception):
    """The broker said something else than it should; the text says what."""


@dataclass(frozen=True, slots=True)
class Row:
    """What one load came to."""

    count: int
    seconds: float
    cpu_seconds: float
    grown_bytes: int


def frame(type: int, channel: int, payload: bytes) -> bytes:
    """One frame."""
    return _FRAME_HEAD.pack(type, channel, len(payload)) + payload + b"\xce"


def method(channel: int, class_id: int, method_id: int, arguments: bytes = b"") -> bytes:
    """A method frame."""
    ids = class_id.to_bytes(2, "big") + method_id.to_bytes(2, "big")
    return frame(_METHOD, channel, ids + arguments)


def short(text: str) -> bytes:
    """A short string."""
    return bytes((len(text),)) + text.encode()


def declare(name: str, bits: int = 0) -> bytes:
    """queue.declare on channel 1; bits: 1 passive, 2 durable."""
    return method(1, 50, 10, b"\0\0" + short(name) + bytes((bits,)) + bytes(4))


def delete(name: str) -> bytes:
    """queue.delete on channel 1."""
    return method(1, 50, 40, b"\0\0" + short(name) + b"\0")


def publish(name: str, body: bytes) -> bytes:
    """One message to a queue, on channel 1."""
    header = b"\x00\x3c\0\0" + len(body).to_bytes(8, "big") + b"\0\0"
    begin = method(1, 60, 40, b"\0\0" + short("") + short(name) + b"\0")
    return begin + frame(_HEADER, 1, header) + frame(_BODY, 1, body)


PROTOCOL_HEADER = b"AMQP\0\0\x09\x01"
START_OK = method(
    0, 10, 11, bytes(4) + short("PLAIN") + b"\0\0\0\x0c\0guest\0guest" + short("en_US")
)
TUNE_OK = method(0, 10, 31, b"\x07\xff\0\x02\0\0\0\0")  # 2,047 channels, 128 KiB, no heartbeats.
OPEN = method(0, 10, 40, short("/") + b"\0\0")
CLOSE = method(0, 10, 50, b"\0\xc8" + short("done") + bytes(4))


class Client:
    """One connection: sends frames, and awaits the methods that must come."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), _TIMEOUT_S)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._input = bytearray()

    def send(self, data: bytes) -> None:
        """Send frames."""
        self._socket.sendall(data)

    def expect(self, wanted: tuple[int, int]) -> bytes:
        """The arguments of the next method, which must be this one."""
        while (size := self._frame_size()) is None:
            data = self._socket.recv(1 << 16)
            if not data:
                raise WrongAnswerError(f"hung up where {wanted} was due")
            self._input += data
        found = (
            int.from_bytes(self._input[7:9], "big"),
            int.from_bytes(self._input[9:11], "big"),
        )
        arguments = bytes(self._input[11 : size - 1])
        if self._input[0] != _METHOD or found != wanted:
            raise WrongAnswerError(f"{found} where {wanted} was due: {arguments!r}")
        del self._input[:size]
        return arguments

    def _frame_size(self) -> int | None:
        """The size of the frame that has come, if it is whole."""
        if len(self._input) < _FRAME_HEAD.size:
            return None
        size: int = _FRAME_HEAD.unpack_from(self._input)[2] + _FRAME_HEAD.size + 1
        return size if len(self._input) >= size else None

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


def connect(port: int, count: int) -> list[Client]:
    """Open connections with a channel each, step by step together."""
    clients = [Client(port) for _ in range(count)]
    for data, answer in (
        (PROTOCOL_HEADER, _START),
        (START_OK, _TUNE),
        (TUNE_OK + OPEN, _OPEN_OK),
        (method(1, 20, 10, b"\0"), _CHANNEL_OPEN_OK),
    ):
        for client in clients:
            client.send(data)
        for client in clients:
            client.expect(answer)
    return clients


def disconnect(clients: list[Client]) -> None:
    """Close connections as they should be closed."""
    for client in clients:
        client.send(CLOSE)
    for client in clients:
        client.expect(_CLOSE_OK)
        client.close()


def ask_all(client: Client, requests: list[bytes], answer: tuple[int, int]) -> None:
    """Send requests, so many at a time, and await an answer to each."""
    for start in range(0, len(requests), _IN_FLIGHT):
        some = requests[start : start + _IN_FLIGHT]
        client.send(b"".join(some))
        for _ in some:
            client.expect(answer)


def cpu_seconds(server: Server) -> float:
    """What the broker's process has used, with all its threads."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


class Loads:
    """All loads of one server, in their order."""

    def __init__(self, server: Server, scale: float) -> None:
        self._server = server
        self._scale = scale
        self.rows: dict[str, Row] = {}

    def run(self) -> None:
        """Run them; each leaves the broker as it was, but for its caches."""
        self._connections(self._scaled(10_000))
        self._channels(self._scaled(1_000))
        self._queues(self._scaled(100_000), self._scaled(10_000))
        self._short_connections(self._scaled(5_000))

    def _scaled(self, count: int) -> int:
        return int(count * self._scale)

    @contextmanager
    def _measured(self, name: str, count: int) -> Iterator[None]:
        rss, cpu, started = self._server.rss_bytes(), cpu_seconds(self._server), time.monotonic()
        yield
        seconds = time.monotonic() - started
        used = cpu_seconds(self._server) - cpu
        self.rows[name] = Row(count, seconds, used, self._server.rss_bytes() - rss)

    def _connections(self, count: int) -> None:
        disconnect(connect(self._server.port, 100))  # Warm up.
        clients: list[Client] = []
        with self._measured("connections", count):
            for _ in range(0, count, 100):
                clients += connect(self._server.port, 100)
        disconnect(clients)

    def _channels(self, count: int) -> None:
        (client,) = connect(self._server.port, 1)
        requests = [method(number, 20, 10, b"\0") for number in range(2, count + 2)]
        with self._measured("channels", count):
            ask_all(client, requests, _CHANNEL_OPEN_OK)
        disconnect([client])

    def _queues(self, transient_count: int, durable_count: int) -> None:
        (client,) = connect(self._server.port, 1)
        transient = [f"scale-t-{number:06}" for number in range(transient_count)]
        durable = [f"scale-d-{number:06}" for number in range(durable_count)]
        with self._measured("queues", transient_count):
            ask_all(client, [declare(name) for name in transient], _DECLARE_OK)
        with self._measured("durable-queues", durable_count):
            ask_all(client, [declare(name, 2) for name in durable], _DECLARE_OK)
        names = transient + durable
        with self._measured("delete-queues", len(names)):
            ask_all(client, [delete(name) for name in names], _DELETE_OK)
        disconnect([client])

    def _short_connections(self, count: int) -> None:
        (client,) = connect(self._server.port, 1)
        name = "scale-short"
        ask_all(client, [declare(name)], _DECLARE_OK)
        with self._measured("connect-publish-close", count):
            for _ in range(0, count, _AT_A_TIME):
                clients = connect(self._server.port, _AT_A_TIME)
                for each in clients:
                    each.send(publish(name, b"body"))
                disconnect(clients)
        client.send(declare(name, 1))
        answer = client.expect(_DECLARE_OK)
        held = int.from_bytes(answer[1 + answer[0] : 5 + answer[0]], "big")
        if held != count:
            raise WrongAnswerError(f"{held} of {count} messages are in the queue")
        ask_all(client, [delete(name)], _DELETE_OK)
        disconnect([client])


def print_rows(name: str, rows: dict[str, Row]) -> None:
    """A line for each load."""
    for load, row in rows.items():
        figures = (
            row.count,
            row.count / row.seconds,
            row.cpu_seconds / row.count * 1e6,
            row.grown_bytes / row.count,
        )
        print(_COLUMNS[0].format(load, name) + _COLUMNS[1].format(*figures), flush=True)


def main() -> int:
    """Measure the servers one after the other; 1 if one of them failed."""
    servers: dict[str, type[RosettaMQ | RabbitMQ]] = {RosettaMQ.name: RosettaMQ}
    if RabbitMQ.is_installed():
        servers[RabbitMQ.name] = RabbitMQ
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--quick", action="store_true", help="a tenth of each load")
    parser.add_argument("--servers", type=lambda text: text.split(","), default=list(servers))
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where both keep their data")
    arguments = parser.parse_args()
    # Both brokers and this client may open as many files as the administrator grants.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    headings = ("count", "per s", "CPU us each", "bytes each")
    print(_COLUMNS[0].format("load", "server") + _COLUMNS[2].format(*headings))
    failed = False
    loads: Loads | None = None
    with tempfile.TemporaryDirectory(prefix="rosettamq-bench-", dir=arguments.data_root) as root:
        for name in arguments.servers:
            try:
                with servers[name](Path(root) / name) as server:
                    loads = Loads(server, 0.1 if arguments.quick else 1.0)
                    loads.run()
                    server.check_running()
            except (OSError, ServerError, WrongAnswerError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
            if loads is not None:
                print_rows(name, loads.rows)
                loads = None
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
