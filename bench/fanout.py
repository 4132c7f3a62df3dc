"""Fan out persistent messages to many durable queues: what one costs on disk, and how fast it is.

`python -m bench.fanout`. The body should be stored once, however many queues there are; then every
queue is read to the end, which checks that each of them got every message, in order.
"""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

from bench import load
from bench.alone import make_parser, measure
from bench.servers import RosettaMQ

_MIB = 1 << 20


def log_bytes(data_dir: Path) -> int:
    """How much is written in the commit log; zeros behind it are only preallocated."""
    return sum(written_bytes(path) for path in (data_dir / "commitlog").iterdir())


def written_bytes(path: Path) -> int:
    """The position behind the last byte that is not 0."""
    with path.open("rb") as file:
        end = file.seek(0, os.SEEK_END)
        while end > 0:
            start = max(0, end - _MIB)
            file.seek(start)
            if written := file.read(end - start).rstrip(b"\0"):
                return start + len(written)
            end = start
    return 0


def run(server: RosettaMQ, options: argparse.Namespace) -> None:
    """Publish, look at the log, consume; print each."""
    messages, queues = options.messages, options.queues
    load_options = ("--persistent", "--fanout", "bench-fanout", "--queues", queues)
    before = log_bytes(server.data_dir)
    published = load.run(
        server, *load_options, "--mode", "publish", "--confirms", 1000, "--messages", messages,
        "--keep", timeout_s=600,
    )  # fmt: skip
    grown = log_bytes(server.data_dir) - before
    print(f"{messages:,} messages of 1 KiB to each of {queues:,} queues")
    print(
        f"published  {published.messages_per_s:,.0f} msg/s, "
        f"{published.messages_per_s * queues:,.0f} entries/s, "
        f"{published.broker_cpu_us:,.1f} us of broker CPU per message"
    )
    print(f"log        {grown / messages:,.0f} bytes per message, {grown / _MIB:,.1f} MiB in all")
    print(f"RSS        {server.rss_bytes() / _MIB:,.0f} MiB")
    consumed = load.run(
        server, *load_options, "--mode", "consume", "--prefetch", 200, timeout_s=600
    )
    print(
        f"consumed   {consumed.messages_per_s:,.0f} deliveries/s, "
        f"{consumed.broker_cpu_us:,.1f} us of broker CPU per delivery; all there, in order"
    )
    print(f"RSS        {server.rss_bytes() / _MIB:,.0f} MiB")


def main() -> int:
    """Read the command line and run it on a new gateway."""
    parser = make_parser("bench.fanout")
    parser.add_argument("--messages", type=int, default=5000, metavar="N")
    parser.add_argument("--queues", type=int, default=1000, metavar="N")
    return measure(parser.parse_args(), run)


if __name__ == "__main__":
    sys.exit(main())
