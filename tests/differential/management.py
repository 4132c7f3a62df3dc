"""The HTTP API of a broker, as its administrator calls it."""

from __future__ import annotations

import base64
import html
import http.client
import json
from collections.abc import Sequence
from urllib.parse import quote

DONE = "done"
_TIMEOUT_S = 20.0
_HEADERS = {
    "Authorization": f"Basic {base64.b64encode(b'guest:guest').decode()}",
    "Content-Type": "application/json",
}


class Management:
    """One connection to the API."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_TIMEOUT_S)

    def call(self, method: str, path: Sequence[str], body: object = None) -> str:
        """`done`, or the status and why it was not."""
        self._connection.request(
            method,
            "/api/" + "/".join(quote(part, safe="") for part in path),
            None if body is None else json.dumps(body),
            _HEADERS,
        )
        response = self._connection.getresponse()
        answer = response.read()
        if response.status < 400:
            return DONE
        return f"{response.status} {_reason(answer)}"

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _reason(answer: bytes) -> str:
    """Some versions of RabbitMQ have it ready for a page."""
    try:
        return repr(html.unescape(json.loads(answer)["reason"]).strip())
    except (ValueError, KeyError):
        return repr(answer)
