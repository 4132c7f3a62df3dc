"""The blocking clients against a live gateway: what only threads and sockets can show."""

import logging
import threading
import time
from collections.abc import Callable, Iterator

import pytest

import rosettamq
from gateway.service.addresses import format_address
from interop.servers import rosettamq_server
from rosettamq import Message, Producer, PushConsumer, ReceivedMessage, SimpleConsumer, Sql

pytestmark = pytest.mark.interop


@pytest.fixture(scope="module")
def name_server() -> Iterator[str]:
    with rosettamq_server() as server:
        yield format_address(*server.addresses["name_server"])


@pytest.fixture(autouse=True)
def no_thread_is_left() -> Iterator[None]:
    yield
    assert not [t.name for t in threading.enumerate() if t.name.startswith("rosettamq")]


@pytest.fixture
def producer(no_thread_is_left: None, name_server: str) -> Iterator[Producer]:
    with Producer("producers", name_server=name_server) as producer:
        yield producer


def wait_until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not holds():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.01)


def test_send_and_receive(producer: Producer, name_server: str) -> None:
    message = Message("simple", b"body", tag="created", keys=["42"], properties={"p": "q"})
    message.content_type, message.priority, message.correlation_id = "text/plain", 3, "c"
    result = producer.send(message)
    assert (result.queue_offset, result.status) == (0, rosettamq.SendStatus.OK)
    with SimpleConsumer("simple", name_server, {"simple": "*"}) as consumer:
        (received,) = consumer.receive(wait_s=5)
        assert (received.body, received.tag, received.keys) == (b"body", "created", ("42",))
        assert received.message_id == result.message_id
        assert received.offset_message_id == result.offset_message_id
        assert (received.content_type, received.priority) == ("text/plain", 3)
        assert (received.correlation_id, received.properties["p"]) == ("c", "q")
        consumer.ack(received)
        with pytest.raises(rosettamq.ResponseError):
            consumer.ack(received)
        assert consumer.receive(wait_s=0) == []


def test_a_large_batch_and_a_large_message(producer: Producer, name_server: str) -> None:
    results = producer.send_batch([Message("batch", b"%d" % index) for index in range(100)])
    assert [result.queue_offset for result in results] == list(range(100))
    producer.send(Message("batch", b"x" * 1_000_000))
    producer.send_one_way(Message("batch", b"one way"))
    got: list[bytes] = []
    with SimpleConsumer("batch", name_server, {"batch": "*"}) as consumer:
        while len(got) < 102:
            for message in consumer.receive(32, wait_s=5):
                got.append(message.body)
                consumer.ack(message)
    assert got == [*(b"%d" % index for index in range(100)), b"x" * 1_000_000, b"one way"]


def test_several_topics_are_waited_for(producer: Producer, name_server: str) -> None:
    for topic in ("several-a", "several-b"):
        producer.send(Message(topic, topic.encode()))
    with SimpleConsumer("g", name_server, {"several-a": "*", "several-b": "*"}) as consumer:
        got = sorted(consumer.receive()[0].body for _ in range(2))
        assert got == [b"several-a", b"several-b"]
        later = threading.Timer(0.1, producer.send, [Message("several-b", b"late")])
        later.start()
        assert [message.body for message in consumer.receive(wait_s=5)] == [b"late"]
        later.join()


def test_given_back_and_delivered_again(producer: Producer, name_server: str) -> None:
    producer.send(Message("again", b"x"))
    with SimpleConsumer("another", name_server, {"again": "*"}) as consumer:
        (first,) = consumer.receive(invisible_s=60)
        consumer.change_invisible(first, 60)
        consumer.change_invisible(first, 0)
        (second,) = consumer.receive(wait_s=5)
        assert second.reconsume_times == 1
        consumer.ack(second)


def test_push_filters_retries_and_goes_on_where_it_was(
    producer: Producer, name_server: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.CRITICAL, "rosettamq")
    for tag in "abca":
        producer.send(Message("push", tag.encode(), tag=tag))
    got: list[bytes] = []
    failures = iter([True])

    def consume(message: ReceivedMessage) -> None:
        if message.tag == "c" and next(failures, False):
            raise ValueError("not yet")
        got.append(message.body)

    for expected in ([b"a", b"a", b"c"], [b"a", b"a", b"c", b"c"]):
        consumer = PushConsumer("pushed", name_server)
        consumer.subscribe("push", "a || c", consume)
        consumer.start()
        wait_until(lambda expected=expected: sorted(got) == expected)  # type: ignore[misc]
        consumer.shutdown()
        producer.send(Message("push", b"c", tag="c"))


