"""Many connections, channels, queues, bindings and consumers: what each costs, on ours and on
RabbitMQ in one run.

`python -m bench.scale`. The client is `amqp_dialogues.c`: prebuilt octets, every answer awaited and
checked, and its own share of a core told, for near 1 a rate would be its own and not the broker's.
Beside every load somebody else asks a small question every 2 ms: "worst ms" is how long that one
waited for an answer at most, and so how long the load held everybody up.
"""

from __future__ import annotations

import argparse
import os
import resource
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import frames, load
from bench.dialogues import CLOSE, CONNECT, HANG_UP, NUMBER, Dialogues, Step, Told, ask_all
from bench.probe import Probe
from bench.servers import RabbitMQ, RosettaMQ, Server, ServerError

_TICKS = os.sysconf("SC_CLK_TCK")
_AT_ONCE = 20  # Connections that come and go together.
_SETTLED_CPU_S = 0.05  # Less than this in half a second, and a broker has nothing left to do.
_SETTLE_POLLS = 120
_COLUMNS = (
    "{:22} {:10} {:>8} {:>8} {:>12} {:>11} {:>9} {:>10}",
    "{:22} {:10} {:>8,} {:>8,.0f} {:>12,.1f} {:>11,.0f} {:>9,.0f} {:>10.2f}",
)
_HEADINGS = (
    "load",
    "server",
    "count",
    "per s",
    "CPU us each",
    "bytes each",
    "worst ms",
    "generator",
)


@dataclass(slots=True)
class Row:
    """What one load came to."""

    count: int
    seconds: float = 0.0
    cpu_seconds: float = 0.0
    grown_bytes: int = 0
    worst_s: float = 0.0
    generator_cpu_seconds: float = 0.0

    def told(self, told: Told) -> None:
        """The generator has done a part of it."""
        self.generator_cpu_seconds += told.cpu_seconds


