"""Logs: one plain line per event on stderr, in Twisted's own text form."""

from __future__ import annotations

from typing import TextIO

from twisted.logger import (
    FilteringLogObserver,
    LogLevel,
    LogLevelFilterPredicate,
    globalLogBeginner,
    textFileLogObserver,
)


def start_logging(stream: TextIO, level: str) -> None:
    """Write every event of at least `level` to `stream` from now on."""
    predicate = LogLevelFilterPredicate(LogLevel.levelWithName(level))
    if level != "debug":
        # Twisted's own notes ("starting on 5672"); its errors are critical and stay.
        for namespace in ("log_legacy", "twisted"):
            predicate.setLogLevelForNamespace(namespace, LogLevel.warn)
    observer = FilteringLogObserver(textFileLogObserver(stream), [predicate])
    globalLogBeginner.beginLoggingTo([observer], redirectStandardIO=False)
