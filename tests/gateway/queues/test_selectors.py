"""Which name in a selector stands for what of a message."""

from __future__ import annotations

import pytest

from core.errors import SelectorError
from gateway.errors import PreconditionFailedError
from gateway.messages import Envelope, Header, Message, Properties
from gateway.queues.selectors import consumer_selector, message_selector
from gateway.values import Byte, Float, Long
from tests.support.topology import LANGUAGE


def message(persistent: bool = True, **fields: object) -> Message:
    header = Header(LANGUAGE, b"", persistent)
    header.properties = Properties(**fields)  # type: ignore[arg-type]
    return Envelope("", "q"), header, b""


@pytest.mark.parametrize(
    "text",
    [
        "JMSPriority = 7",
        "JMSMessageID = 'ID:1'",
        "JMSTimestamp = 1700000000000",
        "JMSCorrelationID LIKE 'c%'",
        "JMSType = 'order'",
        "JMSDeliveryMode = 'PERSISTENT'",
        "price > 10.5 AND size = 3 AND total = 3000000000 AND tiny = 0.5",
        "JMSXGroupID = 'own'",
        "jmspriority IS NULL",
        "JMSExpiration IS NULL",
        "payload IS NULL",
    ],
)
def test_names(text: str) -> None:
    select = message_selector(text)
    headers = {"price": 11, "size": Byte(3), "total": Long(3_000_000_000), "tiny": Float(0.5)}
    fields = {"priority": 7, "message_id": "ID:1", "timestamp": 1_700_000_000}
    fields |= {"correlation_id": "c1", "type": "order"}
    headers |= {"JMSXGroupID": "own", "payload": b"\xff"}
    assert select is not None
    assert select(message(headers=headers, **fields))


def test_what_is_absent() -> None:
    names = ["JMSMessageID", "JMSTimestamp", "JMSCorrelationID", "JMSType", "other"]
    select = message_selector(" AND ".join(f"{name} IS NULL" for name in names))
    assert select is not None
    assert select(message())
    select = message_selector("JMSPriority = 4 AND JMSDeliveryMode = 'NON_PERSISTENT'")
    assert select is not None
    assert select(message(persistent=False))


def test_a_header_of_that_name_goes_before() -> None:
    """So JMS clients for AMQP send them: as headers."""
    select = message_selector("JMSPriority = 2")
    assert select is not None
    assert select(message(priority=9, headers={"JMSPriority": 2}))


def test_texts_are_converted_on_demand() -> None:
    texts = message(headers={"price": "11"})
    typed = message_selector("price > 10")
    textual = message_selector("price > 10", converts_text=True)
    assert typed is not None
    assert textual is not None
    assert (typed(texts), textual(texts)) == (False, True)


def test_a_blank_one_is_none() -> None:
    assert message_selector(" \n") is None
    assert consumer_selector({}, "queue 'q'") is None
    with pytest.raises(SelectorError):
        message_selector("a =")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "invalid type 'signedint' for arg 'x-rosetta-selector' in queue 'q'"),
        (
            "a =",
            "invalid arg 'x-rosetta-selector' for queue 'q': expected a value,"
            " but the selector ends at character 4",
        ),
    ],
)
def test_an_argument_that_is_refused(value: object, text: str) -> None:
    with pytest.raises(PreconditionFailedError) as raised:
        consumer_selector({"x-rosetta-selector": value}, "queue 'q'")
    assert str(raised.value) == text