def cpu_seconds(server: Server) -> float:
    """What the broker's process has used, with all its threads."""
    fields = Path(f"/proc/{server.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def settle(server: Server) -> None:
    """Wait until the broker has nothing to do any more."""
    for _ in range(_SETTLE_POLLS):
        before = cpu_seconds(server)
        time.sleep(0.5)
        if cpu_seconds(server) - before < _SETTLED_CPU_S:
            return


class Loads:
    """All loads of one server, in their order."""

    def __init__(self, server: Server, scale: float) -> None:
        self._server = server
        self._scale = scale

    def run(self, wanted: Sequence[str]) -> None:
        """Run those that are wanted; each leaves the broker as it was, but for its caches."""
        for name, measure in self.all().items():
            if not wanted or name in wanted:
                measure()

    def all(self) -> dict[str, Callable[[], None]]:
        """The loads by name."""
        return {
            "connections": self._connections,
            "channels": self._channels,
            "queues": self._queues,
            "durable": self._durable,
            "exclusive": self._exclusive,
            "consumers": self._consumers,
            "each-a-message": self._each_a_message,
            "short": self._short_connections,
            "churn": self._churn,
        }

    def _scaled(self, count: int) -> int:
        return int(count * self._scale)

    @contextmanager
    def _measured(self, name: str, count: int, settles: bool = False) -> Iterator[Row]:
        """Measure what happens inside; if it `settles`, until the broker has worked it off."""
        row = Row(count)
        rss, cpu, started = self._server.rss_bytes(), cpu_seconds(self._server), time.monotonic()
        with Probe(self._server.port) as probe:
            yield row
            row.seconds = time.monotonic() - started
            if settles:
                settle(self._server)
        row.worst_s = probe.worst_s
        row.cpu_seconds = cpu_seconds(self._server) - cpu
        row.grown_bytes = self._server.rss_bytes() - rss
        self._print(name, row)

    def _ask(
        self, name: str, clients: Dialogues, requests: Sequence[bytes], answer: tuple[int, int]
    ) -> None:
        """Measure how long it takes until one connection has an answer to each."""
        steps = ask_all(requests, answer)
        with self._measured(name, len(requests)) as row:
            row.told(clients.say(1, steps))

    def _connections(self) -> None:
        count = self._scaled(10_000)
        with Dialogues(self._server) as clients:
            clients.open(100, 100)
            clients.say(100, CLOSE)
            with self._measured("connections", count) as row:
                row.told(clients.open(count, 100))
            with self._measured("connections-dropped", count, settles=True) as row:
                row.told(clients.drop())

    def _channels(self) -> None:
        opening = [frames.open_channel(2 + number) for number in range(self._scaled(1_000))]
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            self._ask("channels", clients, opening, frames.CHANNEL_OPEN_OK)
            clients.say(1, CLOSE)

    def _queues(self) -> None:
        """Transient queues, and a binding for some of them, to one exchange."""
        count, bound_count = self._scaled(100_000), self._scaled(20_000)
        names = [f"scale-t-{number:06}" for number in range(count)]
        declaring = [frames.declare(name) for name in names]
        binding = [frames.bind(name, "amq.topic", f"scale.{name}") for name in names[:bound_count]]
        deleting = [frames.delete(name) for name in names]
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            self._ask("queues", clients, declaring, frames.DECLARE_OK)
            self._ask("bindings", clients, binding, frames.BIND_OK)
            self._ask("queues-deleted", clients, deleting, frames.DELETE_OK)
            clients.say(1, CLOSE)

    def _durable(self) -> None:
        """Durable queues and bindings, a restart with them, and their end."""
        count = self._scaled(10_000)
        names = [f"scale-d-{number:06}" for number in range(count)]
        declaring = [frames.declare(name, frames.DURABLE) for name in names]
        binding = [frames.bind(name, "amq.topic", f"scale.{name}") for name in names]
        deleting = [frames.delete(name) for name in names]
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            self._ask("durable-queues", clients, declaring, frames.DECLARE_OK)
            self._ask("durable-bindings", clients, binding, frames.BIND_OK)
            clients.say(1, CLOSE)
        self._server.stop()
        seconds = self._server.start()
        cpu = cpu_seconds(self._server)
        self._print("restart-with-them", Row(2 * count, seconds, cpu))
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            self._ask("durable-deleted", clients, deleting, frames.DELETE_OK)
            clients.say(1, CLOSE)

    def _exclusive(self) -> None:
        """Queues that go all at once with their connection."""
        count = self._scaled(10_000)
        names = [f"scale-e-{number:06}" for number in range(count)]
        declaring = [frames.declare(name, frames.EXCLUSIVE) for name in names]
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            clients.say(1, ask_all(declaring, frames.DECLARE_OK))
            with self._measured("exclusive-dropped", count, settles=True) as row:
                row.told(clients.drop())

    def _consumers(self) -> None:
        """Many consumers of one queue, and messages for them."""
        count, messages = self._scaled(10_000), self._scaled(100_000)
        queue = "scale-consumers"
        consuming = [frames.consume(queue, f"tag-{number}") for number in range(count)]
        with Dialogues(self._server) as clients, Dialogues(self._server) as publisher:
            publisher.open(1, 1, [*CONNECT, Step(frames.declare(queue), frames.DECLARE_OK)])
            clients.open(1, 1)
            self._ask("consumers", clients, consuming, frames.CONSUME_OK)
            with self._measured("messages-for-them", messages) as row:
                batch = frames.publish("", queue, b"body") * 100
                saying = Step(batch + frames.declare(queue, frames.PASSIVE), frames.DECLARE_OK)
                row.told(publisher.say(1, [saying] * (messages // 100)))
                self._await_deliveries(clients, messages)
            with self._measured("consumers-dropped", count, settles=True) as row:
                row.told(clients.drop())
            publisher.say(1, [Step(frames.delete(queue), frames.DELETE_OK), *CLOSE])

    def _each_a_message(self) -> None:
        """Many connections with a consumer each, and for each a message in every second."""
        count, seconds = self._scaled(5_000), 5
        queue = f"scale-each-{NUMBER}"
        consuming = (
            Step(frames.declare(queue, frames.EXCLUSIVE), frames.DECLARE_OK),
            Step(frames.consume(queue), frames.CONSUME_OK),
        )
        per_step = max(1, count // 100)
        with Dialogues(self._server) as clients, Dialogues(self._server) as publisher:
            clients.open(count, 100, [*CONNECT, *consuming])
            sync = "scale-sync"
            declaring = Step(frames.declare(sync, frames.EXCLUSIVE), frames.DECLARE_OK)
            publisher.open(1, 1, [*CONNECT, declaring])
            messages = [frames.publish("", f"scale-each-{at:06}", b"b" * 64) for at in range(count)]
            asking = frames.declare(sync, frames.PASSIVE)
            steps = [
                Step(b"".join(messages[at : at + per_step]) + asking, frames.DECLARE_OK)
                for at in range(0, count, per_step)
            ]
            with self._measured("each-a-message", count * seconds) as row:
                started = time.monotonic()
                for number, step in enumerate(steps * seconds):
                    time.sleep(max(0.0, started + number / len(steps) - time.monotonic()))
                    row.told(publisher.say(1, [step]))
                self._await_deliveries(clients, count * seconds)

    def _await_deliveries(self, clients: Dialogues, count: int) -> None:
        deadline = time.monotonic() + 60
        while (delivered := clients.count().delivered) != count:
            if time.monotonic() > deadline or delivered > count:
                raise load.LoadError(f"{delivered} messages were delivered, not {count}")
            time.sleep(0.01)

    def _short_connections(self) -> None:
        count, queue = self._scaled(10_000), "scale-short"
        steps = (*CONNECT[:-1], Step(frames.open_channel(), frames.CHANNEL_OPEN_OK))
        said = frames.publish("", queue, b"body") + frames.CLOSE
        with Dialogues(self._server) as clients, Dialogues(self._server) as consumer:
            consumer.open(1, 1, [*CONNECT, Step(frames.declare(queue), frames.DECLARE_OK)])
            dialogue = [*steps, Step(said, frames.CLOSE_OK), Step(b"", HANG_UP)]
            with self._measured("connect-publish-close", count) as row:
                row.told(clients.open(count, _AT_ONCE, dialogue))
            consumer.say(1, [Step(frames.consume(queue), frames.CONSUME_OK)])
            self._await_deliveries(consumer, count)
            consumer.say(1, [Step(frames.delete(queue), frames.DELETE_OK), *CLOSE])

    def _churn(self) -> None:
        """One who publishes as fast as it goes: alone, and while temporary queues come and go."""
        seconds = 5.0 * max(self._scale, 0.4)
        self._publish("publishing-alone", seconds)
        ended = threading.Event()
        with Dialogues(self._server) as clients:
            clients.open(1, 1)
            thread = threading.Thread(target=_churn, args=(clients, ended))
            thread.start()
            try:
                self._publish("publishing-in-churn", seconds)
            finally:
                ended.set()
                thread.join()

    def _publish(self, name: str, seconds: float) -> None:
        limit = ("--in-flight", 2000, "--body", 100, "--queues", 1000)
        figures = load.run(self._server, "--seconds", seconds, *limit)
        row = Row(figures.messages, figures.seconds)
        row.cpu_seconds = figures.broker_cpu_us * figures.messages / 1e6
        row.generator_cpu_seconds = figures.generator_cpu_share * figures.seconds
        row.worst_s = (figures.p999_us or 0.0) / 1e6
        self._print(name, row)

    def _print(self, title: str, row: Row) -> None:
        figures = (
            row.count,
            row.count / row.seconds,
            row.cpu_seconds / row.count * 1e6,
            row.grown_bytes / row.count,
            row.worst_s * 1e3,
            row.generator_cpu_seconds / row.seconds,
        )
        print(_COLUMNS[1].format(title, self._server.name, *figures), flush=True)


def _churn(clients: Dialogues, ended: threading.Event) -> None:
    """Declare, bind, unbind and delete a thousand queues a second."""
    due, number = time.monotonic(), 0
    while not ended.is_set():
        steps = []
        for _ in range(10):
            name = f"scale-churn-{number}"
            number += 1
            steps += [
                Step(frames.declare(name), frames.DECLARE_OK),
                Step(frames.bind(name, "amq.topic", name), frames.BIND_OK),
                Step(frames.unbind(name, "amq.topic", name), frames.UNBIND_OK),
                Step(frames.delete(name), frames.DELETE_OK),
            ]
        clients.say(1, steps)
        due += 0.01
        time.sleep(max(0.0, due - time.monotonic()))


def main() -> int:
    """Measure the servers one after the other; 1 if one of them failed."""
    servers: dict[str, type[RosettaMQ | RabbitMQ]] = {RosettaMQ.name: RosettaMQ}
    if RabbitMQ.is_installed():
        servers[RabbitMQ.name] = RabbitMQ
    parser = argparse.ArgumentParser(prog="python -m bench.scale")
    parser.add_argument("--quick", action="store_true", help="a tenth of each load")
    parser.add_argument("--servers", type=lambda text: text.split(","), default=list(servers))
    parser.add_argument("--loads", type=lambda text: text.split(","), default=[])
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where both keep their data")
    arguments = parser.parse_args()
    load.build()
    # Both brokers and this client may open as many files as the administrator grants.
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(_COLUMNS[0].format(*_HEADINGS))
    failed = False
    with tempfile.TemporaryDirectory(prefix="rosettamq-bench-", dir=arguments.data_root) as root:
        for name in arguments.servers:
            try:
                with servers[name](Path(root) / name) as server:
                    Loads(server, 0.1 if arguments.quick else 1.0).run(arguments.loads)
                    server.check_running()
            except (OSError, ServerError, load.LoadError) as error:
                print(f"{name}: {error}", file=sys.stderr)
                failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
