"""Selectors as RabbitMQ's JMS client writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from core.errors import SelectorError
from gateway.declarations import (
    ExchangeBinding,
    ExchangeDeclaration,
    QueueBinding,
    QueueDeclaration,
)
from gateway.errors import PreconditionFailedError
from gateway.exchanges.selector_terms import parse_term, parse_term_selector
from tests.support.topology import LiveGateway

A = "{'ident',<<\"a\">>}"


@pytest.mark.parametrize(
    ("term", "text"),
    [
        (
            "{'and',{'is_null',{'ident',<<\"nothing\">>}},"
            "{'>',{'ident',<<\"JMSPrefix\">>},{'-',12,4}}}.",
            "(nothing IS NULL) AND (JMSPrefix > (12 - 4))",
        ),
        (f"{{'or',{A},{{'or',{{'not',{A}}},'true'}}}}.", "a OR (NOT a) OR TRUE"),
        (f"{{ 'between' , {A} , 1 , -1.0E10 }} . ", "a BETWEEN 1 AND -10000000000.0"),
        (f"{{'between',{A},{{'range',1,2}}}}.", "a BETWEEN 1 AND 2"),
        (f"{{'not_between',{A},1,{{'-',{A}}}}}.", "a NOT BETWEEN 1 AND (-a)"),
        (f"{{'in',{A},[<<\"x\">>,<<\"it's\">>]}}.", "a IN ('x', 'it''s')"),
        (f"{{'not_in',{A},[]}}.", "a NOT IN ()"),
        (f"{{'like',{A},<<\"a_%\">>,'no_escape'}}.", "a LIKE 'a_%'"),
        (f"{{'not_like',{A},<<\"a\\\\_\\\"\">>,<<\"\\\\\">>}}.", "a NOT LIKE 'a\\_\"' ESCAPE '\\'"),
        (f"{{'not_null',{A}}}.", "a IS NOT NULL"),
        (f"{{'<>',{{'/',{{'*',{A},2}},{{'+',1,1.5}}}},<<\"é\">>}}.",
         "((a * 2) / (1 + 1.5)) <> 'é'"),
        ("'false'.", "FALSE"),
    ],
)  # fmt: skip
def test_what_a_term_says(term: str, text: str) -> None:
    assert str(parse_term(term)) == text


@pytest.mark.parametrize(
    "term",
    [
        "",
        "{oops",
        "'true'",
        "'true'. x",
        "'maybe'.",
        "{'foo',1}.",
        "{}.",
        "[1].",
        "{'and','true'}.",
        f"{{'=',{A}}}.",
        f"{{'in',{A},<<\"x\">>}}.",
        "{'not'," * 300 + "'true'" + "}" * 300 + ".",
        "{'not'," * 150 + "'true'" + "}" * 150 + ".",
        "{'='," * 40_000,
    ],
)
def test_what_is_no_selector(term: str) -> None:
    with pytest.raises(SelectorError):
        parse_term(term)


def test_a_long_chain_is_not_deep() -> None:
    chain = "".join(f"{{'or',{{'=',{A},{number}}}," for number in range(150))
    selector = parse_term_selector(chain + "'false'" + "}" * 150 + ".")
    assert selector.matches({"a": 149}.get)
    assert not selector.matches({"a": 150}.get)


@pytest.mark.parametrize(
    ("term", "headers", "matches"),
    [
        (f"{{'<>',{A},1}}.", {"a": "x"}, True),
        (f"{{'=',{A},1}}.", {"a": 1.0}, True),
        (f"{{'<',{A},1}}.", {"a": "x"}, False),
        (f"{{'>',{{'/',1,{A}}},5}}.", {"a": 0}, True),
        ("{'=',{'/',7,2},3.5}.", {}, True),
        ("{'/',1,0}.", {}, False),
        (f"{{'not_in',{A},[<<\"x\">>]}}.", {}, False),
        (f"{{'not',{{'=',{A},1}}}}.", {}, False),
        (f"{A}.", {"a": True}, True),
        (f"{{'=',{A},'true'}}.", {"a": True}, True),
        (f"{{'=',{A},1}}.", {"a": [1]}, False),
    ],
)
def test_as_rabbitmq_evaluates(term: str, headers: dict[str, object], matches: bool) -> None:
    assert parse_term_selector(term).matches(headers.get) is matches


def selector(term: str) -> dict[str, object]:
    return {"rjms_erlang_selector": term, "rjms_version": "3.4.0"}


def test_each_binding_selects(tmp_path: Path) -> None:
    live = LiveGateway(tmp_path / "data")
    live.host.declare_exchange(ExchangeDeclaration("t", "topic", durable=True))
    live.host.declare_exchange(
        ExchangeDeclaration("x", "x-jms-topic", durable=True, arguments={"rjms_version": "3"})
    )
    live.host.bind(ExchangeBinding("x", "t", "news"))
    for name in "ab":
        live.host.declare_queue(QueueDeclaration(name, durable=True))
    live.host.bind(QueueBinding("a", "x", "news", selector(f"{{'>',{A},5}}.")))
    live.host.bind(QueueBinding("b", "x", "news", selector("'false'.")))
    live.host.bind(QueueBinding("b", "x", "news", selector(f"{{'<',{A},9}}.")))
    for _ in range(2):
        assert live.where("t", "news", a=7) == ["a", "b"]
        assert live.where("t", "news", a=3) == ["b"]
        assert live.where("t", "news") == []
        assert live.where("t", "other", a=7) == []
        assert live.where("x", "whatever", a=7) == ["a", "b"]
        assert live.host.route("t", "news", None).by_header
        live = live.restart()
    live.host.unbind(QueueBinding("b", "x", "news", selector(f"{{'<',{A},9}}.")))
    live.host.delete_queue("a")
    assert live.where("t", "news", a=7) == []


@pytest.mark.parametrize("arguments", [{}, selector("{oops"), {"rjms_erlang_selector": 5}])
def test_a_binding_that_cannot_be_read(tmp_path: Path, arguments: dict[str, object]) -> None:
    live = LiveGateway(tmp_path / "data")
    live.host.declare_exchange(ExchangeDeclaration("x", "x-jms-topic"))
    live.host.declare_queue(QueueDeclaration("q"))
    with pytest.raises(PreconditionFailedError) as raised:
        live.host.bind(QueueBinding("q", "x", "k", arguments))
    text = arguments.get("rjms_erlang_selector")
    assert str(raised.value) == (
        f"cannot parse selector '{text}' binding destination 'q' to exchange 'x'"
    )
