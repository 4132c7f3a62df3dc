"""Parameters, over HTTP: what RabbitMQ keeps as such, shown so; and the global ones.

A parameter belongs to a component. Those of RabbitMQ's core are policies, operator policies and the
limits of virtual hosts; what a plug-in would bring is refused, as without the plug-in.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from gateway.gateway import VIRTUAL_HOST_LIMITS
from gateway.policies.keys import shown
from gateway.policies.policies import check_priority
from protocols.http import views
from protocols.http.call import (
    NO_CONTENT,
    Call,
    bad_request,
    has_role,
    not_authorised,
    not_found,
    put_answer,
    short_text,
)
from protocols.http.policies import parse_policy

if TYPE_CHECKING:
    from gateway.gateway import Gateway
    from gateway.vhosts.virtual_host import VirtualHost

_LIMITS = "limits"  # The one parameter of the component of limits.


class _Component(NamedTuple):
    """How the parameters of a component are listed, put and deleted in a virtual host."""

    list: Callable[[VirtualHost], Iterator[tuple[str, Any]]]
    put: Callable[[Gateway, VirtualHost, str, Any], bool]
    delete: Callable[[Gateway, VirtualHost, str], bool]
    role: str


def parameters(call: Call) -> Any:
    """All parameters that the user may see, or those of one component and virtual host."""
    wanted = call.names.get("component")
    return [each for host in call.virtual_hosts() for each in rows(host, wanted)]


def parameter(call: Call) -> Any:
    """One parameter."""
    found = [each for each in parameters(call) if each["name"] == call.names["name"]]
    if not found:
        raise not_found()
    return found[0]


def put_parameter(call: Call) -> Any:
    """Set a parameter."""
    component, name = call.names["component"], short_text(call.names["name"], "the name")
    if component == "policy":
        raise bad_request("policies may not be set using this method")
    value = _value(call)
    if component not in _COMPONENTS:
        raise bad_request(f"Validation failed\n\ncomponent {component} not found\n")
    _check_allowed(call, component)
    return put_answer(put(call.gateway, call.virtual_host, component, name, value))


def delete_parameter(call: Call) -> Any:
    """Clear a parameter."""
    component = call.names["component"]
    if component not in _COMPONENTS:
        raise not_found()
    _check_allowed(call, component)
    delete = _COMPONENTS[component].delete
    if not delete(call.gateway, call.virtual_host, call.names["name"]):
        raise not_found()
    return NO_CONTENT


def is_known(component: str) -> bool:
    """Does anything here act on parameters of this component?"""
    return component in _COMPONENTS


def put(gateway: Gateway, host: VirtualHost, component: str, name: str, value: Any) -> bool:
    """Set a parameter of a known component; True if it is new. Raises `HttpError`."""
    return _COMPONENTS[component].put(gateway, host, name, value)


def rows(host: VirtualHost, wanted: str | None = None) -> Iterator[dict[str, Any]]:
    """The parameters of a virtual host, or those of one component of them."""
    for component, found in _COMPONENTS.items():
        if wanted in (None, component):
            for name, value in found.list(host):
                yield {"component": component, "vhost": host.name, "name": name, "value": value}


def _check_allowed(call: Call, component: str) -> None:
    """May the user change what belongs to this component? Raises `HttpError`."""
    if not has_role(call.user, _COMPONENTS[component].role):
        raise not_authorised()
    assert call.entered


def _value(call: Call) -> Any:
    body = call.json()
    if not isinstance(body, dict) or "value" not in body:
        raise bad_request("[{key_missing,value}]")
    return body["value"]


# Policies


def _policies(kind: str, role: str) -> _Component:
    def put(gateway: Gateway, host: VirtualHost, name: str, value: Any) -> bool:
        if isinstance(value, dict) and "priority" not in value:
            raise bad_request(f'Validation failed\n\nKey "priority" not found in {name}\n')
        policy = parse_policy(name, value)
        check_priority(policy.priority)
        return host.policies.put(kind, policy)

    def delete(gateway: Gateway, host: VirtualHost, name: str) -> bool:
        return host.policies.delete(kind, name)

    def show(host: VirtualHost) -> Iterator[tuple[str, Any]]:
        for policy in host.policies.of_kind(kind):
            yield policy.name, views.policy_value(policy)

    return _Component(show, put, delete, role)


# Limits


def _show_limits(host: VirtualHost) -> Iterator[tuple[str, Any]]:
    if host.limits:
        yield _LIMITS, dict(host.limits)


def _put_limits(gateway: Gateway, host: VirtualHost, name: str, value: Any) -> bool:
    if name != _LIMITS or not isinstance(value, dict):
        raise bad_request(f"Validation failed\n\n{shown(value)} are no {_LIMITS}\n")
    if unknown := {key: value[key] for key in value if key not in VIRTUAL_HOST_LIMITS}:
        raise bad_request(f"Validation failed\n\nUnrecognised terms {shown(unknown)} in {name}\n")
    for key, limit in value.items():
        if not isinstance(limit, int) or isinstance(limit, bool):
            raise bad_request(
                f"Validation failed\n\n{key} should be a number, actually was {shown(limit)}\n"
            )
    is_new = not host.limits
    for key in VIRTUAL_HOST_LIMITS:
        gateway.set_virtual_host_limit(host.name, key, value.get(key))
    return is_new


def _delete_limits(gateway: Gateway, host: VirtualHost, name: str) -> bool:
    if name != _LIMITS or not host.limits:
        return False
    for key in VIRTUAL_HOST_LIMITS:
        gateway.set_virtual_host_limit(host.name, key, None)
    return True


# RabbitMQ lets who makes policies make operator policies, too, if they come this way; we do not.
_COMPONENTS = {
    "policy": _policies("policy", "policymaker"),
    "operator_policy": _policies("operator_policy", "administrator"),
    "vhost-limits": _Component(_show_limits, _put_limits, _delete_limits, "administrator"),
}


# Global ones


def global_parameters(call: Call) -> Any:
    """All global parameters."""
    found = call.gateway.global_parameters
    return [{"name": name, "value": value} for name, value in found]


def global_parameter(call: Call) -> Any:
    """One of them."""
    name = call.names["name"]
    if name not in call.gateway.global_parameters:
        raise not_found()
    return {"name": name, "value": call.gateway.global_parameters[name]}


def put_global_parameter(call: Call) -> Any:
    """Set a global parameter."""
    name = short_text(call.names["name"], "the name")
    return put_answer(call.gateway.global_parameters.put(name, _value(call)))


def delete_global_parameter(call: Call) -> Any:
    """Clear a global parameter."""
    if not call.gateway.global_parameters.delete(call.names["name"]):
        raise not_found()
    return NO_CONTENT
