from __future__ import annotations

from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.exchanges.exchange import Exchange
from gateway.values import Long, type_name
from gateway.vhosts.metadata import (
    exchange_document,
    queue_document,
    read_exchange,
    read_queue,
)


def test_an_exchange_is_read_as_it_was_declared() -> None:
    declared = ExchangeDeclaration("x", "topic", True, True, True, {"alternate-exchange": "a"})
    assert read_exchange(exchange_document(Exchange("/", declared))) == declared


def test_a_queue_is_read_as_it_was_declared_with_the_types_of_its_numbers() -> None:
    declared = QueueDeclaration("q", durable=True, auto_delete=True, arguments={"n": Long(5)})
    read = read_queue(queue_document("/", declared))
    assert read == declared
    assert type_name(read.arguments["n"]) == type_name(Long(5))
