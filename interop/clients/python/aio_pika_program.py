"""aio-pika (with aiormq below it): the scenarios as its users write them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import aio_pika
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue
from aio_pika.exceptions import AMQPError, ChannelNotFoundEntity, DeliveryError
from report import Scenario, check, equal, main

WAIT_S = 10.0
SCENARIOS: dict[str, Scenario] = {}


def scenario(name: str) -> Callable[[Callable[[str], Coroutine[Any, Any, Any]]], None]:
    def add(program: Callable[[str], Coroutine[Any, Any, Any]]) -> None:
        SCENARIOS[name] = lambda url: asyncio.run(asyncio.wait_for(program(url), 60.0))

    return add


@asynccontextmanager
async def open_channel(url: str, **options: Any) -> AsyncIterator[AbstractChannel]:
    async with await aio_pika.connect(url) as connection:
        yield await connection.channel(**options)


async def publish(channel: AbstractChannel, queue: str, body: bytes = b"", **options: Any) -> None:
    await channel.default_exchange.publish(aio_pika.Message(body, **options), queue)


async def take(queue: AbstractQueue) -> AbstractIncomingMessage:
    deadline = asyncio.get_running_loop().time() + WAIT_S
    while (message := await queue.get(fail=False)) is None:
        check(asyncio.get_running_loop().time() < deadline, f"nothing came from {queue}")
    return message


async def count(channel: AbstractChannel, queue: str) -> int:
    declared = await channel.declare_queue(queue, passive=True)
    return declared.declaration_result.message_count or 0


@scenario("refused login")
async def refused_login(url: str) -> Any:
    try:
        async with open_channel(url.replace("guest:guest", "guest:wrong")):
            raise AssertionError("a wrong password was accepted")
    except AMQPError as error:
        return f"{type(error).__name__}: {error}"


@scenario("exchange types")
async def exchange_types(url: str) -> Any:
    keys = {"direct": "a.b", "fanout": "ignored", "topic": "a.*", "headers": ""}
    expected = {"direct": 2, "fanout": 6, "topic": 4, "headers": 3}
    all_of_it = {"x-match": "all", "shape": "round", "size": 3}
    async with open_channel(url) as channel:
        for type, key in keys.items():
            name = f"aio.{type}"
            exchange = await channel.declare_exchange(name, type, durable=True)
            queue = await channel.declare_queue(name, durable=True)
            arguments = all_of_it if type == "headers" else None
            await queue.bind(exchange, key, arguments=arguments)
            for headers in ({"shape": "round", "size": 3}, {"shape": "round"}):
                for routing_key in ("a.b", "a.c", "a.b.c"):
                    message = aio_pika.Message(b"", headers=headers)
                    await exchange.publish(message, routing_key, mandatory=False)
            equal(await count(channel, name), expected[type])


@scenario("confirms")
async def confirms(url: str) -> Any:
    persistent = aio_pika.DeliveryMode.PERSISTENT
    async with open_channel(url) as channel:
        await channel.declare_queue("aio.confirms", durable=True)
        await asyncio.gather(
            *(
                publish(channel, "aio.confirms", b"%d" % number, delivery_mode=persistent)
                for number in range(1_000)
            )
        )
        equal(await count(channel, "aio.confirms"), 1_000)


@scenario("mandatory return")
async def mandatory_return(url: str) -> Any:
    async with open_channel(url, on_return_raises=True) as channel:
        try:
            await publish(channel, "aio.nowhere", b"back")
        except DeliveryError as error:
            returned = error.message.delivery
            equal(error.message.body, b"back")
            return f"{returned.reply_code} {returned.reply_text}"
    raise AssertionError("nothing was returned")


@scenario("prefetch")
async def prefetch(url: str) -> Any:
    async with open_channel(url) as channel:
        queue = await channel.declare_queue("aio.prefetch")
        for _ in range(50):
            await publish(channel, "aio.prefetch")
        await channel.set_qos(prefetch_count=10)
        came: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await queue.consume(came.put)
        for number in range(1, 51):
            last = await came.get()
            if number % 10 == 0:
                equal(await count(channel, "aio.prefetch"), 50 - number)
                check(came.empty(), "more than ten came")
                await last.ack(multiple=True)


@scenario("requeue")
async def requeue(url: str) -> Any:
    async with open_channel(url) as channel:
        queue = await channel.declare_queue("aio.requeue")
        await publish(channel, "aio.requeue", b"again")
        first = await take(queue)
        await first.nack(requeue=True)
        second = await take(queue)
        await second.ack()
        equal(second.body, b"again")
        equal([first.redelivered, second.redelivered], [False, True])


@scenario("dead letters")
async def dead_letters(url: str) -> Any:
    arguments = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "aio.dead"}
    async with open_channel(url) as channel:
        dead = await channel.declare_queue("aio.dead")
        dying = await channel.declare_queue("aio.dying", arguments=arguments)
        await publish(channel, "aio.dying", b"corpse", headers={"kept": "as it was"})
        await (await take(dying)).reject(requeue=False)
        message = await take(dead)
        await message.ack()
    equal(message.body, b"corpse")
    equal(message.headers["kept"], "as it was")
    (death,) = message.headers["x-death"]
    equal(type(death.pop("time")), datetime)
    return death


@scenario("header types")
async def header_types(url: str) -> Any:
    headers = {
        "bool": True,
        "int": -2_000_000_000,
        "long": 1 << 60,
        "decimal": Decimal("12.34"),
        "float": 1.5,  # It sends a single.
        "text": "grüße",
        "octets": bytearray(b"\x00\xff"),
        "none": None,
        "time": datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
        "list": [1, "two", {"three": [3]}],
        "table": {"inner": {"most": True}},
    }
    properties = {
        "content_type": "text/plain",
        "content_encoding": "utf-8",
        "priority": 3,
        "correlation_id": "c",
        "reply_to": "r",
        "message_id": "m",
        "timestamp": datetime(2026, 2, 3, 4, 5, 7, tzinfo=UTC),
        "type": "kind",
        "user_id": "guest",
        "app_id": "aio-pika",
    }
    async with open_channel(url) as channel:
        queue = await channel.declare_queue("aio.table")
        await publish(channel, "aio.table", headers=headers, expiration=60, **properties)
        message = await take(queue)
    equal(message.headers, headers)
    equal({name: getattr(message, name) for name in properties}, properties)
    equal(message.expiration, 60)


@scenario("transactions")
async def transactions(url: str) -> Any:
    async with open_channel(url, publisher_confirms=False) as channel, open_channel(url) as other:
        queue = await other.declare_queue("aio.tx")
        transaction = channel.transaction()
        await transaction.select()
        await publish(channel, "aio.tx", b"dropped")
        await transaction.rollback()
        await publish(channel, "aio.tx", b"kept")
        before = await count(other, "aio.tx")
        await transaction.commit()
        equal([before, await count(other, "aio.tx")], [0, 1])
        equal((await take(queue)).body, b"kept")


@scenario("direct reply-to")
async def direct_reply_to(url: str) -> Any:
    async with open_channel(url) as server, open_channel(url) as client:
        requests = await server.declare_queue("aio.rpc")

        async def answer(request: AbstractIncomingMessage) -> None:
            check(request.reply_to, "no reply-to")
            came_with = request.correlation_id
            reply_to = request.reply_to or ""
            await publish(server, reply_to, request.body.upper(), correlation_id=came_with)

        await requests.consume(answer, no_ack=True)
        reply_queue = await client.get_queue("amq.rabbitmq.reply-to", ensure=False)
        replies: asyncio.Queue[AbstractIncomingMessage] = asyncio.Queue()
        await reply_queue.consume(replies.put, no_ack=True)
        reply_to = "amq.rabbitmq.reply-to"
        await publish(client, "aio.rpc", b"question", reply_to=reply_to, correlation_id="7")
        reply = await replies.get()
        equal([reply.body, reply.correlation_id], [b"QUESTION", "7"])


@scenario("missing queue")
async def missing_queue(url: str) -> Any:
    async with await aio_pika.connect(url) as connection:
        channel, other = await connection.channel(), await connection.channel()
        try:
            await count(channel, "aio.missing")
            raise AssertionError("it is there")
        except ChannelNotFoundEntity as error:
            await other.declare_queue("aio.other", auto_delete=True)
            return str(error)


@scenario("large message")
async def large_message(url: str) -> Any:
    body = bytes(range(256)) * 8192
    async with open_channel(url) as channel:
        queue = await channel.declare_queue("aio.large")
        await publish(channel, "aio.large", body)
        check((await take(queue)).body == body, "another body came")


@scenario("unicode names")
async def unicode_names(url: str) -> Any:
    names = ["aio.unicode", "κλειδί"]  # aio-pika itself refuses other names of exchanges.
    async with open_channel(url) as channel:
        exchange = await channel.declare_exchange(names[0])
        queue = await channel.declare_queue("aio.unicode")
        await queue.bind(exchange, names[1])
        await exchange.publish(aio_pika.Message("tělo".encode()), names[1])
        message = await take(queue)
        equal([message.exchange, message.routing_key], names)


@scenario("heartbeats")
async def heartbeats(url: str) -> Any:
    async with open_channel(f"{url}?heartbeat=1") as channel:
        await asyncio.sleep(3.5)
        await channel.declare_queue("aio.heartbeats", auto_delete=True)


@scenario("both at once")
async def both_at_once(url: str) -> Any:
    async with (
        open_channel(url, publisher_confirms=False) as publisher,
        open_channel(url) as channel,
    ):
        queue = await channel.declare_queue("aio.both")
        await channel.set_qos(prefetch_count=100)

        async def send() -> None:
            for number in range(5_000):
                await publish(publisher, "aio.both", b"%d" % number)

        sending = asyncio.create_task(send())
        numbers: list[int] = []
        async with queue.iterator() as messages:
            async for message in messages:
                numbers.append(int(message.body))
                await message.ack()
                if len(numbers) == 5_000:
                    break
        await sending
        equal(numbers, list(range(5_000)))


if __name__ == "__main__":
    main("aio-pika", SCENARIOS)
