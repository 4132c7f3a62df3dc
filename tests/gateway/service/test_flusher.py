from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from gateway.service.flusher import Flusher
from tests.support.disk import HeldDisk


class SlowKernel:
    """Takes `room` files at once, and ends flushes when the test says so."""

    descriptor = 99

    def __init__(self) -> None:
        self.room = 16
        self.ended: list[OSError | None] = []
        self.taken: list[int] = []
        self.closed = False

    def submit(self, descriptors: Sequence[int]) -> int:
        taken = descriptors[: self.room]
        for descriptor in taken:
            os.fstat(descriptor)  # They are open until now.
        self.taken += taken
        return len(taken)

    def results(self) -> list[OSError | None]:
        ended, self.ended = self.ended, []
        return ended

    def close(self) -> None:
        self.closed = True


class Bench:
    """A flusher, what is behind it, and what it said."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.reactor = MemoryReactorClock()
        self.kernel = SlowKernel()
        self.disk = HeldDisk()
        self.disk.held = True
        kernel: Any = self.kernel
        self.flusher = Flusher(kernel, self.reactor, self.disk.run)
        self.said: list[BaseException | None] = []

    def flush(self, count: int) -> list[int]:
        names = [self.folder / str(number) for number in range(count)]
        descriptors = [os.open(name, os.O_CREAT | os.O_RDWR) for name in names]
        self.flusher.flush(descriptors, self.said.append)
        return descriptors

    def end(self, *results: OSError | None) -> None:
        self.kernel.ended += results
        self.flusher.doRead()


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


def is_closed(descriptor: int) -> bool:
    try:
        os.fstat(descriptor)
    except OSError:
        return True
    return False


def test_is_done_when_all_files_are_flushed(bench: Bench) -> None:
    for _ in range(2):
        descriptors = bench.flush(2)
        assert all(map(is_closed, descriptors))
        bench.end(None)
        assert bench.said == []
        bench.end(None)
        assert bench.said == [None]
        bench.said.clear()
    assert not bench.disk.waiting


def test_nothing_to_flush_is_done_at_once(bench: Bench) -> None:
    bench.flush(0)
    assert bench.said == [None]


def test_what_the_kernel_does_not_take_is_for_the_thread(bench: Bench) -> None:
    bench.kernel.room = 1
    descriptors = bench.flush(3)
    assert [is_closed(descriptor) for descriptor in descriptors] == [True, False, False]
    bench.end(None)
    assert bench.said == []
    bench.disk.release_one()
    assert bench.said == [None]
    assert all(map(is_closed, descriptors))


def test_the_first_error_is_told_when_all_has_ended(bench: Bench) -> None:
    bench.kernel.room = 2
    bench.flush(3)
    bench.end(OSError(5, "first"))
    bench.disk.error = OSError("second")
    bench.disk.release_one()
    bench.end(None)
    (error,) = bench.said
    assert isinstance(error, OSError)
    assert error.strerror == "first"


def test_goes_on_when_somebody_who_was_told_fails(bench: Bench) -> None:
    """The reactor lets go of whom an exception came from."""
    bench.reactor.removeReader(bench.flusher)
    bench.flusher.connectionLost(Failure(ValueError("a bug")))
    assert bench.reactor.getReaders() == [bench.flusher]


def test_is_heard_of_no_more_once_closed(bench: Bench) -> None:
    assert bench.reactor.getReaders() == [bench.flusher]
    bench.flusher.close()
    assert bench.reactor.getReaders() == []
    assert bench.kernel.closed
