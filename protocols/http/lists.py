"""What a client may ask of any list: an order, some columns, one page, a part of the name."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from protocols.http.call import bad_request

_PAGE_SIZE = 100
_PAGE_SIZE_MAX = 500


def arrange(result: Any, query: Mapping[str, str]) -> Any:
    """Apply the query to an answer: lists are sorted and paged, columns are left out."""
    if isinstance(result, dict):
        return _select(result, _columns(query))
    if not isinstance(result, list):
        return result
    total_count = len(result)
    rows = _filter(result, query) if "page" in query else result
    if "sort" in query:
        path = query["sort"].split(".")
        rows = sorted(rows, key=lambda row: _sort_key(_find(row, path)))
        if query.get("sort_reverse") == "true":
            rows.reverse()
    columns = _columns(query)
    if "page" not in query:
        return [_select(row, columns) for row in rows]
    page, size = _number(query, "page", 1), _number(query, "page_size", _PAGE_SIZE)
    if size > _PAGE_SIZE_MAX:
        raise bad_request(f"page_size {size} is larger than {_PAGE_SIZE_MAX}")
    page_count = max(1, -(-len(rows) // size))
    if page > page_count:
        raise bad_request(f"page {page} is out of range: there are {page_count}")
    items = [_select(row, columns) for row in rows[(page - 1) * size : page * size]]
    return {
        "filtered_count": len(rows),
        "item_count": len(items),
        "items": items,
        "page": page,
        "page_count": page_count,
        "page_size": size,
        "total_count": total_count,
    }


def _filter(rows: list[Any], query: Mapping[str, str]) -> list[Any]:
    name = query.get("name", "")
    if not name:
        return rows
    if query.get("use_regex") != "true":
        return [row for row in rows if name.lower() in str(row.get("name", "")).lower()]
    try:
        pattern = re.compile(name, re.IGNORECASE)
    except (re.error, RecursionError, OverflowError) as error:
        raise bad_request(f"'{name}' is no regular expression: {error}") from None
    return [row for row in rows if pattern.search(str(row.get("name", "")))]


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and int(text[:9]) > 0 and len(text) < 10):
        raise bad_request(f"{name} is a number from 1 on, not '{text}'")
    return int(text)


def _columns(query: Mapping[str, str]) -> list[list[str]]:
    return [column.split(".") for column in query.get("columns", "").split(",") if column]


def _select(row: Any, columns: list[list[str]]) -> Any:
    """The columns of a row; `a.b` is a part of the object `a`."""
    if not columns or not isinstance(row, dict):
        return row
    selected: dict[str, Any] = {}
    for path in columns:
        found = _find(row, path)
        if found is None:
            continue
        at = selected
        for name in path[:-1]:
            at = at.setdefault(name, {})
            if not isinstance(at, dict):
                break
        else:
            at[path[-1]] = found
    return selected


def _find(row: Any, path: list[str]) -> Any:
    for name in path:
        row = row.get(name) if isinstance(row, dict) else None
    return row


def _sort_key(value: Any) -> tuple[int, Any]:
    """Values of different kinds have an order, too: nothing, numbers, text."""
    if value is None:
        return 0, 0
    if isinstance(value, int | float):
        return 1, value
    return 2, str(value)
