"""What a queue's arguments may be, in RabbitMQ's words; and which queues are the same."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.errors import PreconditionFailedError
from gateway.queues.arguments import QueueOptions, check_arguments, check_equivalent, parse_options
from gateway.values import Byte, Long, Short, Timestamp, UnsignedInt

QUEUE = "queue 'q' in vhost '/'"

REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"x-message-ttl": "60"}, '"expected integer, got longstr"'),
    ({"x-message-ttl": True}, '"expected integer, got bool"'),
    ({"x-message-ttl": 1.5}, '"expected integer, got double"'),
    ({"x-message-ttl": None}, '"expected integer, got void"'),
    ({"x-message-ttl": Timestamp(1)}, '"expected integer, got timestamp"'),
    ({"x-message-ttl": -1}, "{value_negative,-1}"),
    ({"x-message-ttl": Long(315_360_000_001)}, "{value_too_large,315360000001}"),
    ({"x-expires": 0}, "{value_zero,0}"),
    ({"x-expires": Short(-5)}, "{value_negative,-5}"),
    ({"x-max-length": -1}, "{value_negative,-1}"),
    ({"x-max-length-bytes": b"\xff"}, '"expected integer, got binary"'),
    ({"x-max-priority": 256}, "{max_value_exceeded,256}"),
    ({"x-overflow": "drop-tail"}, "invalid_overflow"),
    ({"x-overflow": 1}, "{unacceptable_type,signedint}"),
    ({"x-dead-letter-routing-key": "k"}, "routing_key_but_no_dlx_defined"),
    (
        {"x-dead-letter-exchange": "x", "x-dead-letter-routing-key": Long(1)},
        "{unacceptable_type,long}",
    ),
    ({"x-single-active-consumer": "true"}, "{unacceptable_type,longstr}"),
    ({"x-queue-mode": "fast"}, "\"unsupported queue mode 'fast'\""),
    ({"x-queue-version": 3}, "\"unsupported queue version '3'\""),
    ({"x-queue-type": "strange"}, "\"unsupported queue type 'strange'\""),
    ({"x-queue-leader-locator": "here"}, "invalid_queue_locator_arg"),
]


@pytest.mark.parametrize(("arguments", "reason"), REFUSED)
def test_a_wrong_argument_is_refused(arguments: dict[str, Any], reason: str) -> None:
    name = list(arguments)[-1]
    with pytest.raises(PreconditionFailedError) as caught:
        check_arguments(arguments, QUEUE)
    assert str(caught.value) == f"invalid arg '{name}' for {QUEUE}: {reason}"


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"x-max-age": 5}, "{unacceptable_type,signedint}"),
        ({"x-max-age": "5"}, "invalid_max_age"),
        ({"x-max-age": "5x"}, "invalid_max_age"),
        ({"x-max-age": "1Y2M"}, "invalid_max_age"),
        ({"x-max-age": "0s"}, "invalid_max_age"),
        ({"x-max-length-bytes": -1}, "{value_negative,-1}"),
        ({"x-stream-max-segment-size-bytes": -1}, "{value_negative,-1}"),
        ({"x-stream-filter-size-bytes": 15}, "{invalid_filter_size_bytes,15}"),
        ({"x-initial-cluster-size": 0}, "{value_zero,0}"),
        ({"x-queue-leader-locator": "here"}, "invalid_queue_locator_arg"),
    ],
)
def test_a_wrong_argument_of_a_stream_is_refused(arguments: dict[str, Any], reason: str) -> None:
    name = next(iter(arguments))
    with pytest.raises(PreconditionFailedError) as caught:
        check_arguments({"x-queue-type": "stream", **arguments}, QUEUE)
    assert str(caught.value) == f"invalid arg '{name}' for {QUEUE}: {reason}"


def test_a_stream_s_segments_are_not_too_large() -> None:
    arguments = {"x-queue-type": "stream", "x-stream-max-segment-size-bytes": 3_000_000_001}
    with pytest.raises(PreconditionFailedError) as caught:
        check_arguments(arguments, QUEUE)
    assert str(caught.value) == "Exceeded max value for x-stream-max-segment-size-bytes"


def test_a_dead_letter_exchange_is_a_string() -> None:
    with pytest.raises(PreconditionFailedError) as caught:
        check_arguments({"x-dead-letter-exchange": UnsignedInt(1)}, QUEUE)
    assert str(caught.value) == (
        f"invalid type 'unsignedint' for arg 'x-dead-letter-exchange' in {QUEUE}"
    )


def test_an_argument_of_another_queue_type_is_refused() -> None:
    with pytest.raises(PreconditionFailedError) as caught:
        check_arguments({"x-delivery-limit": 3}, QUEUE)
    assert str(caught.value) == (
        f"invalid arg 'x-delivery-limit' for {QUEUE} of queue type rabbit_classic_queue"
    )


def test_all_that_a_classic_queue_may_have() -> None:
    arguments = {
        "x-message-ttl": Byte(0),
        "x-expires": Long(315_360_000_000),
        "x-max-length": 0,
        "x-max-length-bytes": Long(1 << 40),
        "x-overflow": "reject-publish-dlx",
        "x-dead-letter-exchange": "",
        "x-dead-letter-routing-key": "k",
        "x-max-priority": 255,
        "x-single-active-consumer": True,
        "x-queue-mode": "lazy",
        "x-queue-version": 2,
        "x-queue-type": "classic",
        "ha-mode": ["anything", {}],
    }
    check_arguments(arguments, QUEUE)
    assert parse_options(arguments) == QueueOptions(
        0, 315_360_000_000, 0, 1 << 40, "reject-publish-dlx", "", "k", 255, True
    )
    assert parse_options({}) == QueueOptions()


@pytest.mark.parametrize(
    ("wanted", "current"),
    [
        ({"x-expires": Long(5)}, {"x-expires": Byte(5)}),
        ({"x-queue-type": "classic"}, {}),
        ({}, {"x-queue-type": "classic"}),
        ({"x-unknown": 1}, {"x-unknown": 2}),
    ],
)
def test_queues_that_are_the_same(wanted: dict[str, Any], current: dict[str, Any]) -> None:
    check_equivalent(wanted, current, QUEUE)


@pytest.mark.parametrize(
    ("wanted", "current", "text"),
    [
        (
            {"x-expires": Long(5)},
            {},
            "received the value '5' of type 'long' but current is none",
        ),
        (
            {},
            {"x-dead-letter-exchange": "x"},
            "received none but current is the value 'x' of type 'longstr'",
        ),
        ({"x-max-length": 5}, {"x-max-length": Long(6)}, "received '5' but current is '6'"),
        (
            {"x-single-active-consumer": False},
            {"x-single-active-consumer": True},
            "received 'false' but current is 'true'",
        ),
    ],
)
def test_queues_that_are_not_the_same(
    wanted: dict[str, Any], current: dict[str, Any], text: str
) -> None:
    name = next(iter({**wanted, **current}))
    with pytest.raises(PreconditionFailedError) as caught:
        check_equivalent(wanted, current, QUEUE)
    assert str(caught.value) == f"inequivalent arg '{name}' for {QUEUE}: {text}"
