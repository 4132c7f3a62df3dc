"""Connections that write at once: a real socket, and a reactor that only notes what is asked."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from twisted.internet.interfaces import IReactorFDSet
from twisted.internet.main import CONNECTION_LOST
from twisted.internet.protocol import Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.service.reactor import PromptConnection, PromptReactor, ThriftySocket


@implementer(IReactorFDSet)
class NotingReactor:
    """Knows who waits for room; the tests say when there is some."""

    def __init__(self) -> None:
        self.round = 0
        self.writers: list[object] = []
        self.calls: list[tuple[Any, ...]] = []

    def addReader(self, reader: object) -> None:
        pass

    def removeReader(self, reader: object) -> None:
        pass

    def addWriter(self, writer: object) -> None:
        if writer not in self.writers:
            self.writers.append(writer)

    def removeWriter(self, writer: object) -> None:
        if writer in self.writers:
            self.writers.remove(writer)

    def callLater(self, *call: Any) -> None:
        self.calls.append(call)


class Producer:
    """What a connection says to whom it takes bytes from."""

    def __init__(self) -> None:
        self.heard: list[str] = []

    def pauseProducing(self) -> None:
        self.heard.append("pause")

    def resumeProducing(self) -> None:
        self.heard.append("resume")

    def stopProducing(self) -> None:
        self.heard.append("stop")


class Wire:
    """A connection and its peer's end of it."""

    def __init__(self) -> None:
        ours, self.peer = socket.socketpair()
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1)  # As little as the kernel allows.
        self.peer.setblocking(False)
        self.reactor = NotingReactor()
        server: Any = None
        reactor: Any = self.reactor
        self.connection = PromptConnection(
            ours, Protocol(), ("127.0.0.1", 50_000), server, 1, reactor
        )

    @property
    def waits(self) -> bool:
        return bool(self.reactor.writers)

    def taken(self) -> bytes:
        """What has arrived at the peer."""
        try:
            return self.peer.recv(1 << 20)
        except BlockingIOError:
            return b""

    def fill(self) -> bytes:
        """More than the kernel takes is written; that much."""
        written = bytes(range(256)) * 2048
        self.connection.write(written)
        assert self.waits
        return written

    def drain(self) -> bytes:
        """The peer reads, and the reactor has the connection write, until nothing waits."""
        taken = b""
        while self.waits:
            taken += self.taken()
            assert self.connection.doWrite() is None
        self.reactor.round += 1
        return taken + self.taken()


@pytest.fixture
def wire() -> Iterator[Wire]:
    wire = Wire()
    yield wire
    wire.peer.close()
    wire.connection.socket.close()


def test_what_is_written_is_on_its_way_at_once(wire: Wire) -> None:
    wire.connection.write(b"one")
    assert wire.taken() == b"one"
    wire.reactor.round += 1
    wire.connection.write(b"two")
    assert wire.taken() == b"two"
    assert not wire.waits


def test_the_second_of_one_round_waits_however_fast_the_peer_reads(wire: Wire) -> None:
    """So a producer with much to say is paused, and others have their turn."""
    producer = Producer()
    wire.connection.registerProducer(producer, True)
    wire.connection.write(b"one")
    wire.connection.write(b"two")
    assert wire.taken() == b"one"
    wire.connection.write(bytes(wire.connection.bufferSize))
    assert producer.heard == ["pause"]
    assert wire.drain() == b"two" + bytes(wire.connection.bufferSize)


def test_what_the_kernel_does_not_take_waits_and_what_comes_then_goes_behind_it(wire: Wire) -> None:
    first = wire.fill()
    taken = wire.taken()
    wire.connection.write(b" then this")  # There is room now, but it is not its turn.
    assert taken + wire.drain() == first + b" then this"
    wire.connection.write(b"and at once again")
    assert wire.taken() == b"and at once again"


def test_the_answer_to_a_large_read_goes_out_whole(wire: Wire) -> None:
    """It is a little more than the 128 KiB that Twisted writes, and reads, at once."""
    wire.connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
    wire.connection.write(bytes(140_000))
    assert not wire.waits
    assert len(wire.taken()) == 140_000


