"""How the exchange types choose among their bindings.

A binding says: what fits this key and these arguments goes to that destination. Each type keeps its
bindings in the form in which it asks them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from core.route import DependsOn
from gateway.errors import PreconditionFailedError
from gateway.values import type_name

if TYPE_CHECKING:
    from gateway.exchanges import Exchange
    from gateway.messages import Header
    from gateway.queues import Queue

Arguments: TypeAlias = "Mapping[str, object]"
Destination: TypeAlias = "Queue | Exchange"


class Binding(NamedTuple):
    """One binding of an exchange; `arguments` are sorted and frozen: equal ones are equal."""

    destination: Destination
    routing_key: str
    arguments: tuple[tuple[str, Hashable], ...]

    @classmethod
    def make(cls, destination: Destination, routing_key: str, arguments: Arguments) -> Binding:
        """A binding with these arguments, in any order."""
        frozen = sorted((name, freeze(value)) for name, value in arguments.items())
        return cls(destination, routing_key, tuple(frozen))


class Bindings(Protocol):
    """The bindings of one exchange, in the form that its type wants."""

    depends_on: DependsOn  # What takes part in the choice.

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """Where a message goes; a destination may come more than once.

        A message has one routing key, or several: then it goes where any of them leads.
        """


class DirectBindings:
    """The binding key equals the routing key."""

    depends_on = DependsOn.KEY

    def __init__(self) -> None:
        self._by_key: dict[str, dict[Binding, None]] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        self._by_key.setdefault(binding.routing_key, {})[binding] = None

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        bindings = self._by_key[binding.routing_key]
        del bindings[binding]
        if not bindings:
            del self._by_key[binding.routing_key]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings with this key."""
        find = self._by_key.get
        return (binding.destination for key in routing_keys for binding in find(key, ()))


class FanoutBindings:
    """Every binding."""

    depends_on = DependsOn.KEY

    def __init__(self) -> None:
        self._bindings: dict[Binding, None] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        self._bindings[binding] = None

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        del self._bindings[binding]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings."""
        return (binding.destination for binding in self._bindings)


class _Node:
    """One word of the patterns: what ends here, and what goes on."""

    __slots__ = ("bindings", "children", "is_hash")

    def __init__(self, is_hash: bool = False) -> None:
        self.is_hash = is_hash  # Stands for any number of words: takes one more and stays.
        self.bindings: dict[Binding, None] = {}
        self.children: dict[str, _Node] = {}


class TopicBindings:
    """Words between dots; `*` stands for one word, `#` for any number of them.

    A trie of the patterns' words. The empty key has no words at all, so `#` fits it and `*` does
    not.
    """

    depends_on = DependsOn.KEY

    def __init__(self) -> None:
        self._root = _Node()

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        node = self._root
        for word in _words(binding.routing_key):
            node = node.children.setdefault(word, _Node(word == "#"))
        node.bindings[binding] = None

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there, and the branch that served it alone."""
        words = _words(binding.routing_key)
        path = [self._root]
        for word in words:
            path.append(path[-1].children[word])
        del path[-1].bindings[binding]
        for node, word in zip(reversed(path[:-1]), reversed(words), strict=True):
            child = node.children[word]
            if child.bindings or child.children:
                break
            del node.children[word]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings whose pattern fits."""
        for key in routing_keys:
            yield from self._match(key)

    def _match(self, routing_key: str) -> Iterator[Destination]:
        nodes = {id(self._root): self._root}
        _enter_hashes(nodes)
        for word in _words(routing_key):
            following: dict[int, _Node] = {}
            for node in nodes.values():
                if node.is_hash:
                    following[id(node)] = node
                for child in (node.children.get(word), node.children.get("*")):
                    if child is not None:
                        following[id(child)] = child
            nodes = following
            _enter_hashes(nodes)
        return (binding.destination for node in nodes.values() for binding in node.bindings)


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _enter_hashes(nodes: dict[int, _Node]) -> None:
    """A `#` may stand for no word at all: where one follows, it is reached as well."""
    pending = list(nodes.values())
    while pending:
        child = pending.pop().children.get("#")
        if child is not None and id(child) not in nodes:
            nodes[id(child)] = child
            pending.append(child)


class HeaderBindings:
    """The binding's arguments are compared with the message's headers."""

    depends_on = DependsOn.HEADER

    def __init__(self) -> None:
        self._bindings: dict[Binding, None] = {}

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet. Raises `PreconditionFailedError`."""
        match = dict(binding.arguments).get("x-match", "all")
        if not isinstance(match, str):
            raise PreconditionFailedError(
                f"Invalid x-match field type {type_name(match)} (value {match}); expected longstr"
            )
        if match not in ("all", "any", "all-with-x", "any-with-x"):
            raise PreconditionFailedError(
                f'Invalid x-match field value <<"{match}">>;'
                " expected all, any, all-with-x, or any-with-x"
            )
        self._bindings[binding] = None

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there."""
        del self._bindings[binding]

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings whose arguments fit."""
        headers: Arguments = header.properties.headers if header is not None else {}
        return (binding.destination for binding in self._bindings if _headers_fit(binding, headers))


def _headers_fit(binding: Binding, headers: Arguments) -> bool:
    arguments = dict(binding.arguments)
    match = str(arguments.pop("x-match", "all"))
    if not match.endswith("-with-x"):
        arguments = {name: value for name, value in arguments.items() if name[:2] != "x-"}
    fits = (name in headers and _equal(value, headers[name]) for name, value in arguments.items())
    return all(fits) if match.startswith("all") else any(fits)


def _equal(wanted: object, value: object) -> bool:
    """A void argument asks for presence only; otherwise like types are compared."""
    return wanted is None or wanted == freeze(value)


def freeze(value: object) -> Hashable:
    """A field value in a form that can be a key: tables and arrays become tuples.

    To Python, 1, 1.0 and True are equal; on the wire they are not.
    """
    if isinstance(value, bool | float):
        return type(value), value
    if isinstance(value, Mapping):
        return tuple(sorted((name, freeze(item)) for name, item in value.items()))
    if isinstance(value, list | tuple):
        return tuple(freeze(item) for item in value)
    assert isinstance(value, Hashable)
    return value
