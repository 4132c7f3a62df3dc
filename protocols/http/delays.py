"""Delayed messages, over HTTP: what waits, page by page, and cancelling one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from core.timer_record import TimerId
from protocols.http.call import NO_CONTENT, Answer, Call, bad_request, not_found
from protocols.http.messages import show_properties

if TYPE_CHECKING:
    from gateway.delays.delays import DelayedMessage

_COUNT = 100
_COUNT_MAX = 1000


def delayed(call: Call) -> Any:
    """The next messages of a virtual host in the order of their times, behind `after`.

    `next` is what to give as `after` for those that follow, if there may be any.
    """
    delays = call.virtual_host.delays
    after = _parse_id(call.query["after"]) if "after" in call.query else None
    count = _parse_count(call.query.get("count", str(_COUNT)))
    found = delays.look(after, count)
    return {
        "items": [_show(message) for message in found],
        "next": str(found[-1].id) if len(found) == count else None,
        "total_count": delays.total_count,
    }


def cancel(call: Call) -> Answer:
    """Do not publish a message after all."""
    if not call.entered.cancel_delayed(_parse_id(call.names["id"])):
        raise not_found()
    return NO_CONTENT


def _show(delayed: DelayedMessage) -> dict[str, Any]:
    envelope, _, body = delayed.message
    return {
        "id": str(delayed.id),
        "deliver_at": delayed.id.fire_ms,
        "exchange": envelope.exchange,
        "routing_key": envelope.routing_key,
        "payload_bytes": len(body),
        "properties": show_properties(delayed.message, {}),
    }


def _parse_id(text: str) -> TimerId:
    id = TimerId.parse(text)
    if id is None:
        raise bad_request(f"'{text}' is no id of a delayed message")
    return id


def _parse_count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5) or not (
        1 <= int(text) <= _COUNT_MAX
    ):
        raise bad_request(f"count is 1 to {_COUNT_MAX}, not '{text}'")
    return int(text)
