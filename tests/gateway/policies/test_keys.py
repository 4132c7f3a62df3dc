from __future__ import annotations

from typing import Any

import pytest

from gateway.policies.keys import check_definition, effective_arguments, merge_definitions, shown
from gateway.values import Short


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        ({}, "no policy provided"),
        ([], "definition must be a dictionary: []"),
        ({"nothing": 1, "other": "x"}, '[{<<"nothing">>,1},{<<"other">>,<<"x">>}] are not'
                                       ' recognised policy settings'),
        ({"message-ttl": -1}, "-1 is not a valid message TTL"),
        ({"message-ttl": True}, "true is not a valid message TTL"),
        ({"message-ttl": 1.5}, "1.5 is not a valid message TTL"),
        ({"expires": 0}, "0 is not a valid queue expiry"),
        ({"max-length": "x"}, '<<"x">> is not a valid maximum length'),
        ({"max-length-bytes": -1}, "-1 is not a valid maximum length in bytes"),
        ({"overflow": "bad"}, '<<"bad">> is not a valid overflow value'),
        ({"dead-letter-exchange": 1}, "1 is not a valid dead letter exchange name"),
        ({"dead-letter-routing-key": 1}, "1 is not a valid dead letter routing key"),
        ({"alternate-exchange": 1}, "1 is not a valid alternate exchange name"),
        ({"queue-mode": "bad"}, '<<"bad">> is not a valid queue-mode value'),
        ({"queue-version": True}, "true is not a valid queue-version value"),
        ({"queue-version": 3}, "3 is not a valid queue-version value"),
        ({"delivery-limit": "x"}, '<<"x">> is not a valid delivery limit'),
        ({"max-age": "1X"}, '<<"1X">> is not a valid max age'),
        ({"dead-letter-strategy": None}, "null is not a valid dead letter strategy"),
        ({"queue-master-locator": 1}, "1 invalid queue-master-locator value"),
        ({"stream-max-segment-size-bytes": 3 << 30}, "3221225472 is not a valid segment size"),
    ],
)  # fmt: skip
def test_what_cannot_be(definition: Any, reason: str) -> None:
    assert check_definition(definition, False) == reason


@pytest.mark.parametrize(
    "definition",
    [
        {"message-ttl": 0, "expires": 1, "max-length": 0, "max-length-bytes": 0},
        {"overflow": "reject-publish-dlx", "dead-letter-exchange": "", "queue-version": 2},
        {"delivery-limit": -1, "consumer-timeout": 1000, "dead-letter-strategy": "at-least-once"},
        {"max-age": "7D", "stream-max-segment-size-bytes": 5, "stream-filter-size-bytes": 16},
        {"ha-mode": "exactly", "ha-params": 2},
    ],
)
def test_what_can_be(definition: dict[str, Any]) -> None:
    assert check_definition(definition, False) == ""


def test_an_operator_may_only_limit() -> None:
    assert check_definition({"max-length": 1, "overflow": "drop-head"}, True) == ""
    reason = check_definition({"dead-letter-exchange": "x"}, True)
    assert reason == '[{<<"dead-letter-exchange">>,<<"x">>}] are not recognised policy settings'


@pytest.mark.parametrize(
    ("policy", "operator", "merged"),
    [
        ({"max-length": 5}, {"max-length": 3, "expires": 9}, {"max-length": 3, "expires": 9}),
        ({"max-length": 2}, {"max-length": 3}, {"max-length": 2}),
        ({"overflow": "drop-head"}, {"overflow": "reject-publish"}, {"overflow": "reject-publish"}),
        ({"delivery-limit": 5}, {"delivery-limit": 3}, {"delivery-limit": 3}),
        ({"delivery-limit": -1}, {"delivery-limit": 3}, {"delivery-limit": 3}),
        ({"queue-version": 1}, {"queue-version": 2}, {"queue-version": 2}),
    ],
)
def test_a_policy_and_an_operator_policy(policy: Any, operator: Any, merged: Any) -> None:
    assert merge_definitions(policy, operator) == merged


@pytest.mark.parametrize(
    ("arguments", "definition", "effective"),
    [
        ({"x-max-length": Short(5)}, {"max-length": 3}, {"x-max-length": 3}),
        ({"x-max-length": 2}, {"max-length": 3}, {"x-max-length": 2}),
        ({"x-expires": 2}, {"message-ttl": 3}, {"x-expires": 2, "x-message-ttl": 3}),
        ({"x-overflow": "drop-head"}, {"overflow": "reject-publish"}, {"x-overflow": "drop-head"}),
        ({"x-dead-letter-exchange": "a"}, {"dead-letter-exchange": "b"},
         {"x-dead-letter-exchange": "a"}),
        ({"x-delivery-limit": -1}, {"delivery-limit": 4}, {"x-delivery-limit": 4}),
        ({"x-max-age": "1h"}, {"max-age": "30m"}, {"x-max-age": "30m"}),
        ({"x-odd": 1}, {}, {"x-odd": 1}),
    ],
)  # fmt: skip
def test_arguments_and_policies(arguments: Any, definition: Any, effective: Any) -> None:
    assert effective_arguments(arguments, definition) == effective


def test_values_are_shown_as_terms() -> None:
    assert shown([{"a": "b"}, False, 1.5]) == '[[{<<"a">>,<<"b">>}],false,1.5]'
