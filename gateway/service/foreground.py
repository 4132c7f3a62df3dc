"""The service in this process: the reactor, the signals, the ready line and the exit code.

What a person can mend (a setting, the data folder, a port) is one line on stderr and exit code 2,
never a traceback.
"""

from __future__ import annotations

import gc
import os
import resource
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from twisted.logger import Logger
from twisted.python.failure import Failure

from core.errors import CoreError
from gateway.config import ConfigError, load_config
from gateway.service.front_ends import FrontEndLoadError, load_front_ends
from gateway.service.listeners import ListenError
from gateway.service.logs import start_logging
from gateway.service.service import Service
from gateway.service.signals import STOP_SIGNALS, ignore_signals

EXIT_CLEAN = 0
EXIT_FAILED = 1
EXIT_UNUSABLE = 2

# New containers, more made than freed, before the young are walked; how often they are, before
# the middle-aged are, too; how often those are, before all are. Walking 25,000 takes some 5 ms.
_GARBAGE_THRESHOLDS = (25_000, 1, 100)
_log = Logger()


def serve_until_stopped(
    data_dir: Path, config_file: Path | None, settings: Sequence[str], log_level: str
) -> int:
    """Run the broker until a signal stops it; returns the exit code.

    Until it is ready, signals do what `gateway.service.signals` says.
    """
    _allow_many_connections()  # The ports want to know how many there may be.
    reactor = _install_reactor()
    start_logging(sys.stderr, log_level)
    try:
        front_ends = load_front_ends()
        sections = {front_end.section: front_end.config_class for front_end in front_ends}
        config = load_config(config_file, settings, sections)
        service = Service(data_dir, config, front_ends, reactor, _die)
        gc.collect()
        gc.disable()  # Whatever a start makes is there to stay.
        service.start()
    except (ConfigError, CoreError, FrontEndLoadError, ListenError, OSError) as error:
        print(f"rosettamq: {_in_one_line(error, data_dir)}", file=sys.stderr)
        return EXIT_UNUSABLE
    return _Run(service, data_dir, reactor).until_stopped()


def _in_one_line(error: Exception, data_dir: Path) -> str:
    """What a person needs to know, whatever names and values they gave."""
    text = str(error)
    if isinstance(error, OSError):
        text = f"cannot use {error.filename or data_dir}: {error.strerror or error}"
    return text.replace("\n", "\\n")


def _die(error: BaseException) -> NoReturn:
    """The disk refuses to flush: end as if killed, so that the next start recovers what is there.

    A clean stop would write a checkpoint, and so vouch for what may be lost.
    """
    print(f"rosettamq: the disk refuses to flush, giving up: {error}", file=sys.stderr, flush=True)
    os._exit(EXIT_FAILED)


def _tune_garbage_collection() -> None:
    """Look for cycles seldom, and not among what start-up made.

    Messages come and go by reference counts; walking all of them 700 at a time, as is the default,
    costs throughput, and a full walk costs latency. With the default of ten walks before one of the
    middle-aged, that one would take 150 ms while many queues are declared.
    """
    gc.freeze()
    gc.set_threshold(*_GARBAGE_THRESHOLDS)
    gc.enable()


def _allow_many_connections() -> None:
    """Each takes a file descriptor; as many as the system's administrator grants are ours."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _install_reactor() -> Any:
    """Twisted's reactor, without the TLS that Twisted imports with it.

    Its sockets import pyOpenSSL wherever that is installed, for a `startTLS` that nobody here
    calls. `gateway.service.tls` imports it when there is a certificate.
    """
    hidden: dict[str, Any] = {"OpenSSL": None}
    sys.modules.update(hidden)
    try:
        from gateway.service.reactor import install

        return install()
    finally:
        del sys.modules["OpenSSL"]


class _Run:
    """One started service, from its ready line to its end."""

    def __init__(self, service: Service, data_dir: Path, reactor: Any) -> None:
        self._service = service
        self._data_dir = data_dir
        self._reactor = reactor
        self._stopping = False
        self._exit_code = EXIT_CLEAN

    def until_stopped(self) -> int:
        _tune_garbage_collection()
        self._reactor.callWhenRunning(self._take_signals)
        self._reactor.callWhenRunning(self._announce)
        # Twisted's handlers come first, for what comes with them: a signal wakes the reactor even
        # if it arrives just before the reactor sleeps. Ours replace them at once.
        self._reactor.run()
        ignore_signals()
        return self._exit_code

    def _take_signals(self) -> None:
        for number in STOP_SIGNALS:
            signal.signal(number, self._on_signal)
        if self._service.has_tls:
            signal.signal(signal.SIGHUP, self._on_hang_up)

    def _announce(self) -> None:
        if sys.stdout is None:  # It was closed before we began.
            return
        try:
            print(self._service.ready_line(), flush=True)
            if sys.stdout.isatty():
                from gateway.service.welcome import show_welcome

                show_welcome(self._service.addresses, self._data_dir)
        except OSError as error:  # Whoever started us does not listen; clients may all the same.
            _log.warn("nobody hears that the broker is ready: {error}", error=error)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._stop, signal.Signals(number).name)

    def _on_hang_up(self, number: int, frame: FrameType | None) -> None:
        self._reactor.callFromThread(self._service.reload_certificates)

    def _stop(self, signal_name: str) -> None:
        if self._stopping:
            return
        self._stopping = True
        _log.info("stopping on {signal_name}", signal_name=signal_name)
        self._service.stop().addErrback(self._on_failure).addCallback(self._end)

    def _on_failure(self, failure: Failure) -> None:
        if failure.check(OSError):
            _log.error("could not stop cleanly: {error}", error=failure.value)
        else:
            _log.failure("could not stop cleanly", failure)
        self._exit_code = EXIT_FAILED

    def _end(self, _result: object) -> None:
        self._reactor.stop()
