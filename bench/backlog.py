"""Fill one durable queue, crash or stop the gateway, start it again, drain the queue.

`python -m bench.backlog`. It shows whether the rate and the memory stay level while the backlog
grows, how long a restart on a long log takes, and that everything confirmed is there, in order.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable

from bench import load
from bench.alone import make_parser, measure
from bench.servers import Server

_MIB = 1 << 20
_TIMEOUT_S = 900.0


def progress_printer(server: Server, verb: str) -> Callable[[int, float], None]:
    """Print the rate since the last call, and the memory."""
    last_count, last_seconds = 0, 0.0

    def on_progress(count: int, seconds: float) -> None:
        nonlocal last_count, last_seconds
        rate = (count - last_count) / (seconds - last_seconds)
        last_count, last_seconds = count, seconds
        rss = server.rss_bytes() / _MIB
        print(f"{count:>11,} {verb}  {rate:>9,.0f} msg/s  RSS {rss:>6,.0f} MiB", flush=True)

    return on_progress


def run(server: Server, options: argparse.Namespace) -> None:
    """Fill, restart, drain; print each step."""
    messages, crash = options.messages, options.stop == "kill"
    step = max(1, messages // 10)
    filled = load.run(
        server, "--mode", "publish", "--persistent", "--confirms", 1000, "--messages", messages,
        "--keep", "--progress", step, timeout_s=_TIMEOUT_S,
        on_progress=progress_printer(server, "confirmed"),
    )  # fmt: skip
    print_total("filled", filled)
    if crash:
        server.kill()
    else:
        server.stop()
    ready_s = server.start()
    rss = server.rss_bytes() / _MIB
    how = "kill -9" if crash else "SIGTERM"
    print(f"ready again after {how} in {ready_s:.2f} s, RSS {rss:,.0f} MiB", flush=True)
    drained = load.run(
        server, "--mode", "consume", "--persistent", "--prefetch", 200, "--messages", messages,
        "--progress", step, timeout_s=_TIMEOUT_S,
        on_progress=progress_printer(server, "consumed "),
    )  # fmt: skip
    print_total("drained, all there, in order", drained)


def print_total(what: str, figures: load.Figures) -> None:
    """Print the figures of one whole step."""
    print(
        f"{what}: {figures.messages:,} in {figures.seconds:.1f} s, "
        f"{figures.messages_per_s:,.0f} msg/s, {figures.broker_cpu_us:.1f} us of broker CPU each"
    )


def main() -> int:
    """Read the command line and run it on a new gateway."""
    parser = make_parser("bench.backlog")
    parser.add_argument("--messages", type=int, default=1_000_000, metavar="N")
    parser.add_argument("--stop", choices=["kill", "term"], default="kill", help="how (kill -9)")
    return measure(parser.parse_args(), run)


if __name__ == "__main__":
    sys.exit(main())
