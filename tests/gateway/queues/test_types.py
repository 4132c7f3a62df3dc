"""What each type of queue knows; the texts were compared with RabbitMQ's."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.declarations import QueueDeclaration
from gateway.errors import PreconditionFailedError
from gateway.queues.types import (
    CLASSIC,
    QUORUM,
    STREAM,
    QueueType,
    check_consumer_known,
    check_known,
    check_lasting,
    check_named,
    find_type,
    with_default_type,
)

QUEUE = "queue 'q' in vhost '/'"


def refusal(check: Any, *arguments: Any, **options: Any) -> str:
    with pytest.raises(PreconditionFailedError) as caught:
        check(*arguments, **options)
    return str(caught.value)


def test_a_queue_is_classic_unless_it_says_otherwise() -> None:
    assert find_type({}) is CLASSIC
    assert find_type({"x-queue-type": "classic"}) is CLASSIC
    assert find_type({"x-queue-type": 7}) is CLASSIC


@pytest.mark.parametrize(
    ("type", "name"),
    [
        (CLASSIC, "x-max-age"),
        (CLASSIC, "x-delivery-limit"),
        (QUORUM, "x-max-priority"),
        (QUORUM, "x-queue-mode"),
        (STREAM, "x-message-ttl"),
        (STREAM, "x-dead-letter-exchange"),
    ],
)
def test_what_only_others_know_is_refused(type: QueueType, name: str) -> None:
    text = f"invalid arg '{name}' for {QUEUE} of queue type {type.module}"
    assert refusal(check_known, type, {"x-unknown": 1, name: 1}, QUEUE) == text


@pytest.mark.parametrize(
    ("type", "name"),
    [
        (CLASSIC, "x-stream-offset"),
        (QUORUM, "x-cancel-on-ha-failover"),
        (STREAM, "x-priority"),
    ],
)
def test_so_is_a_consumer_s_argument(type: QueueType, name: str) -> None:
    text = f"invalid arg '{name}' for {QUEUE} of queue type {type.module}"
    assert refusal(check_consumer_known, type, {"x-unknown": 1, name: 1}, QUEUE) == text


@pytest.mark.parametrize("type", [CLASSIC, QUORUM, STREAM])
def test_what_a_type_knows_and_what_none_knows_is_not(type: QueueType) -> None:
    check_known(type, dict.fromkeys((*type.arguments, "x-ha-policy")), QUEUE)
    check_consumer_known(type, dict.fromkeys((*type.consumer_arguments, "x-mine")), QUEUE)


@pytest.mark.parametrize("type", [QUORUM, STREAM])
@pytest.mark.parametrize(
    ("durable", "exclusive", "auto_delete", "named"),
    [
        (False, False, False, "non-durable"),
        (False, True, False, "exclusive-owner"),
        (False, True, True, "auto-delete"),
        (True, False, True, "auto-delete"),
    ],
)
def test_some_must_last(
    type: QueueType, durable: bool, exclusive: bool, auto_delete: bool, named: str
) -> None:
    wanted = QueueDeclaration("q", durable, exclusive, auto_delete)
    text = f"invalid property '{named}' for {QUEUE}"
    assert refusal(check_lasting, type, wanted, QUEUE) == text
    check_lasting(type, QueueDeclaration("q", durable=True), QUEUE)
    check_lasting(CLASSIC, wanted, QUEUE)


@pytest.mark.parametrize("type", [QUORUM, STREAM])
def test_some_must_be_named(type: QueueType) -> None:
    text = f"Cannot declare a server-named queue for type {type.module}"
    assert refusal(check_named, type, "") == text
    check_named(type, "q")
    check_named(CLASSIC, "")


def test_a_virtual_host_s_type_is_for_queues_that_name_none() -> None:
    asked = QueueDeclaration(
        "q", durable=True, arguments={"x-queue-type": "classic", "x-expires": 1}
    )
    assert with_default_type(asked, "stream") == asked
    for wanted, type in (
        (QueueDeclaration("q", durable=True, arguments={"x-expires": 1}), "classic"),
        (QueueDeclaration("q", durable=True), "no such"),
    ):
        assert with_default_type(wanted, type) == wanted
