"""Flushes files in the kernel, whose answer the reactor hears as it hears a socket.

A thread that waits for the disk costs more than it seems to. It needs the interpreter before and
after each flush, and gets it when the reactor's thread next makes a system call: in the middle of a
turn, which then waits for the thread. With few messages that was half of the broker's time.
"""

from __future__ import annotations

import os
from typing import Any

from twisted.internet.interfaces import IReadDescriptor
from twisted.python.failure import Failure
from zope.interface import implementer

from core.group_commit import Done, RunBlocking, sync_files
from gateway.service.kernel_aio import KernelAio


@implementer(IReadDescriptor)
class Flusher:
    """Flushes what it is given, one set of files at a time; the rest `run_blocking` does.

    The rest is what the kernel cannot flush so, which may be all of it.
    """

    def __init__(self, aio: KernelAio, reactor: Any, run_blocking: RunBlocking) -> None:
        self._aio = aio
        self._reactor = reactor
        self._run_blocking = run_blocking
        self._awaited_count = 0
        self._error: BaseException | None = None
        self._done: Done | None = None
        reactor.addReader(self)

    def flush(self, descriptors: list[int], done: Done) -> None:
        """Flush and close these, then call `done`; the flush before this one has ended."""
        assert not self._awaited_count
        count = self._aio.submit(descriptors)
        for descriptor in descriptors[:count]:
            os.close(descriptor)  # The kernel has its own hold on the file.
        self._done = done
        self._awaited_count = count + 1
        rest = descriptors[count:]
        if rest:
            self._run_blocking(lambda: sync_files(rest), self._ended)
        else:
            self._ended(None)

    def close(self) -> None:
        """Wait for the flush that has begun, if one has; nobody is told."""
        self._reactor.removeReader(self)
        self._aio.close()

    def fileno(self) -> int:
        """Twisted: what to watch."""
        return self._aio.descriptor

    def doRead(self) -> None:
        """Twisted: the kernel has something to say."""
        for error in self._aio.results():
            self._ended(error)

    def connectionLost(self, reason: Failure) -> None:
        """Twisted: somebody who was told failed, which is logged. There will be other flushes."""
        self._reactor.addReader(self)

    def logPrefix(self) -> str:
        """Twisted: who logs what is logged meanwhile."""
        return "Flusher"

    def _ended(self, error: BaseException | None) -> None:
        self._error = self._error or error
        self._awaited_count -= 1
        if self._awaited_count == 0:
            done, self._done = self._done, None
            assert done is not None
            done(self._error)
