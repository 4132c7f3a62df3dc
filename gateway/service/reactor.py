"""Twisted's epoll reactor, with connections that write at once.

Twisted's own put aside what they are given, have the kernel watch for room, sleep, are told that
there is room, write, and have it watched no longer. That is two system calls and one sleep too many
for each write to a peer that reads: half of what a broker with little to do spends on a message,
and a good part of the time that the message takes.
"""

from __future__ import annotations

import errno
import os
import resource
import socket
from collections.abc import Callable
from typing import Any

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.main import installReactor

_SPARE_DESCRIPTORS = 64  # For the store: files that it opens, and duplicates of those it flushes.


class PromptConnection(tcp.Server):
    """Gives the kernel what it takes now; only what is left waits for room.

    What comes while something waits goes behind it, as ever. So does what comes later in the same
    round of the reactor: else a peer that reads as fast as it is written to would never pause its
    producer, and whoever else there is would wait until the producer has nothing more to say.
    """

    reactor: PromptReactor
    # Twisted offers the kernel 128 KiB at a time. What a turn answers to a read of that size is a
    # little more, and should not have to wait, for then nothing is delivered meanwhile.
    SEND_LIMIT = 1 << 20
    _is_waiting = False
    _round = -1  # In which it wrote at once.

    def write(self, data: bytes) -> None:
        """Twisted: send this, in its turn."""
        if not self._is_waiting and self.connected and self._round != self.reactor.round:
            self._round = self.reactor.round
            sent = self.writeSomeData(data)
            if sent == len(data):
                return
            # Else it is the number of bytes, or an error: then writing later meets it again, where
            # the reactor sees it.
            data = data[sent:] if isinstance(sent, int) else data
        tcp.Server.write(self, data)

    def startWriting(self) -> None:
        """Twisted: there is something to do once there is room."""
        self._is_waiting = True
        tcp.Server.startWriting(self)

    def stopWriting(self) -> None:
        """Twisted: it is done."""
        self._is_waiting = False
        tcp.Server.stopWriting(self)

    def abortConnection(self) -> None:
        """Twisted: end it now; what is written after that is not sent."""
        tcp.Server.abortConnection(self)
        self._is_waiting = True


class ThriftySocket(socket.socket):
    """A listening socket that leaves the last file descriptors of the process to the store.

    A new descriptor is the lowest that is free: a high one says that there are few left. Without
    any, nothing can be flushed, and confirmed to those who are connected already.
    """

    descriptor_limit = 0  # That of a connection is below.

    def accept(self) -> tuple[socket.socket, Any]:
        """As any socket; `OSError`, as where there are none left, of what comes too many."""
        connection, address = super().accept()
        if connection.fileno() >= self.descriptor_limit:
            connection.close()
            raise OSError(errno.ENFILE, os.strerror(errno.ENFILE))
        return connection, address


class _PromptPort(tcp.Port):
    transport = PromptConnection

    def createInternetSocket(self) -> socket.socket:
        """Twisted: the socket to listen on."""
        plain = tcp.Port.createInternetSocket(self)
        thrifty = ThriftySocket(fileno=plain.detach())
        thrifty.setblocking(False)
        limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
        thrifty.descriptor_limit = limit - min(_SPARE_DESCRIPTORS, limit // 4)
        return thrifty


class PromptReactor(EPollReactor):
    """Accepts such connections, and counts its rounds.

    It gives events to whom they concern without the log context that Twisted makes for each, which
    only legacy log messages have a use for. An error is logged all the same: that of a read or
    write by Twisted's `_doReadOrWrite`, others by the main loop.
    """

    round = 0

    def doIteration(self, delay: float | None) -> None:
        """Twisted: wait for events, and have them dealt with."""
        self.round += 1
        selectables = self._selectables
        handle: Callable[[object, int, int], None] = self._doReadOrWrite
        # Twisted's, too, asks for as many events as there is anybody to hear of.
        for descriptor, event in self._poller.poll(delay, len(selectables)):
            selectable = selectables.get(descriptor)
            if selectable is not None:  # Else it was closed by somebody before it in this round.
                handle(selectable, descriptor, event)

    def listenTCP(
        self, port: int, factory: IProtocolFactory, backlog: int = 50, interface: str = ""
    ) -> tcp.Port:
        """Twisted: open a port."""
        listening = _PromptPort(port, factory, backlog, interface, self)
        listening.startListening()
        return listening


def install() -> PromptReactor:
    """Make it the reactor of this process."""
    reactor = PromptReactor()  # type: ignore[no-untyped-call]
    installReactor(reactor)
    return reactor
