"""A client of the HTTP API, as far as the command line needs one."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Sequence
from http import HTTPStatus
from http.client import HTTPException
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.parse import quote, urlencode
from urllib.request import Request, urlopen

_TIMEOUT_S = 60.0


class ClientError(Exception):
    """The broker cannot be reached, or refuses; the text says why."""


class Client:
    """Calls of the API under `url`, as one user."""

    def __init__(self, url: str, user: str, password: str) -> None:
        if not url.startswith(("http://", "https://")):
            raise ClientError(f"a URL begins with http:// or https://, not '{url}'")
        self._url = url.rstrip("/")
        credentials = f"{user}:{password}".encode(errors="surrogateescape")  # As it was typed.
        self._authorization = "Basic " + b64encode(credentials).decode()

    def call(
        self,
        method: str,
        *path: str,
        body: Any = None,
        headers: dict[str, str] | None = None,
        query: dict[str, str] | None = None,
        timeout_s: float = _TIMEOUT_S,
    ) -> Any:
        """The JSON of the answer, None if it has none. Raises `ClientError`.

        Each part of the path is quoted, so `/` may be a name.
        """
        quoted = "/".join(quote(part, safe="", errors="surrogateescape") for part in path)
        if query:
            quoted += "?" + urlencode(query)
        content = None if body is None else json.dumps(body).encode()
        try:
            request = Request(f"{self._url}/api/{quoted}", content, headers or {}, method=method)
        except ValueError as error:
            raise ClientError(f"{self._url} is no URL: {error}") from None
        request.add_header("Authorization", self._authorization)
        request.add_header("Content-Type", "application/json")
        try:
            with urlopen(request, timeout=timeout_s) as response:
                answer = response.read()
            return json.loads(answer) if answer else None
        except HTTPError as error:
            raise ClientError(_reason(error, path)) from None
        except URLError as error:
            raise ClientError(f"cannot reach {self._url}: {error.reason}") from None
        except (OSError, HTTPException, ValueError) as error:
            raise ClientError(f"{self._url} does not answer as a broker: {error}") from None


def _reason(error: HTTPError, path: Sequence[str]) -> str:
    try:
        reason = json.loads(error.read())["reason"]
    except (OSError, ValueError, KeyError, TypeError):
        reason = error.reason
    if error.code == HTTPStatus.NOT_FOUND:
        reason = f"{reason}: {' '.join(path)}"
    return f"{reason} ({error.code})"
