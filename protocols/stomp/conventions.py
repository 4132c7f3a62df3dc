"""Headers of ActiveMQ's and Artemis' clients that contradict nothing of RabbitMQ's.

They are understood whatever the personality, and stay what they are beside: application headers,
which a MESSAGE shows. What they say is written down in RabbitMQ's words, too, so that whoever reads
the stored message needs to know of no convention.
"""

from __future__ import annotations

from collections.abc import Mapping

from protocols.stomp.errors import RequestRefusedError, processing_error
from protocols.stomp.language import integer_header

# The first of these that there is counts (as in Artemis).
_DURABLE_NAMES = (
    "durable-subscription-name",
    "durable-subscriber-name",
    "activemq.subscriptionName",
)
_SEND_HEADERS = frozenset({"expires", "destination-type"})
_EXPIRES_MAX = 2**63 - 1


def send_headers(headers: dict[str, str], now_ms: int) -> dict[str, str]:
    """A SEND's headers with what the conventions mean; the same object if it uses none.

    Raises `RequestRefusedError` for a value that is none.
    """
    if _SEND_HEADERS.isdisjoint(headers):
        return headers
    meant = dict(headers)
    expires_ms = integer_header(headers, "expires", _EXPIRES_MAX)
    if expires_ms and "expiration" not in headers:
        meant["expiration"] = str(max(0, expires_ms - now_ms))
    if "destination-type" in headers:
        meant["destination"] = _by_type(headers.get("destination", ""), headers["destination-type"])
    return meant


def depends_on_time(headers: Mapping[str, str]) -> bool:
    """Whether the same SEND means something else a moment later."""
    return "expires" in headers


def subscribe_headers(headers: dict[str, str]) -> dict[str, str]:
    """The same for a SUBSCRIBE."""
    meant = dict(headers)
    if "subscription-type" in headers and "destination" in headers:
        meant["destination"] = _by_type(headers["destination"], headers["subscription-type"])
    if headers.get("consumer-window-size") == "0":
        meant.setdefault("prefetch-count", "1")
    for theirs, ours in (
        ("activemq.prefetchSize", "prefetch-count"),
        ("activemq.priority", "x-priority"),
    ):
        if theirs in headers:
            meant.setdefault(ours, headers[theirs])
    return meant


def durable_subscription_queue(headers: Mapping[str, str], client_id: str | None) -> str | None:
    """The queue of a durable subscription by client id and name; None if it is none.

    Raises `RequestRefusedError` if CONNECT gave no client id.
    """
    name = next((headers[each] for each in _DURABLE_NAMES if each in headers), None)
    if name is None:
        return None
    if not client_id:
        raise RequestRefusedError(
            "Missing Header",
            "CONNECT must include a 'client-id' header for a named durable subscription",
        )
    return f"{client_id}.{name}"


def _by_type(destination: str, type: str) -> str:
    """Artemis' routing types, for a name that says nothing itself."""
    if "/" in destination:
        return destination
    match type:
        case "MULTICAST":
            return f"/topic/{destination}"
        case "ANYCAST":
            return f"/queue/{destination}"
    raise processing_error()
