"""What a signal does to a process that is starting or ending."""

from __future__ import annotations

import signal
import subprocess
import sys

import pytest

TIMEOUT_S = 60


def exit_code(program: str) -> int:
    head = "import os, signal, weakref\nfrom gateway.service.signals import *\n"
    return subprocess.run([sys.executable, "-c", head + program], timeout=TIMEOUT_S).returncode


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_start_ends_wherever_it_is(number: signal.Signals) -> None:
    """An exception in the callback of a weak reference, as an import has them, would be lost."""
    program = f"""
class Lock: pass
exit_on_signals()
lock = Lock()
reference = weakref.ref(lock, lambda _: os.kill(os.getpid(), {number:d}))
del lock
raise SystemError("it goes on")
"""
    assert exit_code(program) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_end_is_not_disturbed(number: signal.Signals) -> None:
    """Not even when Python has taken its handlers away."""
    program = f"""
class Last:
    def __del__(self, kill=os.kill, pid=os.getpid()):
        kill(pid, {number:d})
exit_on_signals()
last = Last()
ignore_signals()
raise SystemExit(3)
"""
    assert exit_code(program) == 3
