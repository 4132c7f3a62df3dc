"""Durable exchanges and queues as documents of the core's metadata, by which a restart knows them.

Each begins with the name of its virtual host, by which `Gateway.start` hands it on.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from gateway.declarations import ExchangeDeclaration, QueueDeclaration
from gateway.exchanges.exchange import Exchange
from gateway.queues.queue import Queue
from gateway.values import type_names, with_types

Document: TypeAlias = "list[Any]"


def exchange_key(virtual_host: str, name: str) -> str:
    """By what the document of an exchange is found."""
    return "\0".join((virtual_host, name))


def exchange_document(exchange: Exchange) -> Document:
    """A durable exchange."""
    return [
        exchange.virtual_host,
        exchange.name,
        exchange.type,
        exchange.auto_delete,
        exchange.internal,
        exchange.arguments,
    ]


def read_exchange(document: Document) -> ExchangeDeclaration:
    """The exchange of a document."""
    _, name, type, auto_delete, internal, arguments = document
    return ExchangeDeclaration(name, type, True, auto_delete, internal, arguments)


def queue_document(virtual_host: str, queue: QueueDeclaration | Queue) -> Document:
    """A durable queue that is to be, or is.

    What that was not declared with comes last, by name; see `Keepers` for other queues that have
    something there.
    """
    more: dict[str, Any] = {"types": type_names(queue.arguments)}
    if isinstance(queue, Queue):
        if queue.expects_expiry:
            more["may_expire"] = True
        if queue.ttl_history:
            more["ttl_history"] = queue.ttl_history
    return [virtual_host, queue.name, queue.auto_delete, dict(queue.arguments), more]


def read_queue(document: Document) -> QueueDeclaration:
    """The queue of a document, as it was declared."""
    _, name, auto_delete, arguments, more = document
    arguments = with_types(arguments, more["types"])
    return QueueDeclaration(name, durable=True, auto_delete=auto_delete, arguments=arguments)
