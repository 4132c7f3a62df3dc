"""Policies and operator policies, over HTTP."""

from __future__ import annotations

from typing import Any

from gateway.policies.policies import Policy
from protocols.http import views
from protocols.http.call import NO_CONTENT, Call, bad_request, not_found, put_answer, short_text

_POLICY, _OPERATOR_POLICY = "policy", "operator_policy"


def policies(call: Call) -> Any:
    """All policies that the user may see, or those of one virtual host."""
    return _list(call, _POLICY)


def policy(call: Call) -> Any:
    """One policy."""
    return _find(call, _POLICY)


def put_policy(call: Call) -> Any:
    """Have a policy hold."""
    return _put(call, _POLICY)


def delete_policy(call: Call) -> Any:
    """Have a policy hold no more."""
    return _delete(call, _POLICY)


def operator_policies(call: Call) -> Any:
    """All operator policies that the user may see, or those of one virtual host."""
    return _list(call, _OPERATOR_POLICY)


def operator_policy(call: Call) -> Any:
    """One operator policy."""
    return _find(call, _OPERATOR_POLICY)


def put_operator_policy(call: Call) -> Any:
    """Have an operator policy hold."""
    return _put(call, _OPERATOR_POLICY)


def delete_operator_policy(call: Call) -> Any:
    """Have an operator policy hold no more."""
    return _delete(call, _OPERATOR_POLICY)


def parse_policy(name: str, body: Any) -> Policy:
    """A policy as JSON says it; what its parts may be is checked where it is put.

    Raises `HttpError`.
    """
    if not isinstance(body, dict):
        raise bad_request("expected an object")
    missing = [key for key in ("pattern", "definition") if key not in body]
    if missing:
        raise bad_request(f"[{','.join(f'{{key_missing,{key}}}' for key in missing)}]")
    priority, apply_to = body.get("priority"), body.get("apply-to")
    return Policy(
        short_text(name, "the name"),
        body["pattern"],
        body["definition"],
        0 if priority is None else priority,
        "all" if apply_to is None else apply_to,
    )


def _list(call: Call, kind: str) -> Any:
    return [
        views.policy(host.name, each)
        for host in call.virtual_hosts()
        for each in host.policies.of_kind(kind)
    ]


def _find(call: Call, kind: str) -> Any:
    found = call.virtual_host.policies.find(kind, call.names["name"])
    if found is None:
        raise not_found()
    return views.policy(call.virtual_host.name, found)


def _put(call: Call, kind: str) -> Any:
    policies = call.entered.virtual_host.policies
    return put_answer(policies.put(kind, parse_policy(call.names["name"], call.json())))


def _delete(call: Call, kind: str) -> Any:
    if not call.entered.virtual_host.policies.delete(kind, call.names["name"]):
        raise not_found()
    return NO_CONTENT
