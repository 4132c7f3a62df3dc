"""The methods of a channel that are not on the hot path: one function each."""

from __future__ import annotations

import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from pamqp import commands

from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import AccessRefusedError, NotFoundError, PreconditionFailedError
from gateway.queues.queue import Queue
from gateway.vhosts.names import clean_name
from protocols.amqp.channel import Channel
from protocols.amqp.codec import encode_method
from protocols.amqp.confirms import Confirming
from protocols.amqp.fields import encode_name, encode_short
from protocols.amqp.properties import REPLY_TO
from protocols.amqp.replies import AmqpError

if TYPE_CHECKING:
    from protocols.amqp.connection import AmqpConnection

_Method: TypeAlias = "Callable[[AmqpConnection, Channel, Any], None]"


def handle(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    """Carry out one method. Raises `AmqpError` or `GatewayError`."""
    method = _METHODS.get(type(command))
    if method is None:
        raise AmqpError("COMMAND_INVALID", "unimplemented method", _ids(command))
    method(connection, channel, command)


def _reply(channel: Channel, class_id: int, method_id: int, arguments: bytes = b"") -> None:
    channel.output.append(encode_method(channel.number, class_id, method_id, arguments))


def _ids(command: Any) -> tuple[int, int]:
    return command.index >> 16, command.index & 0xFFFF


def _queue_name(channel: Channel, name: str) -> str:
    """An empty name means the queue that this channel declared last."""
    if name:
        return name
    if not channel.last_queue:
        raise NotFoundError("no previously declared queue")
    return channel.last_queue


def _find_queue(connection: AmqpConnection, channel: Channel, name: str) -> Queue:
    """The queue of this name, to read; those for direct replies are nobody's to look into."""
    name = _queue_name(channel, name)
    if _names_replies(name):
        connection.virtual_host.check_readable(name)
        raise _no_queue(connection, name)
    return connection.virtual_host.read_queue(name, connection)


# channel


def _channel_flow(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if not command.active:
        raise AmqpError("NOT_IMPLEMENTED", "active=false", _ids(command))
    _reply(channel, 20, 21, b"\x01")


# exchange


def _exchange_declare(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if command.passive:
        name = clean_name(command.exchange)
        if not name:
            raise AccessRefusedError("operation not permitted on the default exchange")
        connection.virtual_host.find_exchange(name)
    else:
        wanted = ExchangeDeclaration(
            name=command.exchange,
            type=command.exchange_type,
            durable=command.durable,
            auto_delete=command.auto_delete,
            internal=command.internal,
            arguments=command.arguments or {},
        )
        connection.virtual_host.declare_exchange(wanted)
        if command.durable:
            connection.hold()
    if not command.nowait:
        _reply(channel, 40, 11)


def _exchange_delete(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    connection.virtual_host.delete_exchange(command.exchange, if_unused=command.if_unused)
    connection.hold()
    if not command.nowait:
        _reply(channel, 40, 21)


def _exchange_bind(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    connection.virtual_host.bind(_exchange_binding(command))
    connection.hold()
    if not command.nowait:
        _reply(channel, 40, 31)


def _exchange_unbind(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    connection.virtual_host.unbind(_exchange_binding(command))
    connection.hold()
    if not command.nowait:
        _reply(channel, 40, 51)


def _exchange_binding(command: Any) -> ExchangeBinding:
    return ExchangeBinding(
        command.destination, command.source, command.routing_key, command.arguments or {}
    )


# queue


def _queue_declare(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    virtual_host = connection.virtual_host
    if _names_replies(command.queue):
        _probe_replies(connection, channel, command)
        return
    if command.passive:
        queue = virtual_host.find_queue(clean_name(command.queue), connection)
        queue.touch()
    else:
        wanted = QueueDeclaration(
            name=command.queue,
            durable=command.durable,
            exclusive=command.exclusive,
            auto_delete=command.auto_delete,
            arguments=command.arguments or {},
        )
        queue = virtual_host.declare_queue(wanted, connection)
        if queue.durable:
            connection.hold()
    channel.last_queue = queue.name
    if not command.nowait:
        counts = queue.ready_count.to_bytes(4, "big") + queue.consumer_count.to_bytes(4, "big")
        _reply(channel, 50, 11, encode_short(encode_name(queue.name)) + counts)


def _names_replies(name: str) -> bool:
    return name == REPLY_TO or name.startswith(REPLY_TO + ".")


def _probe_replies(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    """Declaring where direct replies go only asks whether somebody waits for them."""
    name = command.queue
    if name != REPLY_TO and name not in connection.virtual_host.queues:
        raise _no_queue(connection, name)
    channel.last_queue = name
    if not command.nowait:
        _reply(channel, 50, 11, encode_short(encode_name(name)) + b"\0\0\0\0\0\0\0\x01")


def _no_queue(connection: AmqpConnection, name: str) -> NotFoundError:
    return NotFoundError(f"no queue '{name}' in vhost '{connection.virtual_host.name}'")


def _queue_bind(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    queue = connection.virtual_host.bind(_queue_binding(channel, command), connection)
    if queue.durable:
        connection.hold()
    if not command.nowait:
        _reply(channel, 50, 21)


def _queue_unbind(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    connection.virtual_host.unbind(_queue_binding(channel, command), connection)
    connection.hold()
    _reply(channel, 50, 51)


def _queue_binding(channel: Channel, command: Any) -> QueueBinding:
    name = _queue_name(channel, command.queue)
    routing_key = command.routing_key if command.queue or command.routing_key else name
    return QueueBinding(name, command.exchange, routing_key, command.arguments or {})


def _queue_purge(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    count = _find_queue(connection, channel, command.queue).purge()
    if not command.nowait:
        _reply(channel, 50, 31, count.to_bytes(4, "big"))


def _queue_delete(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    name = _queue_name(channel, command.queue)
    queue = connection.virtual_host.queues.get(name)
    if queue is not None and queue.durable:
        connection.hold()
    place = len(channel.output)
    count = connection.virtual_host.delete_queue(
        name, owner=connection, if_unused=command.if_unused, if_empty=command.if_empty
    )
    if not command.nowait:  # Only then does this channel hear that its consumers are cancelled.
        answer = encode_method(channel.number, 50, 41, count.to_bytes(4, "big"))
        channel.output.insert(place, answer)


# basic


def _basic_qos(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if command.prefetch_size:
        raise AmqpError(
            "NOT_IMPLEMENTED", f"prefetch_size!=0 ({command.prefetch_size})", _ids(command)
        )
    channel.batches.enter()  # What is outstanding counts one by one from now on.
    if command.global_:
        channel.prefetch = command.prefetch_count
    else:
        channel.prefetch = 0  # So RabbitMQ does.
        channel.consumer_prefetch = command.prefetch_count
    channel.wake_subscriptions()
    _reply(channel, 60, 11)


def _basic_consume(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    tag = command.consumer_tag
    awaits_replies = command.queue == REPLY_TO
    known = channel.subscriptions.get(tag)
    # That there is a consumer of replies already is told before what tag it has.
    if known is not None and not (awaits_replies and known.queue is channel.reply_queue):
        raise AmqpError("NOT_ALLOWED", f"attempt to reuse consumer tag '{tag}'", _ids(command))
    if awaits_replies:
        queue = _make_reply_queue(connection, channel, command.no_ack)
    else:
        queue = _find_queue(connection, channel, command.queue)
    tag = tag or "amq.ctag-" + urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
    channel.subscribe(tag, queue, command.no_ack, command.exclusive, command.arguments or {})
    if not command.nowait:
        _reply(channel, 60, 21, encode_short(encode_name(tag)))


def _make_reply_queue(connection: AmqpConnection, channel: Channel, no_ack: bool) -> Queue:
    """Direct replies: a queue without a declaration, of one consumer (RabbitMQ's reply-to)."""
    if not no_ack:
        raise PreconditionFailedError("reply consumer cannot acknowledge")
    if channel.reply_queue is not None:
        raise PreconditionFailedError("reply consumer already set")
    queue = connection.virtual_host.make_reply_queue(REPLY_TO + ".", connection)
    channel.reply_queue = queue
    return queue


def _basic_cancel(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    subscription = channel.subscriptions.get(command.consumer_tag)
    if subscription is not None:  # What was published before is still for this one.
        subscription.queue.catch_up()
    channel.unsubscribe(command.consumer_tag)
    if not command.nowait:
        _reply(channel, 60, 31, encode_short(encode_name(command.consumer_tag)))


def _basic_get(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    queue = _find_queue(connection, channel, command.queue)
    deliveries = queue.take(1)
    if deliveries:
        channel.fetched(queue, deliveries[0], command.no_ack)
    else:
        _reply(channel, 60, 72, b"\x00")


def _basic_ack(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    channel.settling.acknowledge(command.delivery_tag, command.multiple)


def _basic_nack(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    channel.settling.reject(command.delivery_tag, command.multiple, command.requeue, 120)


def _basic_reject(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    channel.settling.reject(command.delivery_tag, False, command.requeue, 90)


def _basic_recover(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if not command.requeue:
        raise AmqpError("NOT_IMPLEMENTED", "requeue=false", _ids(command))
    channel.settling.recover()
    if isinstance(command, commands.Basic.Recover):
        _reply(channel, 60, 111)


# confirm and tx


def _confirm_select(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if channel.transaction is not None:
        raise PreconditionFailedError("cannot switch from tx to confirm mode")
    channel.confirming = channel.confirming or Confirming()
    if not command.nowait:
        _reply(channel, 85, 11)


def _tx_select(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    if channel.confirming is not None:
        raise PreconditionFailedError("cannot switch from confirm to tx mode")
    channel.select()
    _reply(channel, 90, 11)


def _tx_commit(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    channel.commit()


def _tx_rollback(connection: AmqpConnection, channel: Channel, command: Any) -> None:
    channel.rollback()
    _reply(channel, 90, 31)


_METHODS: dict[type[Any], _Method] = {
    commands.Channel.Flow: _channel_flow,
    commands.Exchange.Declare: _exchange_declare,
    commands.Exchange.Delete: _exchange_delete,
    commands.Exchange.Bind: _exchange_bind,
    commands.Exchange.Unbind: _exchange_unbind,
    commands.Queue.Declare: _queue_declare,
    commands.Queue.Bind: _queue_bind,
    commands.Queue.Unbind: _queue_unbind,
    commands.Queue.Purge: _queue_purge,
    commands.Queue.Delete: _queue_delete,
    commands.Basic.Qos: _basic_qos,
    commands.Basic.Consume: _basic_consume,
    commands.Basic.Cancel: _basic_cancel,
    commands.Basic.Get: _basic_get,
    commands.Basic.Ack: _basic_ack,
    commands.Basic.Nack: _basic_nack,
    commands.Basic.Reject: _basic_reject,
    commands.Basic.Recover: _basic_recover,
    commands.Basic.RecoverAsync: _basic_recover,
    commands.Confirm.Select: _confirm_select,
    commands.Tx.Select: _tx_select,
    commands.Tx.Commit: _tx_commit,
    commands.Tx.Rollback: _tx_rollback,
}
