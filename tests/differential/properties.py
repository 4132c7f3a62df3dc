"""Hypothesis draws properties of messages: any of them, with every type of field in headers."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.differential import wire

_leaves = st.one_of(
    st.tuples(st.just("t"), st.booleans()),
    *(
        st.tuples(st.just(letter), st.integers(-(1 << size - 1), (1 << size - 1) - 1))
        for letter, size in (("b", 8), ("s", 16), ("I", 32), ("l", 64))
    ),
    *(
        st.tuples(st.just(letter), st.integers(0, (1 << size) - 1))
        for letter, size in (("B", 8), ("u", 16), ("i", 32), ("T", 64))
    ),
    st.tuples(st.just("f"), st.floats(width=32, allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("d"), st.floats(allow_nan=False, allow_infinity=False)),
    st.tuples(st.just("D"), st.tuples(st.integers(0, 255), st.integers(0, 1 << 30))),
    st.tuples(st.just("S"), st.sampled_from(("", "text", "käse", b"\xff\x00"))),
    st.tuples(st.just("x"), st.binary(max_size=5)),
    st.tuples(st.just("V"), st.none()),
)
_names = st.sampled_from(("a", "b", "x-c", "käse", "long" * 30))


def _tables(fields: st.SearchStrategy[wire.Field]) -> st.SearchStrategy[wire.Table]:
    return st.lists(st.tuples(_names, fields), max_size=3, unique_by=lambda each: each[0]).map(
        tuple
    )


fields = st.recursive(
    _leaves,
    lambda inner: st.one_of(
        st.tuples(st.just("A"), st.lists(inner, max_size=3).map(tuple)),
        st.tuples(st.just("F"), _tables(inner)),
    ),
    max_leaves=6,
)
tables = _tables(fields)

any_properties = st.fixed_dictionaries(
    {},
    optional={
        "content_type": st.sampled_from(("text/plain", "", "ä")),
        "content_encoding": st.just("utf-8"),
        "headers": tables,
        "delivery_mode": st.sampled_from((1,) * 10 + (2,) * 10 + (0, 3)),
        "priority": st.sampled_from((0, 5, 255)),
        "correlation_id": st.sampled_from(("", "c" * 255)),
        "reply_to": st.just("~q2"),
        "message_id": st.just("m"),
        "timestamp": st.sampled_from((0, 1, 1 << 40, (1 << 64) - 1)),
        "type": st.just("t"),
        "user_id": st.just("guest"),
        "app_id": st.just("app"),
        "cluster_id": st.just("c"),
    },
)
