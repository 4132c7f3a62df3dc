from __future__ import annotations

from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.errors import PreconditionFailedError
from gateway.exchanges.bindings import (
    Binding,
    Bindings,
    DirectBindings,
    FanoutBindings,
    TopicBindings,
    freeze,
)
from gateway.exchanges.header_bindings import HeaderBindings
from gateway.queues.queue import Queue
from tests.support.topology import header

WORDS = st.sampled_from(["a", "b", "", "#", "*"])
KEYS = st.lists(WORDS, max_size=5).map(".".join)
VALUES = st.sampled_from([None, True, False, 0, 1, 2, 1.0, "1", "", b"1", [1], [True], {"a": 1}])
HEADERS = st.dictionaries(st.sampled_from(["a", "b", "x-c", "x-d"]), VALUES, max_size=3)


def binding(name: str, key: str = "", **arguments: Any) -> Binding:
    """A binding to something that only has a name."""
    named = {argument.replace("_", "-"): value for argument, value in arguments.items()}
    return Binding.make(cast(Queue, name), key, named)


def match(bindings: Bindings, key: str, headers: dict[str, Any] | None = None) -> set[str]:
    return {cast(str, found) for found in bindings.match([key], header(**(headers or {})))}


def topic_fits(pattern: list[str], key: list[str]) -> bool:
    """The slow and obvious way."""
    if not pattern:
        return not key
    if pattern[0] == "#":
        return topic_fits(pattern[1:], key) or (bool(key) and topic_fits(pattern, key[1:]))
    return bool(key) and pattern[0] in ("*", key[0]) and topic_fits(pattern[1:], key[1:])


def words(key: str) -> list[str]:
    return key.split(".") if key else []


@given(
    patterns=st.sets(KEYS, max_size=8), keys=st.lists(KEYS, min_size=1, max_size=4), data=st.data()
)
def test_topics_match_as_a_naive_matcher_does(
    patterns: set[str], keys: list[str], data: st.DataObject
) -> None:
    """Whatever was bound and unbound before."""
    bindings = TopicBindings()
    gone = data.draw(st.sets(st.sampled_from(sorted(patterns)))) if patterns else set()
    for pattern in sorted(patterns):
        bindings.add(binding(pattern, pattern))
    for pattern in sorted(gone):
        bindings.remove(binding(pattern, pattern))
    for key in keys:
        expected = {p for p in patterns - gone if topic_fits(words(p), words(key))}
        assert match(bindings, key) == expected
    for pattern in sorted(patterns - gone):
        bindings.remove(binding(pattern, pattern))
    assert not bindings._root.children
    assert not bindings._root.bindings


@pytest.mark.parametrize(
    ("pattern", "key", "fits"),
    [
        ("#", "", True),
        ("*", "", False),
        ("a.*.b", "a..b", True),
        ("#.#", "a", True),
        ("a.#", "a", True),
        ("a.#.b", "a.b", True),
        ("*.#", "", False),
        ("a", "a.", False),
    ],
)
def test_topics_by_example(pattern: str, key: str, fits: bool) -> None:
    bindings = TopicBindings()
    bindings.add(binding("q", pattern))
    assert bool(match(bindings, key)) == fits


def test_many_hashes_take_no_exponential_time() -> None:
    bindings = TopicBindings()
    bindings.add(binding("q", ".".join(["#", "a"] * 40)))
    assert match(bindings, ".".join("a" * 200)) == {"q"}
    assert match(bindings, ".".join("a" * 200 + "b")) == set()


@pytest.mark.parametrize("type", [DirectBindings, FanoutBindings])
def test_direct_and_fanout(type: Any) -> None:
    bindings = type()
    for name, key in [("p", "a"), ("q", "a"), ("q", "b"), ("r", "")]:
        bindings.add(binding(name, key))
    everyone = {"p", "q", "r"} if type is FanoutBindings else None
    assert match(bindings, "a") == (everyone or {"p", "q"})
    assert match(bindings, "") == (everyone or {"r"})
    bindings.remove(binding("p", "a"))
    assert "p" not in match(bindings, "a")
    assert "q" in match(bindings, "b")


def same(wanted: Any, value: Any) -> bool:
    """Equal, and of one class: numbers of any width, but no bool and no float."""
    if type(wanted) is not type(value):
        return False
    if isinstance(wanted, list):
        return len(wanted) == len(value) and all(map(same, wanted, value))
    if isinstance(wanted, dict):
        return wanted.keys() == value.keys() and all(same(wanted[k], value[k]) for k in wanted)
    return bool(wanted == value)


@given(
    mode=st.sampled_from([None, "all", "any", "all-with-x", "any-with-x"]),
    wanted=HEADERS,
    headers=HEADERS,
)
def test_headers_match_as_they_are_specified(
    mode: str | None, wanted: dict[str, Any], headers: dict[str, Any]
) -> None:
    bindings = HeaderBindings()
    bindings.add(binding("q", **wanted, **({"x-match": mode} if mode else {})))
    with_x = mode is not None and mode.endswith("-with-x")
    considered = {n: v for n, v in wanted.items() if with_x or not n.startswith("x-")}
    fits = [n in headers and (v is None or same(v, headers[n])) for n, v in considered.items()]
    expected = any(fits) if mode and mode.startswith("any") else all(fits)
    assert bool(match(bindings, "ignored", headers)) == expected


@given(
    several=st.lists(
        st.tuples(st.sampled_from(["all", "any", "all-with-x", "any-with-x"]), HEADERS), max_size=6
    ),
    removed=st.sets(st.integers(0, 5)),
    headers=HEADERS,
)
def test_each_of_several_headers_bindings_is_as_if_alone(
    several: list[tuple[str, dict[str, Any]]], removed: set[int], headers: dict[str, Any]
) -> None:
    made = [
        binding(str(number), **wanted, **{"x-match": mode})
        for number, (mode, wanted) in enumerate(several)
    ]
    bindings = HeaderBindings()
    expected = set()
    for each in made:
        bindings.add(each)
    for number, each in enumerate(made):
        if number in removed:
            bindings.remove(each)
            continue
        alone = HeaderBindings()
        alone.add(each)
        expected |= match(alone, "", headers)
    assert match(bindings, "", headers) == expected
    for number, each in enumerate(made):
        if number not in removed:
            bindings.remove(each)
    assert not bindings._by_pair


def test_a_message_is_compared_with_few_of_many_bindings() -> None:
    bindings = HeaderBindings()
    for number in range(1000):
        bindings.add(binding(str(number), kind="order", user=number, region=number % 3))
    assert max(len(found) for found in bindings._by_pair.values()) <= 2
    assert match(bindings, "", {"kind": "order", "user": 7, "region": 1}) == {"7"}


@pytest.mark.parametrize(
    ("value", "text"),
    [("foo", 'Invalid x-match field value <<"foo">>; expected all, any'), (5, "expected longstr")],
)
def test_x_match_is_checked(value: Any, text: str) -> None:
    with pytest.raises(PreconditionFailedError, match=text):
        HeaderBindings().add(binding("q", x_match=value))


@given(one=VALUES, other=VALUES)
def test_bindings_are_equal_if_their_arguments_are_the_same(one: Any, other: Any) -> None:
    """And what is stored of them under a key of its own must tell them apart, too."""
    are_same = same(one, other)
    assert (binding("q", a=one) == binding("q", a=other)) == are_same
    assert (repr(freeze(one)) == repr(freeze(other))) == are_same


def test_the_order_of_arguments_does_not_matter() -> None:
    assert binding("q", a=1, b={"c": [1], "d": 2}) == binding("q", b={"d": 2, "c": [1]}, a=1)
