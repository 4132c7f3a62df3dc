"""Twisted's epoll reactor, with connections that write at once.

Twisted's own put aside what they are given, have the kernel watch for room, sleep, are told that
there is room, write, and have it watched no longer. That is two system calls and one sleep too many
for each write to a peer that reads: half of what a broker with little to do spends on a message,
and a good part of the time that the message takes.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet import tcp
from twisted.internet.epollreactor import EPollReactor
from twisted.internet.interfaces import IProtocolFactory
from twisted.internet.main import installReactor


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


class _PromptPort(tcp.Port):
    transport = PromptConnection


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
