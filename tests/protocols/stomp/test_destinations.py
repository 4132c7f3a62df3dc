import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.stomp.destinations import (
    Destination,
    Kind,
    format_destination,
    format_reply_to,
    parse_destination,
)
from protocols.stomp.errors import RequestRefusedError

VALID_TYPES = (
    "Valid destination types are: /temp-queue, /exchange, /topic, /queue, /amq/queue,"
    " /reply-queue/.\n"
)


@pytest.mark.parametrize(
    ("text", "kind", "exchange", "routing_key"),
    [
        ("/queue/a", Kind.QUEUE, "", "a"),
        ("/queue/a.b%2Fc%25", Kind.QUEUE, "", "a.b/c%25"),
        ("a", Kind.QUEUE, "", "a"),
        ("/amq/queue/a", Kind.AMQ_QUEUE, "", "a"),
        ("/topic/a.*", Kind.TOPIC, "amq.topic", "a.*"),
        ("/exchange/x", Kind.EXCHANGE, "x", ""),
        ("/exchange/x/k%2Fl", Kind.EXCHANGE, "x", "k/l"),
        ("/exchange/x/", Kind.EXCHANGE, "x", ""),
        ("/temp-queue/x", Kind.TEMP_QUEUE, "", "x"),
        ("/reply-queue/a/b%2F", Kind.REPLY_QUEUE, "", "a/b%2F"),
    ],
)
def test_parses(text: str, kind: Kind, exchange: str, routing_key: str) -> None:
    assert parse_destination(text) == Destination(kind, exchange, routing_key)


@pytest.mark.parametrize(
    ("text", "message", "detail"),
    [
        ("", "Invalid destination", "Destination cannot be blank"),
        ("/queue", "Invalid destination", "'' is not a valid queue destination\n"),
        ("/queue/", "Invalid destination", "'/' is not a valid queue destination\n"),
        ("/queue/bah/baz", "Invalid destination", "'/bah/baz' is not a valid queue destination\n"),
        ("/topic/a/b", "Invalid destination", "'/a/b' is not a valid topic destination\n"),
        ("/exchange", "Invalid destination", "'' is not a valid exchange destination\n"),
        ("/exchange//k", "Invalid destination", "'//k' is not a valid exchange destination\n"),
        (
            "/exchange/a/b/c",
            "Invalid destination",
            "'/a/b/c' is not a valid exchange destination\n",
        ),
        ("/temp-queue", "Invalid destination", "'' is not a valid temp_queue destination\n"),
        (
            "/reply-queue/",
            "Invalid destination",
            "'/' is not a valid reply_queue destination\n",
        ),
        ("/amq/queue", "Invalid destination", "'' is not a valid amqqueue destination\n"),
        ("/bah", "Unknown destination", f"'/bah' is not a valid destination.\n{VALID_TYPES}"),
        ("a/b", "Unknown destination", f"'a/b' is not a valid destination.\n{VALID_TYPES}"),
        ("/queue/\udcff", "Processing error", "Processing error"),
        ("/queue/" + "x" * 256, "Processing error", "Processing error"),
    ],
)
def test_refuses(text: str, message: str, detail: str) -> None:
    with pytest.raises(RequestRefusedError) as caught:
        parse_destination(text)
    assert (caught.value.message, caught.value.detail) == (message, detail)
    assert not caught.value.closing


@pytest.mark.parametrize(
    ("exchange", "routing_key", "text"),
    [
        ("", "a", "/queue/a"),
        ("amq.topic", "a.b", "/topic/a.b"),
        ("amq.fanout", "", "/exchange/amq.fanout"),
        ("x", "k", "/exchange/x/k"),
        ("", "a/b%c\n\u00e9", "/queue/a%2Fb%25c%0A%C3%A9"),
    ],
)
def test_formats(exchange: str, routing_key: str, text: str) -> None:
    assert format_destination(exchange, routing_key) == text


@given(
    st.text(st.characters(min_codepoint=32, max_codepoint=127, exclude_characters="%"), min_size=1)
)
def test_what_is_formatted_leads_back(name: str) -> None:
    assert parse_destination(format_destination("", name)) == Destination(Kind.QUEUE, "", name)


def test_a_reply_to_becomes_a_destination() -> None:
    assert format_reply_to("amq.gen-1/2") == "/reply-queue/amq.gen-1/2"
    for text in ("/queue/a", "/topic/a", "/exchange/a", "/amq/queue/a", "/reply-queue/a"):
        assert format_reply_to(text) == text
