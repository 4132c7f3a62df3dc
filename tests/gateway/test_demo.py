from __future__ import annotations

import sys
from collections import defaultdict, deque

import pytest
import stomp
from rich.console import Console
from stomp.exception import ConnectFailedException

from gateway.demo import command
from gateway.demo.command import LANGUAGES, run_demo, travel
from gateway.demo.sample import ClientError, Received, Sample
from gateway.demo.stomp_client import StompClient

QUEUES: defaultdict[str, deque[Sample]] = defaultdict(deque)


class MemoryClient:
    """A client of a broker that is a dictionary."""

    def __init__(self, name: str) -> None:
        self.name = name

    def publish(self, queue: str, sample: Sample) -> None:
        QUEUES[queue].append(sample)

    def consume(self, queue: str, count: int, acknowledge: bool = True) -> list[Received]:
        return [Received(QUEUES[queue].popleft(), False) for _ in range(count)]


def test_every_order_is_read_in_the_other_two_languages() -> None:
    journeys = list(travel([MemoryClient(name) for name in LANGUAGES]))
    pairs = [(journey.sender, journey.receiver) for journey in journeys]
    assert pairs == [(a, b) for a in LANGUAGES for b in LANGUAGES if a != b]
    assert all(journey.sent == journey.arrived for journey in journeys)
    assert not any(QUEUES.values())


def test_the_table_names_both_languages_and_the_order() -> None:
    console = Console(width=80, record=True, file=sys.stderr)
    console.print(command.make_table(list(travel([MemoryClient(name) for name in LANGUAGES]))))
    line = next(line for line in console.export_text().splitlines() if "order 3" in line)
    for word in ("stomp.py", "pika", "from-stomp", "yes"):
        assert word in line


def test_a_broker_without_stomp_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object, **options: object) -> None:
        raise ConnectFailedException

    monkeypatch.setattr(stomp.Connection12, "connect", refuse)
    with pytest.raises(ClientError, match=r"no STOMP connection to mq\.example:61613"):
        StompClient(("mq.example", 61613)).consume("q", 1)


@pytest.mark.parametrize(
    ("addresses", "message"),
    [
        (("here", "127.0.0.1:1", "127.0.0.1:2"), "an address is HOST:PORT"),
        (("127.0.0.1:1", None, None), "give all of --amqp, --stomp and --name-server"),
    ],
)
def test_bad_addresses(
    addresses: tuple[str | None, str | None, str | None],
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_demo(*addresses) == 2
    assert message in capsys.readouterr().err


def test_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pika", None)
    for name in ("gateway.demo.clients", "gateway.demo.pika_client"):
        monkeypatch.delitem(sys.modules, name, raising=False)
    assert run_demo(None, None, None) == 2
    assert "pip install 'rosettamq[interop]'" in capsys.readouterr().err
