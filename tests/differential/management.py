"""The HTTP API of a broker, as its administrator calls it."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

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
        """The status, and why if it is a refusal."""
        self._connection.request(
            method,
            "/api/" + "/".join(quote(part, safe="") for part in path),
            None if body is None else json.dumps(body),
            _HEADERS,
        )
        response = self._connection.getresponse()
        answer = response.read()
        if response.status < 400:
            return str(response.status)
        return f"{response.status} {_reason(answer)}"

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _reason(answer: bytes) -> Any:
    try:
        return json.loads(answer)["reason"]
    except (ValueError, KeyError):
        return answer
