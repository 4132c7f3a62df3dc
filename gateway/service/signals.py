"""SIGTERM and SIGINT before there is anything to stop, and when there is nothing left to."""

from __future__ import annotations

import os
import signal
from types import FrameType
from typing import NoReturn

STOP_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def exit_on_signals() -> None:
    """Have them end the process at once, with exit code 0: until it is ready, nobody needs more.

    Not by an exception: Python may be anywhere, for example in a callback that drops them.
    """
    for number in STOP_SIGNALS:
        signal.signal(number, _exit)


def ignore_signals() -> None:
    """Have them not change the exit code of a process that is about to end."""
    for number in STOP_SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def _exit(number: int, frame: FrameType | None) -> NoReturn:
    os._exit(0)