def test_push_as_the_queues_own_group_shares_with_pop(producer: Producer, name_server: str) -> None:
    for index in range(20):
        producer.send(Message("shared", b"%d" % index))
    got: list[bytes] = []
    with SimpleConsumer("shared", name_server, {"shared": "*"}) as simple:
        for message in simple.receive(5):
            got.append(message.body)
            simple.ack(message)
        consumer = PushConsumer("shared", name_server)
        consumer.subscribe("shared", "*", lambda message: got.append(message.body))
        consumer.start()
        wait_until(lambda: len(got) >= 20)
        consumer.shutdown()
        assert simple.receive(wait_s=0) == []
    assert sorted(got, key=int) == [b"%d" % index for index in range(20)]


def test_a_message_is_tried_so_often_and_then_dead(producer: Producer, name_server: str) -> None:
    """Those behind it go on meanwhile."""
    for body in (b"poison", b"next"):
        producer.send(Message("tried", body))
    got = threading.Event()

    def callback(message: ReceivedMessage) -> None:
        if message.body == b"poison":
            raise ValueError("cannot be consumed")
        got.set()

    consumer = PushConsumer("tried-group", name_server, attempts=1)
    consumer.subscribe("tried", "*", callback)
    with consumer, SimpleConsumer("any", name_server, {"%DLQ%tried-group": "*"}) as looking:
        assert got.wait(10)
        dead: list[ReceivedMessage] = []

        def is_dead() -> bool:
            try:
                dead.extend(looking.receive(wait_s=1))
            except rosettamq.TopicNotFoundError:
                return False
            return bool(dead)

        wait_until(is_dead)
        (letter,) = dead
        assert (letter.body, letter.properties["RETRY_TOPIC"]) == (b"poison", "tried")


def test_a_callback_may_shut_its_consumer_down(producer: Producer, name_server: str) -> None:
    producer.send(Message("enough", b"x"))
    down = threading.Event()

    def callback(message: ReceivedMessage) -> None:
        consumer.shutdown()
        down.set()

    consumer = PushConsumer("enough-group", name_server)
    consumer.subscribe("enough", "*", callback)
    consumer.start()
    assert down.wait(10)
    wait_until(lambda: not [t for t in threading.enumerate() if "consume" in t.name])


def test_two_members_share_two_topics_queues(producer: Producer, name_server: str) -> None:
    """Each topic has one queue here, so the second member takes over when the first goes."""
    producer.send(Message("members", b"0"))
    got: list[str] = []

    def member(name: str) -> PushConsumer:
        consumer = PushConsumer("pair", name_server)
        consumer.subscribe("members", "*", lambda message: got.append(name))
        consumer.start()
        return consumer

    first = member("first")
    wait_until(lambda: got == ["first"])
    second = member("second")
    first.close()
    producer.send(Message("members", b"1"))
    wait_until(lambda: got == ["first", "second"])
    second.close()


def test_sql_selects(producer: Producer, name_server: str) -> None:
    for price in (5, 15, 25):
        producer.send(Message("sql", b"%d" % price, properties={"price": str(price)}))
    with SimpleConsumer("readers", name_server, {"sql": Sql("price > 10")}) as consumer:
        assert [message.body for message in consumer.receive(wait_s=5)] == [b"15", b"25"]
    got: list[bytes] = []
    consumer = PushConsumer("pushed", name_server)
    consumer.subscribe("sql", Sql("price BETWEEN 1 AND 20"), lambda each: got.append(each.body))
    with consumer:
        wait_until(lambda: sorted(got) == [b"15", b"5"])
    misspelt = PushConsumer("misspelt", name_server)
    misspelt.subscribe("sql", Sql("price >"), print)
    with pytest.raises(rosettamq.SubscriptionError, match="the selector ends at character 8"):
        misspelt.start()


def test_a_lost_connection_is_made_anew(producer: Producer, name_server: str) -> None:
    got: list[bytes] = []
    producer.send(Message("lost", b"0"))
    consumer = PushConsumer("losers", name_server)
    consumer.subscribe("lost", "*", lambda message: got.append(message.body))
    consumer.start()
    wait_until(lambda: got == [b"0"])
    for client in (producer, consumer):
        for channel in list(client.network._channels.values()):
            channel.close()
    producer.send(Message("lost", b"1"))
    wait_until(lambda: got == [b"0", b"1"])
    consumer.close()


def test_threads_share_a_producer(producer: Producer, name_server: str) -> None:
    threads = [
        threading.Thread(target=lambda: [producer.send(Message("many", b"x")) for _ in range(20)])
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert producer.send(Message("many", b"x")).queue_offset == 80


def test_nobody_is_there() -> None:
    producer = Producer("g", name_server="127.0.0.1:1")
    with producer, pytest.raises(rosettamq.BrokerConnectionError):
        producer.send(Message("T", b"x"))
    with pytest.raises(rosettamq.ClosedError):
        producer.send(Message("T", b"x"))


def test_an_unknown_topic_cannot_be_received_from(name_server: str) -> None:
    consumer = SimpleConsumer("g", name_server, {"unknown": "*"})
    with consumer, pytest.raises(rosettamq.TopicNotFoundError):
        consumer.receive(wait_s=0)