def test_nothing_overtakes_a_sequence(wire: Wire) -> None:
    wire.connection.writeSequence([b"a", b"b"])
    wire.connection.write(b"c")
    assert wire.drain() == b"abc"


def test_a_producer_is_paused_by_what_waits(wire: Wire) -> None:
    producer = Producer()
    wire.connection.registerProducer(producer, True)
    wire.connection.write(b"x")
    assert producer.heard == []
    wire.reactor.round += 1
    wire.fill()
    assert producer.heard == ["pause"]
    wire.drain()
    assert producer.heard == ["pause", "resume"]


def test_a_peer_that_is_gone_is_noticed_by_the_reactor(wire: Wire) -> None:
    wire.peer.close()
    wire.connection.write(b"x")
    assert wire.waits
    assert wire.connection.doWrite() is CONNECTION_LOST


def test_nothing_is_sent_after_an_abort(wire: Wire) -> None:
    wire.connection.abortConnection()
    wire.connection.write(b"x")
    assert wire.taken() == b""
    assert len(wire.reactor.calls) == 1, "the end comes with the next turn of the reactor"


def test_what_waits_is_sent_before_the_goodbye(wire: Wire) -> None:
    first = wire.fill()
    wire.connection.loseConnection()
    taken = b""
    while wire.connection.doWrite() is None:
        taken += wire.taken()
    assert taken + wire.taken() == first


class Reader:
    """Something to read that is there from the beginning."""

    def __init__(self, read: Callable[[], object] = lambda: None) -> None:
        self._read_end, self._write_end = os.pipe()
        os.write(self._write_end, b"x")
        self.read = read
        self.heard = 0
        self.lost: list[Failure] = []

    def fileno(self) -> int:
        return self._read_end

    def logPrefix(self) -> str:
        raise AssertionError("nobody needs it")

    def doRead(self) -> object:
        self.heard += 1
        return self.read()

    def connectionLost(self, reason: Failure) -> None:
        self.lost.append(reason)

    def close(self) -> None:
        os.close(self._read_end)
        os.close(self._write_end)


@pytest.fixture
def reactor() -> Iterator[Any]:
    reactor = PromptReactor()
    yield reactor
    for reader in reactor.removeAll():
        reader.close()
    reactor._poller.close()
    os.close(reactor.waker.i)
    os.close(reactor.waker.o)


def test_whom_an_event_concerns_hears_of_it_once_a_round(reactor: Any) -> None:
    readers = [Reader(), Reader()]
    for reader in readers:
        reactor.addReader(reader)
    rounds = [reactor.round]
    for _ in range(2):
        reactor.doIteration(0)
        rounds.append(reactor.round)
    assert [reader.heard for reader in readers] == [2, 2]
    assert len(set(rounds)) == 3


def test_who_was_removed_by_the_one_before_hears_nothing(reactor: Any) -> None:
    one, other = Reader(), Reader()
    one.read = lambda: reactor.removeReader(other)
    other.read = lambda: reactor.removeReader(one)
    reactor.addReader(one)
    reactor.addReader(other)
    reactor.doIteration(0)
    assert one.heard + other.heard == 1
    (one if other.heard else other).close()


def test_who_fails_is_let_go_and_the_others_go_on(reactor: Any) -> None:
    error = ValueError("a bug")

    def fail() -> None:
        raise error

    bad, good = Reader(fail), Reader()
    reactor.addReader(bad)
    reactor.addReader(good)
    reactor.doIteration(0)
    reactor.doIteration(0)
    assert (bad.heard, good.heard) == (1, 2)
    assert [failure.value for failure in bad.lost] == [error]
    bad.close()


def test_the_last_descriptors_are_not_for_connections() -> None:
    """They are the store's; who is refused is hung up on."""
    with ThriftySocket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        with socket.create_connection(listening.getsockname()) as peer:
            with pytest.raises(OSError, match="Too many open files in system"):
                listening.accept()
            assert peer.recv(1) == b""
        listening.descriptor_limit = 1 << 20
        with socket.create_connection(listening.getsockname()) as peer:
            connection, address = listening.accept()
            with connection:
                assert address == peer.getsockname()
