"""Any selector: printed and parsed it is the same; evaluated, what the specification says."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.errors import SelectorError
from core.filters.evaluator import Evaluator, Semantics
from core.filters.parser import ROCKETMQ, STANDARD, parse
from core.filters.selector import Dialect, parse_selector
from core.filters.syntax import Expression, Value
from tests.core.filters.expressions import model, numeric, properties, rocketmq, standard

_any_number = st.integers(-(1 << 63), (1 << 63) - 1) | st.floats(
    allow_nan=False, allow_infinity=False
)


@given(standard(_any_number))
def test_what_is_printed_parses_to_the_same(expression: Expression) -> None:
    assert parse(str(expression), STANDARD) == expression


@given(rocketmq())
def test_the_same_in_rocketmqs_grammar(expression: Expression) -> None:
    assert parse(str(expression), ROCKETMQ) == expression


@given(standard(), properties)
def test_the_evaluator_agrees_with_the_model(
    expression: Expression, found: dict[str, Value]
) -> None:
    value = Evaluator(Semantics()).condition(expression)(found.get)
    expected = model(expression, found)
    assert value is (expected if isinstance(expected, bool) else None)


@given(numeric(), properties)
def test_texts_select_as_the_values_that_they_stand_for(
    expression: Expression, found: dict[str, Value]
) -> None:
    typed = {name: value for name, value in found.items() if not isinstance(value, str)}
    texts = {name: str(value).lower() for name, value in typed.items() if value is not None}
    evaluate = Evaluator(Semantics(converts_text=True)).condition(expression)
    assert evaluate(texts.get) is evaluate(typed.get)


_TOKENS = "a b 'x' 1 2.5 ( ) , = <> < AND OR NOT BETWEEN IN LIKE ESCAPE IS NULL + - * TRUE CONTAINS"


@given(
    st.text("ab=<>'\"()+-*/ \n.0159eELxX,_$%", max_size=30)
    | st.lists(
        st.sampled_from(
            [
                "a",
                "b",
                "'x'",
                "1",
                "2.5",
                "(",
                ")",
                ",",
                "=",
                "<>",
                "<",
                "AND",
                "OR",
                "NOT",
                "BETWEEN",
                "IN",
                "LIKE",
                "ESCAPE",
                "IS",
                "NULL",
                "+",
                "-",
                "*",
                "TRUE",
            ]
        )
    ).map(" ".join),
    st.sampled_from(Dialect),
)
def test_no_text_does_worse_than_to_be_refused(text: str, dialect: Dialect) -> None:
    refusal: SelectorError | None = None
    try:
        selector = parse_selector(text, dialect)
    except SelectorError as error:
        refusal = error
    else:
        assert selector.matches({"a": "1", "b": 2}.get) in (True, False)
    assert refusal is None or 0 <= refusal.position <= len(text)
