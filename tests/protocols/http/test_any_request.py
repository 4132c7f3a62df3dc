"""Whatever is asked of the API is answered in words, and never by an unforeseen error."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.security.permissions import Permission
from protocols.http.api import Api, Request, Response
from protocols.http.routes import _ROUTES, Route
from tests.support.http_peer import HttpBroker

ROUTES = [route for routes in _ROUTES.values() for route in routes]
GUEST = "Basic Z3Vlc3Q6Z3Vlc3Q="
NAMES = st.sampled_from(["%2F", "q", "x", "guest", "amq.topic", "amq.default", "~", "%ff", "", "é"])
WORDS = """
    name type tags password password_hash durable arguments routing_key payload properties headers
    count ackmode encoding value exchange write read configure users queues bindings source vhost
    destination destination_type x-match priority timestamp delivery_mode expiration
"""
KEYS = st.sampled_from(WORDS.split())
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(1 << 70), 1 << 70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5)
    | st.sampled_from(["topic", "headers", "q", "/", "ack_requeue_true", "auto", "queue", "("]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)
QUERIES = st.sampled_from(
    [
        "",
        "page=1",
        "sort=name",
        "columns=name,a.b",
        "if-empty=true",
        "%ff",
        "page=1&name=%28",
        "&=&",
    ]
)


Asked = tuple[Route, list[str], Any, str]


@settings(max_examples=200, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(
            st.sampled_from(ROUTES), st.lists(NAMES, min_size=8, max_size=8), VALUES, QUERIES
        ),
        max_size=6,
    )
)
def test_any_request(broker: HttpBroker, asked: list[Asked]) -> None:
    """One broker for all examples: what one did is there for the next, too."""
    if "guest" not in broker.gateway.users or not broker.gateway.users.find("guest").tags:
        broker.gateway.users.put("guest", password="guest", tags=["administrator"])
    broker.gateway.permissions.put(Permission("guest", "/", ".*", ".*", ".*"))
    api = Api(broker.gateway)
    for route, names, value, query in asked:
        path = [
            name if part.startswith("<") else part
            for part, name in zip(route.pattern, names, strict=False)
        ]
        content = json.dumps(value).encode()
        request = Request(route.method, path, query, content, GUEST, None, "127.0.0.1")
        responses: list[Response] = []
        api.answer(request, responses.append)
        while not responses:  # Some take a while.
            broker.clock.advance(0)
            broker.gateway.turn.end()
        (response,) = responses
        assert response.status in (200, 201, 204, 400, 401, 404, 503), response
        if response.content:
            json.loads(response.content)
        broker.gateway.turn.end()
