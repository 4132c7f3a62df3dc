"""What an example draws for the exchange types of plug-ins.

Where a message goes that only one of several destinations gets is chance, or a hash of RabbitMQ's
own: so `CHOOSER`, the only exchange of a type that chooses, has one destination.
"""

from __future__ import annotations

from tests.differential import wire
from tests.differential.author import Author

CHOOSER, CHOSEN = "~x1", "~q1"

_CHOOSING = ("x-random", "x-consistent-hash", "x-consistent-hash")
_OTHERS = ("x-recent-history", "x-recent-history", "x-jms-topic")

_PRICE, _NAME = "{'ident',<<\"a\">>}", "{'ident',<<\"b\">>}"
_SELECTORS = (
    "'true'.",
    "'false'.",
    f"{{'=',{_PRICE},1}}.",
    f"{{'>',{_PRICE},0}}.",
    f"{{'<>',{_NAME},<<\"1\">>}}.",
    f"{{'is_null',{_NAME}}}.",
    f"{{'and',{{'not_null',{_PRICE}}},{{'=',{_NAME},'true'}}}}.",
    f"{{'or',{{'in',{_NAME},[<<\"1\">>,<<\"2\">>]}},{{'like',{_PRICE},<<\"1%\">>,'no_escape'}}}}.",
    f"{{'between',{_PRICE},{{'range',0,2}}}}.",
    f"{{'not',{{'=',{_PRICE},1}}}}.",
    "{oops",
)  # fmt: skip
_HASH_ARGUMENTS: tuple[wire.Table, ...] = (
    (),
    (("hash-header", ("S", "a")),),
    (("hash-property", ("S", "message_id")),),
    (("hash-property", ("S", "timestamp")),),
    (("hash-property", ("S", "app_id")),),
    (("hash-property", ("S", "message_id")), ("hash-header", ("S", "a"))),
)
_LENGTHS: tuple[wire.Field, ...] = (
    ("I", 1), ("I", 2), ("l", 3), ("I", 0), ("I", -1), ("S", "2"), ("t", True), ("d", 2.0),
)  # fmt: skip


def draw_type(author: Author, exchange: str) -> str:
    """A type for an exchange that is declared."""
    return author.pick(_CHOOSING if exchange == CHOOSER else _OTHERS)


def draw_arguments(author: Author, type: str) -> wire.Table:
    """Arguments for such an exchange."""
    if type == "x-consistent-hash":
        return author.pick(_HASH_ARGUMENTS)
    if type == "x-recent-history" and author.happens(60):
        return (("x-recent-history-length", author.pick(_LENGTHS)),)
    return ()


def draw_binding(author: Author, type: str) -> tuple[str, wire.Table]:
    """A routing key and arguments for a binding of such an exchange."""
    if type == "x-consistent-hash":
        return author.pick(("1", "1", "2", "20", "0", "-1", "a", "")), ()
    if type == "x-jms-topic" and author.happens(95):
        return "a", (("rjms_erlang_selector", ("S", author.pick(_SELECTORS))),)
    return author.pick(("", "a")), ()
