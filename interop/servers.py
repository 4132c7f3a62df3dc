"""The brokers that a scenario can run against. Ours today; its peers when answers are compared."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from gateway.demo.broker_process import BrokerProcess
from gateway.demo.sample import Address


@dataclass(frozen=True, slots=True)
class Server:
    """A running broker, and where it listens."""

    name: str
    addresses: Mapping[str, Address]


@contextmanager
def rosettamq_server() -> Iterator[Server]:
    """A gateway of its own on free ports and a fresh data folder."""
    with (
        tempfile.TemporaryDirectory(prefix="rosettamq-interop-") as folder,
        BrokerProcess(Path(folder)) as broker,
    ):
        yield Server("rosettamq", broker.addresses)
