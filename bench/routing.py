"""Bind a hundred thousand times, route, restart, and take everything away again.

`python -m bench.routing --bindings 100000`. It runs a gateway in this process, without a protocol:
what is measured is topology. Each pattern gets an exchange and a queue of its own; the memory is
what the process has grown by, per binding.
"""

from __future__ import annotations

import argparse
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from twisted.internet.task import Clock

from bench.timers import rss_mib, run_at_once
from gateway.declarations import ExchangeDeclaration, QueueBinding, QueueDeclaration
from gateway.exchanges.bindings import Arguments
from gateway.gateway import Gateway
from gateway.messages import Header
from protocols.amqp.codec import encode_properties
from protocols.amqp.language import AmqpLanguage

_MIB = 1 << 20
_ROUTE_S = 1.0  # How long routing is measured.
_QUEUE = "all"
_SPAWN = multiprocessing.get_context("spawn")


class Pattern(NamedTuple):
    """What is bound, and what is routed: the number of a binding -> its key and arguments."""

    name: str
    type: str
    bind: Callable[[int], tuple[str, Arguments]]
    route: Callable[[int], tuple[str, Arguments]]


def _key(form: str) -> Callable[[int], tuple[str, Arguments]]:
    return lambda number: (form.format(number, number % 300, number // 300), {})


def _headers(match: str) -> Callable[[int], tuple[str, Arguments]]:
    return lambda number: (
        "",
        {"x-match": match, "kind": "order", "user": number, "region": f"r{number % 300}"},
    )


_MESSAGE = ("", {"kind": "other", "user": 7, "region": "none", "size": 5})
PATTERNS = (
    Pattern("direct", "direct", _key("key.{0}"), _key("key.{0}")),
    Pattern("topic: a.b.<n>", "topic", _key("a.{1}.{2}"), _key("a.{1}.{2}")),
    Pattern("topic: *.<n>.#", "topic", _key("*.{1}.{2}.#"), _key("x.{1}.{2}.y.z")),
    Pattern("topic: #.<n>.#.<m>.#", "topic", _key("#.{1}.#.{2}.#"), _key("x.{1}.y.{2}.z")),
    Pattern("topic: mixed", "topic", lambda n: (_mixed(n), {}), _key("a0.b1.c2.d3.e{0}")),
    Pattern("headers: all", "headers", _headers("all"), _headers("all")),
    Pattern("headers: any", "headers", _headers("any"), lambda number: _MESSAGE),
)


def _mixed(number: int) -> str:
    """Every mixture of words, `*` and `#` in five places, then others."""
    words = []
    for place, letter in enumerate("abcde"):
        number, choice = divmod(number, 4)
        words.append(("*", "#", f"{letter}{place}", f"{letter}{number % 97}")[choice])
    return ".".join([*words, f"{number}"])


def _per_second(count: int, started: float) -> float:
    return count / (time.perf_counter() - started)


def start(folder: Path) -> Gateway:
    """A gateway on a folder, with AMQP's language."""
    gateway = Gateway(folder, Clock(), run_at_once)
    gateway.add_language(AmqpLanguage())
    gateway.start()
    return gateway


def measure(pattern_index: int, folder: Path, count: int, durable: bool) -> None:
    """Bind, route, and unbind by deleting the queue; print one line."""
    pattern = PATTERNS[pattern_index]
    gateway = start(folder)
    host = gateway.default_virtual_host
    host.declare_queue(QueueDeclaration(_QUEUE, durable=durable))
    host.declare_exchange(ExchangeDeclaration("x", pattern.type, durable=durable))
    bindings = [pattern.bind(number) for number in range(count)]
    before_mib = rss_mib()
    started = time.perf_counter()
    for key, arguments in bindings:
        host.bind(QueueBinding(_QUEUE, "x", key, arguments))
    bound = _per_second(count, started)
    size = (rss_mib() - before_mib) * _MIB / count
    routed = _measure_routes(pattern, gateway, count)
    restart_s = 0.0
    if durable:
        gateway.stop()
        started = time.perf_counter()
        gateway = start(folder)
        restart_s = time.perf_counter() - started
        host = gateway.default_virtual_host
    held = len(host.exchanges["x"].bindings)
    started = time.perf_counter()
    host.delete_queue(_QUEUE)
    removed = _per_second(held, started)
    gateway.stop()
    print(
        f"{pattern.name:<22} {held:>9,} {bound:>11,.0f} {1e6 / routed:>9.1f} {removed:>11,.0f}"
        f" {size:>8,.0f}" + (f" {restart_s:>9.2f}" if durable else ""),
        flush=True,
    )


def _measure_routes(pattern: Pattern, gateway: Gateway, count: int) -> float:
    """Routes per second, each of another message."""
    language = AmqpLanguage()
    host = gateway.default_virtual_host
    exchange = host.exchanges["x"]
    messages: list[tuple[str, Header]] = []
    for number in range(2000):
        key, arguments = pattern.route(number * 7919 % count)
        headers = {name: value for name, value in arguments.items() if name != "x-match"}
        header = language.header(encode_properties({"headers": headers}))
        assert header.properties  # Decoding it is not what is measured.
        messages.append((key, header))
    routed = 0
    started = time.perf_counter()
    while time.perf_counter() - started < _ROUTE_S:
        for key, header in messages[:50]:
            host.find_targets(exchange, (key,), header)
        messages = messages[50:] + messages[:50]
        routed += 50
    return _per_second(routed, started)


def main() -> int:
    """Every pattern, transient and durable."""
    parser = argparse.ArgumentParser(prog="python -m bench.routing", description=__doc__)
    parser.add_argument("--bindings", type=int, default=100_000)
    parser.add_argument("--data-root", type=Path, help="where the temporary folder is made")
    parser.add_argument("--only", default="", help="patterns whose name begins so")
    options = parser.parse_args()
    for durable in (False, True):
        print(
            f"\n{'durable' if durable else 'transient':<22} {'bindings':>9} {'bound/s':>11}"
            f" {'us/route':>9} {'removed/s':>11} {'bytes':>8}" + (" restart s" if durable else "")
        )
        for pattern in PATTERNS:
            if pattern.name.startswith(options.only):
                with tempfile.TemporaryDirectory(dir=options.data_root) as folder:
                    # In a process of its own: memory that another one gave back is none.
                    arguments = (PATTERNS.index(pattern), Path(folder), options.bindings, durable)
                    process = _SPAWN.Process(target=measure, args=arguments)
                    process.start()
                    process.join()
    return 0


if __name__ == "__main__":
    sys.exit(main())
