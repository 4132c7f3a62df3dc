"""How the exchange types choose among their bindings.

A binding says: what fits this key and these arguments goes to that destination. Each type keeps its
bindings in the form in which it asks them.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple, Protocol, TypeAlias

from core.route import DependsOn

if TYPE_CHECKING:
    from gateway.exchanges.exchange import Exchange
    from gateway.messages import Header
    from gateway.queues.queue import Queue

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
    """One word of the patterns: what ends here, and what goes on. Most nodes have only one."""

    __slots__ = ("bindings", "children", "is_hash")

    def __init__(self, is_hash: bool = False) -> None:
        self.is_hash = is_hash  # Stands for any number of words: takes one more and stays.
        self.bindings: dict[Binding, None] | None = None
        self.children: dict[str, _Node] | None = None


class TopicBindings:
    """Words between dots; `*` stands for one word, `#` for any number of them.

    A trie of the patterns' words. The empty key has no words at all, so `#` fits it and `*` does
    not. All nodes that fit so far are followed together, each once: no key takes exponential time.
    """

    depends_on = DependsOn.KEY

    def __init__(self) -> None:
        self._root = _Node()
        self._hash_count = 0  # Nodes that are one.

    def add(self, binding: Binding) -> None:
        """Add a binding that is not there yet."""
        node = self._root
        for word in _words(binding.routing_key):
            if node.children is None:
                node.children = {}
            child = node.children.get(word)
            if child is None:
                child = node.children[word] = _Node(word == "#")
                self._hash_count += child.is_hash
            node = child
        if node.bindings is None:
            node.bindings = {}
        node.bindings[binding] = None

    def remove(self, binding: Binding) -> None:
        """Remove a binding that is there, and the branch that served it alone."""
        words = _words(binding.routing_key)
        path = [self._root]
        for word in words:
            children = path[-1].children
            assert children is not None
            path.append(children[word])
        assert path[-1].bindings is not None
        del path[-1].bindings[binding]
        for node, word in zip(reversed(path[:-1]), reversed(words), strict=True):
            assert node.children is not None
            child = node.children[word]
            if child.bindings or child.children:
                break
            del node.children[word]
            self._hash_count -= child.is_hash

    def match(self, routing_keys: Sequence[str], header: Header | None) -> Iterable[Destination]:
        """All bindings whose pattern fits."""
        for key in routing_keys:
            for node in self._reach(key):
                if node.bindings is not None:
                    for binding in node.bindings:
                        yield binding.destination

    def _reach(self, routing_key: str) -> Iterable[_Node]:
        """The nodes at which the key may end."""
        nodes = {self._root: None}
        has_hashes = self._hash_count > 0
        if has_hashes:
            _enter_hashes(nodes)
        for word in _words(routing_key):
            following: dict[_Node, None] = {}
            for node in nodes:
                if node.is_hash:
                    following[node] = None
                children = node.children
                if children is not None:
                    if word in children:
                        following[children[word]] = None
                    if "*" in children:
                        following[children["*"]] = None
            nodes = following
            if has_hashes:
                _enter_hashes(nodes)
        return nodes


def _words(key: str) -> list[str]:
    return key.split(".") if key else []


def _enter_hashes(nodes: dict[_Node, None]) -> None:
    """A `#` may stand for no word at all: where one follows, it is reached as well."""
    pending = list(nodes)
    while pending:
        children = pending.pop().children
        if children is not None and "#" in children:
            child = children["#"]
            if child not in nodes:
                nodes[child] = None
                pending.append(child)


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
