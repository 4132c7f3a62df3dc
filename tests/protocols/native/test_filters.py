"""Which messages a subscription wants, whoever sent them."""

from __future__ import annotations

import pytest

from gateway.messages import Envelope, Properties
from protocols.native.filters import parse_filter, parse_tag_filter
from protocols.native.language import to_stored
from protocols.native.replies import RequestRefusedError
from rosettamq.remoting.records import Record
from tests.support.topology import header


@pytest.mark.parametrize(
    ("expression", "tag", "matches"),
    [
        ("*", "a", True),
        ("", "", True),
        ("a || b", "b", True),
        ("a||b", "c", False),
        ("a", "", False),
        ("a || *", "c", True),
    ],
)
def test_tag_filters(expression: str, tag: str, matches: bool) -> None:
    message, _ = to_stored(Record("T", b"", f"TAGS\x01{tag}\x02".encode(), 1))
    assert parse_tag_filter(expression).matches(message) is matches


@pytest.mark.parametrize(
    ("text", "matches"),
    [
        ("level > 5 AND TAGS = 'eu.key' AND flag = TRUE", True),
        ("level > 5.5", True),
        ("level > 9", False),
        ("name CONTAINS 'x' OR KEYS IS NOT NULL", False),
    ],
)
def test_sql_sees_what_a_native_reader_sees_of_other_languages(text: str, matches: bool) -> None:
    sent = header(level=7, name="abc", flag=True)
    sent.properties = Properties(headers={"level": 7, "name": "abc", "flag": True})
    message = (Envelope("topic", "eu.key"), sent, b"")
    assert parse_filter(text, "SQL92").matches(message) is matches


def test_sql_of_a_native_message() -> None:
    raw = b"a\x0110\x02TAGS\x01t\x02"
    message, _ = to_stored(Record("T", b"", raw, 1))
    assert parse_filter("a BETWEEN 5 AND 15 AND TAGS IN ('t')", "SQL92").matches(message)


@pytest.mark.parametrize(("expression", "type", "code"), [("a >", "SQL92", 23), ("a", "X", 1)])
def test_refusals(expression: str, type: str, code: int) -> None:
    with pytest.raises(RequestRefusedError) as raised:
        parse_filter(expression, type)
    assert raised.value.code == code
