"""CONNECTED, RECEIPT and ERROR: the frames that are no messages."""

from __future__ import annotations

from protocols.stomp.codec import encode_frame
from protocols.stomp.heart_beats import HeartBeats
from protocols.stomp.login import VERSION_LIST


def encode_connected(
    version: str,
    session: str,
    heart_beats: HeartBeats,
    server: str | None,
    request_id: str | None,
) -> bytes:
    """A CONNECTED frame; a client of ActiveMQ may have sent a `request_id`."""
    headers = [
        ("session", session),
        ("heart-beat", f"{heart_beats.send_ms},{heart_beats.receive_ms}"),
        ("version", version),
    ]
    if server is not None:
        headers.insert(0, ("server", server))
    if request_id is not None:
        headers.append(("response-id", request_id))
    return encode_frame("CONNECTED", headers)


def encode_receipt(receipt: str) -> bytes:
    """A RECEIPT frame."""
    return encode_frame("RECEIPT", [("receipt-id", receipt)])


def encode_error(message: str, detail: str, *more: tuple[str, str]) -> bytes:
    """An ERROR frame, with more headers than all have."""
    headers = [
        ("message", message),
        ("content-type", "text/plain"),
        ("version", VERSION_LIST),
        *more,
    ]
    return encode_frame("ERROR", headers, detail.encode("utf-8", "surrogateescape"))
