"""What the commands share that load our gateway alone: it is new, and its data go with it."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

from bench import load
from bench.servers import RosettaMQ, ServerError


def make_parser(module: str) -> argparse.ArgumentParser:
    """The command line of a module, with the options that all of them have."""
    parser = argparse.ArgumentParser(prog=f"python -m {module}")
    parser.add_argument("--data-root", type=Path, metavar="DIR", help="where to keep the data")
    parser.add_argument("--set", action="append", default=[], dest="settings", metavar="KEY=VALUE")
    return parser


def measure(
    options: argparse.Namespace, run: Callable[[RosettaMQ, argparse.Namespace], None]
) -> int:
    """Run it on a new gateway; returns the exit code."""
    load.build()
    try:
        with (
            tempfile.TemporaryDirectory(prefix="rosettamq-bench-", dir=options.data_root) as folder,
            RosettaMQ(Path(folder), options.settings) as server,
        ):
            run(server, options)
    except (load.LoadError, ServerError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0
