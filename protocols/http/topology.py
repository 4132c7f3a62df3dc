"""Exchanges, queues and bindings, over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import msgspec

from gateway.declarations import (
    BindingDeclaration,
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.exchanges.bindings import Binding, Destination
from gateway.exchanges.exchange import Exchange
from protocols.http import views
from protocols.http.call import NO_CONTENT, Answer, Call, not_found, put_answer, short_text

if TYPE_CHECKING:
    from gateway.queues.queue import Queue

DEFAULT_EXCHANGE = "amq.default"  # What the exchange without a name is called in paths.


def exchange_name(call: Call, part: str = "exchange") -> str:
    """The exchange in the path."""
    name = call.names[part]
    return "" if name == DEFAULT_EXCHANGE else name


# Queues


class QueueBody(msgspec.Struct):
    """PUT of a queue. One that says nothing is durable."""

    durable: bool = True
    auto_delete: bool = False
    arguments: dict[str, Any] = {}

    def named(self, name: str) -> QueueDeclaration:
        """What to declare."""
        return QueueDeclaration(
            name, durable=self.durable, auto_delete=self.auto_delete, arguments=self.arguments
        )


class ActionBody(msgspec.Struct):
    """POST of something to do with a queue."""

    action: str


def queues(call: Call) -> Any:
    """All queues that the user may see, or those of one virtual host."""
    return [views.queue(queue) for host in call.virtual_hosts() for queue in host.queues.values()]


def queue(call: Call) -> Any:
    """One queue, with its consumers."""
    found = find_queue(call)
    name = {"name": found.name, "vhost": found.virtual_host.name}
    consumers = [each for each in views.consumers(call.gateway) if each["queue"] == name]
    return {**views.queue(found), "consumer_details": consumers}


def find_queue(call: Call) -> Queue:
    """The queue in the path, to look at. Raises `HttpError`."""
    found = call.virtual_host.queues.get(call.names["queue"])
    if found is None:
        raise not_found()
    return found


def put_queue(call: Call) -> Any:
    """Declare a queue."""
    body = call.body(QueueBody)
    entered, name = call.entered, short_text(call.names["queue"], "the name")
    is_new = name not in entered.queues
    entered.declare_queue(body.named(name))
    return put_answer(is_new)


def delete_queue(call: Call) -> Any:
    """Delete a queue."""
    find_queue(call)
    call.entered.delete_queue(
        call.names["queue"], if_unused=call.flag("if-unused"), if_empty=call.flag("if-empty")
    )
    return NO_CONTENT


def purge_queue(call: Call) -> Any:
    """Drop what is ready."""
    find_queue(call)
    call.entered.read_queue(call.names["queue"]).purge()
    return NO_CONTENT


def queue_action(call: Call) -> Any:
    """RabbitMQ's actions are about replicas: there is nothing to do."""
    find_queue(call)
    call.body(ActionBody)
    return NO_CONTENT


# Exchanges


class ExchangeBody(msgspec.Struct):
    """PUT of an exchange. One that says nothing of it is durable."""

    type: str
    durable: bool = True
    auto_delete: bool = False
    internal: bool = False
    arguments: dict[str, Any] = {}

    def named(self, name: str) -> ExchangeDeclaration:
        """What to declare."""
        return ExchangeDeclaration(
            name, self.type, self.durable, self.auto_delete, self.internal, self.arguments
        )


def exchanges(call: Call) -> Any:
    """All exchanges that the user may see, or those of one virtual host."""
    hosts = call.virtual_hosts()
    return [
        {**views.exchange(each), **views.delays(host, each)}
        for host in hosts
        for each in host.exchanges.values()
    ]


def exchange(call: Call) -> Any:
    """One exchange."""
    found = _find_exchange(call)
    return {**views.exchange(found), **views.delays(call.virtual_host, found)}


def put_exchange(call: Call) -> Any:
    """Declare an exchange."""
    body = call.body(ExchangeBody)
    entered, name = call.entered, short_text(exchange_name(call), "the name")
    is_new = name not in entered.exchanges
    entered.declare_exchange(body.named(name))
    return put_answer(is_new)


def delete_exchange(call: Call) -> Any:
    """Delete an exchange."""
    call.entered.delete_exchange(_find_exchange(call).name, if_unused=call.flag("if-unused"))
    return NO_CONTENT


def _find_exchange(call: Call, part: str = "exchange") -> Exchange:
    found = call.virtual_host.exchanges.get(exchange_name(call, part))
    if found is None:
        raise not_found()
    return found


# Bindings


class BindingBody(msgspec.Struct):
    """POST of a binding."""

    routing_key: str = ""
    arguments: dict[str, Any] = {}


def bindings(call: Call) -> Any:
    """All bindings that the user may see, or those of one virtual host."""
    return [each for host in call.virtual_hosts() for each in views.bindings(host)]


def bindings_of_source(call: Call) -> Any:
    """Those of an exchange as a source."""
    source = _find_exchange(call).name
    return [each for each in views.bindings(call.virtual_host) if each["source"] == source]


def bindings_of_destination(call: Call) -> Any:
    """Those of an exchange as a destination."""
    return _bindings_to(call, "exchange", _find_exchange(call).name)


def bindings_of_queue(call: Call) -> Any:
    """Those of a queue."""
    return _bindings_to(call, "queue", find_queue(call).name)


def _bindings_to(call: Call, kind: str, name: str) -> list[dict[str, Any]]:
    return [
        each
        for each in views.bindings(call.virtual_host)
        if (each["destination_type"], each["destination"]) == (kind, name)
    ]


def bindings_between(call: Call) -> Any:
    """Those between an exchange and a destination."""
    source, destination = _find_exchange(call).name, _find_destination(call)
    found = _bindings_to(call, _binding_to(destination).kind, destination.name)
    return [each for each in found if each["source"] == source]


def post_binding(call: Call) -> Any:
    """Bind; the answer says where the binding is."""
    body = call.body(BindingBody)
    source, destination = _find_exchange(call), _find_destination(call)
    short_text(body.routing_key, "the routing key")
    declared = _binding_to(destination)
    call.entered.bind(declared(destination.name, source.name, body.routing_key, body.arguments))
    key = views.properties_key(Binding.make(destination, body.routing_key, body.arguments))
    place = f"{quote(destination.name, safe='')}/{quote(key, safe='')}"
    return Answer(201, headers={"location": place})


def binding(call: Call) -> Any:
    """One binding."""
    return views.binding(_find_exchange(call), _find_binding(call))


def delete_binding(call: Call) -> Any:
    """Unbind."""
    source, found = _find_exchange(call), _find_binding(call)
    arguments = dict(views.thaw(found.arguments) or {})
    declared, name = _binding_to(found.destination), found.destination.name
    call.entered.unbind(declared(name, source.name, found.routing_key, arguments))
    return NO_CONTENT


def _binding_to(destination: Destination) -> type[BindingDeclaration]:
    return ExchangeBinding if isinstance(destination, Exchange) else QueueBinding


def _find_destination(call: Call) -> Destination:
    if "queue" in call.names:
        return find_queue(call)
    return _find_exchange(call, "destination")


def _find_binding(call: Call) -> Binding:
    """The binding in the path: by its key, or as some clients do it, by its routing key."""
    destination, wanted = _find_destination(call), call.names["properties_key"]
    for found in _find_exchange(call).bindings:
        if found.destination is destination and (
            views.properties_key(found) == wanted
            or (found.routing_key == wanted and not found.arguments)
        ):
            return found
    raise not_found()
