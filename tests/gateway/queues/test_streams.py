"""Streams: read by many, taken by none, kept for as long as they are told."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from gateway.declarations import QueueDeclaration
from gateway.errors import NotSupportedError, PreconditionFailedError
from gateway.queues.consumer import Terms
from gateway.queues.lane import Lane
from gateway.queues.queue import Queue
from gateway.queues.streams import Stream
from gateway.values import Long, Timestamp
from tests.support.topology import LiveGateway, Taker

STREAM = {"x-queue-type": "stream"}
NAME = "queue 's' in vhost '/'"


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


@pytest.fixture
def stream(live: LiveGateway) -> Queue:
    return declare(live)


def declare(live: LiveGateway, **arguments: Any) -> Queue:
    more = {f"x-{name.replace('_', '-')}": value for name, value in arguments.items()}
    stream = live.host.declare_queue(
        QueueDeclaration("s", durable=True, arguments={**STREAM, **more})
    )
    assert isinstance(stream, Stream)
    return stream


def fill(live: LiveGateway, count: int, start: int = 0, **headers: Any) -> None:
    for number in range(start, start + count):
        live.publish("", "s", b"%d" % number, persistent=number % 2 == 0, **headers)


def read(live: LiveGateway, credit: int = 1000, **arguments: Any) -> Taker:
    taker = Taker(credit)
    more = {f"x-stream-{name.replace('_', '-')}": value for name, value in arguments.items()}
    live.host.queues["s"].subscribe(taker, Terms(arguments=more))
    live.gateway.turn.end()
    return taker


def offsets(taker: Taker) -> list[int]:
    assert [body for _, body, _ in taker.got] == [b"%d" % offset for offset, _, _ in taker.got]
    assert not any(redelivered for _, _, redelivered in taker.got)
    return [offset for offset, _, _ in taker.got]


class TestReading:
    def test_all_read_all_and_nothing_goes(self, live: LiveGateway, stream: Queue) -> None:
        early = read(live)
        fill(live, 5)
        late = read(live, offset="first")
        fill(live, 2, start=5)
        assert offsets(early) == offsets(late) == list(range(7))
        assert (stream.ready_count, stream.unsettled_count, stream.consumer_count) == (7, 0, 2)

    def test_credit_is_all_that_an_acknowledgement_gives(
        self, live: LiveGateway, stream: Queue
    ) -> None:
        fill(live, 7)
        taker = read(live, credit=3, offset="first")
        assert offsets(taker) == [0, 1, 2]
        for undo in (lambda: stream.settle(0, 1), lambda: stream.release([1])):
            undo()
            taker.left += 1
            stream.wake()
            live.gateway.turn.end()
        stream.reject([2])
        taker.left += 9
        stream.wake()
        live.gateway.turn.end()
        assert offsets(taker) == [0, 1, 2, 3, 4, 5, 6]
        assert stream.ready_count == 7

    def test_one_leaves(self, live: LiveGateway, stream: Queue) -> None:
        taker = read(live)
        stream.unsubscribe(taker)
        fill(live, 1)
        assert taker.got == []
        assert stream.consumer_count == 0

    def test_a_deleted_stream_tells_its_readers(self, live: LiveGateway, stream: Queue) -> None:
        taker = read(live)
        fill(live, 1)
        assert live.host.delete_queue("s", if_unused=True, if_empty=True) == 0
        assert taker.is_cancelled

    def test_a_helping_is_of_some_size(self, live: LiveGateway, stream: Queue) -> None:
        """A reader that takes much gets it in rounds, others between."""
        for _ in range(5):
            live.publish("", "s", bytes(200_000))
        taker = read(live, offset="first")
        assert [offset for offset, _, _ in taker.got] == [0, 1, 2, 3, 4]


class TestStart:
    @pytest.mark.parametrize(
        ("wanted", "first"),
        [
            ("first", 0),
            (b"first", 0),
            ("last", 29),
            ("next", 30),
            (None, 30),
            (0, 0),
            (Long(12), 12),
            (-1, 0),
            ("1m", 0),
            ("15s", 15),
            ("5s", 25),
            (Timestamp(10), 10),
            (Timestamp(1000), 30),
        ],
    )
    def test_where_a_consumer_begins(
        self, live: LiveGateway, stream: Queue, wanted: Any, first: int
    ) -> None:
        for number in range(30):
            fill(live, 1, start=number)
            live.clock.advance(1)
        taker = read(live, **({} if wanted is None else {"offset": wanted}))
        fill(live, 1, start=30)
        assert offsets(taker) == list(range(first, 31))

    def test_it_may_wait_for_an_offset_to_come(self, live: LiveGateway, stream: Queue) -> None:
        taker = read(live, offset=3)
        fill(live, 5)
        assert offsets(taker) == [3, 4]

    def test_the_last_chunk_is_what_came_last_together(
        self, live: LiveGateway, stream: Queue
    ) -> None:
        fill(live, 2)
        taker = read(live, offset="last")
        assert offsets(taker) == [1]


class TestRefusals:
    @pytest.mark.parametrize("name", ["x-priority", "x-cancel-on-ha-failover"])
    def test_of_consumers(self, stream: Queue, name: str) -> None:
        with pytest.raises(PreconditionFailedError) as caught:
            stream.subscribe(Taker(1), Terms(arguments={name: 1}))
        assert str(caught.value) == (
            f"invalid arg '{name}' for {NAME} of queue type rabbit_stream_queue"
        )
        with pytest.raises(PreconditionFailedError) as caught:
            stream.subscribe(Taker(0))
        assert str(caught.value) == f"consumer prefetch count is not set for stream {NAME}"
        assert not stream.is_consumed

    @pytest.mark.parametrize(
        ("value", "shown"),
        [
            ("foo", '{longstr,<<"foo">>}'),
            ("0s", '{longstr,<<"0s">>}'),
            ("7D1h", '{longstr,<<"7D1h">>}'),
            (True, "{bool,true}"),
        ],
    )
    def test_of_offsets(self, stream: Queue, value: Any, shown: str) -> None:
        with pytest.raises(PreconditionFailedError) as caught:
            stream.subscribe(Taker(1), Terms(arguments={"x-stream-offset": value}))
        assert str(caught.value) == (
            f"invalid arg 'x-stream-offset' for {NAME}: {{invalid_stream_offset_arg,{shown}}}"
        )

    def test_of_automatic_acknowledgement_and_global_qos(self, stream: Queue) -> None:
        with pytest.raises(NotSupportedError) as caught:
            stream.subscribe(Taker(1, no_ack=True))
        assert str(caught.value) == f"automatic acknowledgement not supported by stream {NAME}"
        with pytest.raises(NotSupportedError) as caught:
            stream.subscribe(Taker(1, with_other=Taker(1)))
        assert str(caught.value) == f"{NAME} does not support global qos"

    def test_of_what_takes_messages(self, stream: Queue) -> None:
        with pytest.raises(NotSupportedError) as caught:
            stream.take(1)
        assert str(caught.value) == f"basic.get not supported by stream queues {NAME}"
        with pytest.raises(NotSupportedError) as caught:
            stream.purge()
        assert str(caught.value) == f"queue.purge not supported by stream queues {NAME}"

    def test_of_declarations(self, live: LiveGateway, stream: Queue) -> None:
        for options, text in (
            ({"durable": False}, "invalid property 'non-durable' for queue 'x' in vhost '/'"),
            (
                {"durable": True, "auto_delete": True},
                "invalid property 'auto-delete' for queue 'x' in vhost '/'",
            ),
        ):
            with pytest.raises(PreconditionFailedError) as caught:
                live.host.declare_queue(QueueDeclaration("x", arguments=STREAM, **options))  # type: ignore[arg-type]
            assert str(caught.value) == text
        with pytest.raises(PreconditionFailedError) as caught:
            live.host.declare_queue(QueueDeclaration("", durable=True, arguments=STREAM))
        assert str(caught.value) == (
            "Cannot declare a server-named queue for type rabbit_stream_queue"
        )
        with pytest.raises(PreconditionFailedError) as caught:
            live.host.declare_queue(QueueDeclaration("s", durable=True))
        assert str(caught.value) == (
            f"inequivalent arg 'x-queue-type' for {NAME}:"
            " received 'classic' but current is 'stream'"
        )

    def test_a_virtual_host_may_have_streams_by_default(self, live: LiveGateway) -> None:
        live.host.default_queue_type = "stream"
        assert live.host.declare_queue(QueueDeclaration("a", durable=True)).type.name == "stream"
        assert live.host.declare_queue(QueueDeclaration("b")).type.name == "classic"
        with pytest.raises(PreconditionFailedError):  # As RabbitMQ.
            live.host.declare_queue(QueueDeclaration("", durable=True))


class TestFilters:
    def test_only_what_is_wanted_is_delivered(self, live: LiveGateway, stream: Queue) -> None:
        for number in range(9):
            value = ("a", "b", None)[number % 3]
            fill(live, 1, number, **({} if value is None else {"x-stream-filter-value": value}))
        assert offsets(read(live, offset="first", filter="a")) == [0, 3, 6]
        assert offsets(read(live, offset="first", filter=["a", "b", 7])) == [0, 1, 3, 4, 6, 7]
        unfiltered = read(live, offset="first", filter="b", match_unfiltered=True)
        assert offsets(unfiltered) == [1, 2, 4, 5, 7, 8]
        assert offsets(read(live, offset="first", filter=5)) == list(range(9))

    def test_a_selector_and_a_function_select_as_well(
        self, live: LiveGateway, stream: Queue
    ) -> None:
        for number in range(9):
            fill(live, 1, number, n=number, **{"x-stream-filter-value": "ab"[number % 2]})
        taker = Taker()
        arguments = {
            "x-stream-offset": "first",
            "x-stream-filter": "b",
            "x-rosetta-selector": "n > 2",
        }
        stream.subscribe(
            taker, Terms(arguments=arguments, selects=lambda message: message[2] != b"5")
        )
        live.gateway.turn.end()
        assert offsets(taker) == [3, 7]

    def test_credit_counts_what_is_delivered(self, live: LiveGateway, stream: Queue) -> None:
        for number in range(9):
            fill(live, 1, number, **{"x-stream-filter-value": "ab"[number % 2]})
        taker = read(live, credit=2, offset="first", filter="b")
        assert offsets(taker) == [1, 3]
        taker.left = 9
        stream.wake()
        live.gateway.turn.end()
        assert offsets(taker) == [1, 3, 5, 7]

    def test_long_scans_are_cut_in_slices(self, live: LiveGateway, stream: Queue) -> None:
        fill(live, 1200)
        fill(live, 1, 1200, **{"x-stream-filter-value": "rare"})
        taker = read(live, offset="first", filter="rare")
        assert offsets(taker) == []
        for _ in range(3):
            live.clock.advance(0)
        assert offsets(taker) == [1200]
        assert not live.clock.getDelayedCalls() or all(
            call.getTime() > live.clock.seconds() for call in live.clock.getDelayedCalls()
        )


class TestRetention:
    def test_by_size_in_chunks(self, live: LiveGateway) -> None:
        stream = declare(live, max_length_bytes=1600)
        for number in range(100):
            live.publish("", "s", b"%050d" % number)
            assert stream.ready_count * 50 <= 1600 + 50
        assert stream.ready_count * 50 >= 1500
        assert stream.min_offset == 100 - stream.ready_count

    def test_the_newest_stays_however_large(self, live: LiveGateway) -> None:
        stream = declare(live, max_length_bytes=10)
        for _ in range(3):
            live.publish("", "s", bytes(100))
            assert stream.ready_count == 1

    def test_by_age(self, live: LiveGateway) -> None:
        stream = declare(live, max_age="1h")
        for number in range(10):
            fill(live, 1, start=number)
            live.clock.advance(600)
        assert stream.min_offset == 5  # What is an hour old is too old.
        for _ in range(200):
            live.clock.advance(60)
        assert stream.ready_count == 1, "the newest stays"
        assert offsets(read(live, offset="first")) == [9]

    def test_a_reader_that_is_left_behind_goes_on_with_the_oldest(self, live: LiveGateway) -> None:
        stream = declare(live, max_length_bytes=20)
        fill(live, 5)
        taker = read(live, credit=1, offset="first")
        fill(live, 95, start=5)
        assert stream.min_offset > 50
        taker.left = 1000
        stream.wake()
        live.gateway.turn.end()
        assert offsets(taker) == [0, *range(stream.min_offset, 100)]

    def test_other_groups_do_not_hold_it_back(self, live: LiveGateway) -> None:
        stream = declare(live, max_length_bytes=10)
        Lane(stream).commit_group_offset("g", 0)
        fill(live, 20)
        assert stream.min_offset > 5


class TestRestart:
    def test_everything_is_as_it_was(self, live: LiveGateway) -> None:
        """What is not persistent, too; under the same offsets."""
        declare(live, max_length_bytes=40)
        fill(live, 100)
        before = live.host.queues["s"]
        first, count = before.min_offset, before.ready_count
        assert first > 0
        live = live.restart()
        stream = live.host.queues["s"]
        assert isinstance(stream, Stream)
        assert (stream.min_offset, stream.ready_count, stream.max_offset) == (first, count, 100)
        taker = read(live, offset="first")
        assert offsets(taker) == list(range(first, 100))
        fill(live, 20, start=100)
        for _ in range(3):
            live.clock.advance(0)
        assert offsets(taker)[-1] == 119
        assert stream.ready_count <= count + 1, "what was there before counts"

    def test_a_crash_loses_nothing_and_brings_nothing_back(self, live: LiveGateway) -> None:
        stream = declare(live, max_length_bytes=40)
        fill(live, 60)
        first = stream.min_offset
        copy = live.folder.with_name("copy")
        shutil.copytree(live.folder, copy)
        crashed = LiveGateway(copy, live.clock)
        assert offsets(read(crashed, offset="first")) == list(range(first, 60))
        fill(crashed, 1, start=60)
        assert offsets(read(crashed, offset="last")) == [60]

    def test_what_became_too_old_meanwhile_goes(self, live: LiveGateway) -> None:
        declare(live, max_age="1h")
        fill(live, 3)
        live.clock.advance(1800)
        fill(live, 3, start=3)
        live.gateway.stop()
        live.clock.advance(3000)
        later = LiveGateway(live.folder, live.clock)
        assert later.host.queues["s"].min_offset == 3
