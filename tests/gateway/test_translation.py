from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.messages import Properties
from gateway.translation import (
    NATIVE_NAMES,
    PROPERTY_NAMES,
    STOMP_NAMES,
    from_text,
    to_text,
    value_text,
)

TEXT = st.text(max_size=10)
OWN_NAMES = {names.native for names in PROPERTY_NAMES} | {names.stomp for names in PROPERTY_NAMES}
PROPERTIES = st.builds(
    Properties,
    content_type=st.none() | TEXT,
    content_encoding=st.none() | TEXT,
    headers=st.dictionaries(TEXT.filter(lambda name: name not in OWN_NAMES), TEXT),
    persistent=st.none() | st.booleans(),
    priority=st.none() | st.integers(0, 255),
    correlation_id=st.none() | TEXT,
    reply_to=st.none() | TEXT,
    expiration=st.none() | TEXT,
    message_id=st.none() | TEXT,
    timestamp=st.none() | st.integers(0, (1 << 63) - 1),
    type=st.none() | TEXT,
    user_id=st.none() | TEXT,
    app_id=st.none() | TEXT,
)


@pytest.mark.parametrize("names", [STOMP_NAMES, NATIVE_NAMES])
@given(properties=PROPERTIES)
def test_there_and_back_is_the_identity(properties: Properties, names: Mapping[str, str]) -> None:
    texts = to_text(properties, names) | {
        name: value_text(value) for name, value in properties.headers.items()
    }
    assert from_text(texts, names) == properties


@given(st.dictionaries(st.sampled_from(sorted(OWN_NAMES)) | TEXT, TEXT))
def test_no_text_is_lost(texts: dict[str, str]) -> None:
    properties = from_text(texts, NATIVE_NAMES)
    back = to_text(properties, NATIVE_NAMES) | {
        name: value_text(value) for name, value in properties.headers.items()
    }
    assert back == texts


@pytest.mark.parametrize("text", ["high", "-1", "256", "007", "", "٣"])
def test_a_value_of_the_wrong_type_stays_a_header(text: str) -> None:
    properties = from_text({"priority": text}, STOMP_NAMES)
    assert properties == Properties(headers={"priority": text})


def test_what_only_one_language_says_is_unseen() -> None:
    texts = {"WAIT": "true", "a": "b"}
    assert from_text(texts, NATIVE_NAMES, frozenset(["WAIT"])).headers == {"a": "b"}


@pytest.mark.parametrize(
    ("value", "text"),
    [
        ("s", "s"),
        (5, "5"),
        (True, "true"),
        (None, "null"),
        (b"by", "by"),
        (1.5, "1.5"),
        ([1, {"a": b"x"}], '[1,{"a":"x"}]'),
    ],
)
def test_values_as_text(value: object, text: str) -> None:
    assert value_text(value) == text  # type: ignore[arg-type]
