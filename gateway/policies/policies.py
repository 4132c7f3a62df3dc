"""Policies: arguments that an operator gives to queues and exchanges by their names, at any time.

For each queue and exchange one policy holds, and one operator policy: of those whose pattern is
found in its name, the one of the highest priority. An operator policy limits what a policy, or a
queue's own arguments, may ask for. Both hold from the moment they are put.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from gateway.documents import Documents
from gateway.errors import PreconditionFailedError
from gateway.policies.keys import UNSUITED, Definition, check_definition, merge_definitions, shown

KINDS = ("policy", "operator_policy")  # What RabbitMQ calls them as parameters.
_NO_DEFINITION: Definition = {}

# Which policies may hold for what.
_APPLY_TO = ("all", "queues", "classic_queues", "quorum_queues", "streams", "exchanges")
_OF_TYPE: Mapping[str, Sequence[str]] = {
    "classic": ("all", "queues", "classic_queues"),
    "quorum": ("all", "queues", "quorum_queues"),
    "stream": ("all", "queues", "streams"),
}
_OF_EXCHANGES = ("all", "exchanges")


@dataclass(frozen=True, slots=True)
class Policy:
    """What an operator wants of all queues or exchanges that are called so."""

    name: str
    pattern: str
    definition: Definition
    priority: float = 0
    apply_to: str = "all"

    def matches(self, name: str) -> bool:
        """Is the pattern found in this name?"""
        return _compile(self.pattern).search(name) is not None


@dataclass(frozen=True, slots=True)
class HeldPolicies:
    """The policies that hold for one queue or exchange, and what they ask for together."""

    policy: str | None = None
    operator_policy: str | None = None
    definition: Definition = field(default_factory=dict)


NO_POLICIES = HeldPolicies()


class Policies:
    """The policies of one virtual host; `changed` is called when others hold than before."""

    def __init__(
        self, virtual_host: str, documents: Documents, changed: Callable[[], None]
    ) -> None:
        self._virtual_host = virtual_host
        self._documents = documents
        self._changed = changed
        # Those of each kind by name, and in the order in which they are tried.
        self._named: dict[str, dict[str, Policy]] = {kind: {} for kind in KINDS}
        self._in_line: dict[str, list[Policy]] = {kind: [] for kind in KINDS}

    def restore(self, kind: str, document: Sequence[Any]) -> None:
        """Bring back a policy; before the queues and exchanges."""
        _, name, *rest = document
        self._named[kind][name] = Policy(name, *rest)
        self._line_up(kind)

    def of_kind(self, kind: str) -> Iterator[Policy]:
        """All policies of a kind, the most important ones first."""
        return iter(self._in_line[kind])

    def find(self, kind: str, name: str) -> Policy | None:
        """The policy of this name; None if there is none."""
        return self._named[kind].get(name)

    def put(self, kind: str, policy: Policy) -> bool:
        """Have a policy hold; True if its name is new. Raises `PreconditionFailedError`."""
        _check(policy, kind == "operator_policy")
        is_new = policy.name not in self._named[kind]
        document = [
            self._virtual_host,
            policy.name,
            policy.pattern,
            dict(policy.definition),
            policy.priority,
            policy.apply_to,
        ]
        self._documents.put_document(kind, self._key(policy.name), document)
        self._named[kind][policy.name] = policy
        self._line_up(kind)
        self._changed()
        return is_new

    def delete(self, kind: str, name: str) -> bool:
        """Have a policy hold no more; False if there is none."""
        if self._named[kind].pop(name, None) is None:
            return False
        self._documents.delete_document(kind, self._key(name))
        self._line_up(kind)
        self._changed()
        return True

    def delete_all(self) -> None:
        """The virtual host is being deleted."""
        for kind in KINDS:
            for name in list(self._named[kind]):
                self._documents.delete_document(kind, self._key(name))
            self._named[kind].clear()
            self._line_up(kind)

    def for_queue(self, name: str, type: str) -> HeldPolicies:
        """What holds for a queue of this name and type."""
        apply_to, unsuited = _OF_TYPE[type], UNSUITED[type]
        return self._held(
            lambda policy: (
                policy.apply_to in apply_to
                and unsuited.isdisjoint(policy.definition)
                and policy.matches(name)
            )
        )

    def for_exchange(self, name: str) -> HeldPolicies:
        """What holds for an exchange of this name."""
        return self._held(lambda policy: policy.apply_to in _OF_EXCHANGES and policy.matches(name))

    def _held(self, suits: Callable[[Policy], bool]) -> HeldPolicies:
        if not any(self._in_line.values()):
            return NO_POLICIES
        policy, operator_policy = (next(filter(suits, self._in_line[kind]), None) for kind in KINDS)
        if policy is None and operator_policy is None:
            return NO_POLICIES
        return HeldPolicies(
            policy.name if policy is not None else None,
            operator_policy.name if operator_policy is not None else None,
            merge_definitions(
                policy.definition if policy is not None else _NO_DEFINITION,
                operator_policy.definition if operator_policy is not None else _NO_DEFINITION,
            ),
        )

    def _line_up(self, kind: str) -> None:
        policies = self._named[kind].values()
        self._in_line[kind] = sorted(policies, key=lambda each: (-each.priority, each.name))

    def _key(self, name: str) -> str:
        return f"{self._virtual_host}\0{name}"


def check_priority(priority: object) -> None:
    """Raise `PreconditionFailedError` for what is no number."""
    if not isinstance(priority, int | float) or isinstance(priority, bool):
        raise _refused(f"priority should be a number, actually was {shown(priority)}")


def _check(policy: Policy, is_operator: bool) -> None:
    check_priority(policy.priority)
    if not isinstance(policy.pattern, str):
        raise _refused(f"pattern should be a binary but was {shown(policy.pattern)}")
    try:
        _compile(policy.pattern)
    except re.error as error:
        raise _refused(
            "pattern should be regular expression but is invalid:"
            f' {{"{error.msg}",{error.pos or 0}}}'
        ) from None
    except (RecursionError, OverflowError) as error:
        raise _refused(
            f'pattern should be regular expression but is invalid: {{"{error}",0}}'
        ) from None
    if policy.apply_to not in _APPLY_TO:
        raise _refused(
            f"apply-to '{policy.apply_to}' unrecognised; should be one of: 'queues',"
            " 'classic_queues',  'quorum_queues', 'streams', 'exchanges', or 'all'"
        )
    if reason := check_definition(policy.definition, is_operator):
        raise _refused(reason)


def _refused(reason: str) -> PreconditionFailedError:
    return PreconditionFailedError(f"Validation failed\n\n{reason}\n")


@lru_cache(maxsize=1024)
def _compile(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern)
