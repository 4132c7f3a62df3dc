"""The broker as one thing: everything built in one place, started in order, stopped in reverse.

Start: lock the data folder, recover the store, construct the front ends, open their ports.
Stop: close the ports, let the front ends say goodbye, wait for the goodbyes to be taken, hang up on
those who do not, flush and checkpoint the store, unlock the folder. A start that fails undoes what
it had done, so nothing is left half open.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import Deferred, TimeoutError, inlineCallbacks
from twisted.logger import Logger

from gateway.config import Config, ConfigError, TlsConfig
from gateway.gateway import Gateway
from gateway.service.addresses import format_address
from gateway.service.blocking import BlockingThread
from gateway.service.data_folder import DataFolder
from gateway.service.flusher import Flusher
from gateway.service.kernel_aio import KernelAio
from gateway.service.listeners import Listeners

if TYPE_CHECKING:
    from core.group_commit import Flush
    from gateway.front_end import FrontEnd
    from gateway.service.tls import Tls

GOODBYE_S = 3.0  # How long a client may take to answer the goodbye before it is cut off.


class Service:
    """A gateway, its front ends and their open ports.

    `reactor` is Twisted's: it gives the ports, the clock and the way back from the thread.
    `disk_failed` is called when what was written cannot be made durable: then nothing that this
    process believes about the disk is certain, and it must not go on.
    """

    _log = Logger()

    def __init__(
        self,
        data_dir: Path,
        config: Config,
        front_end_classes: Sequence[type[FrontEnd]],
        reactor: Any,
        disk_failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        """Raises `ConfigError` if a certificate cannot be used."""
        self._data_dir = data_dir
        self._disk_failed = disk_failed
        self._config = config
        self._front_end_classes = front_end_classes
        self._reactor = reactor
        self._tls = _load_tls(config.tls)
        self._listeners = Listeners(reactor, config.listen, self._tls)
        self._front_ends: list[FrontEnd] = []
        self._undo = ExitStack()
        self.addresses: dict[str, tuple[str, int]] = {}  # By listener name, in order of opening.

    def start(self) -> None:
        """Recover the store and open every port.

        Raises `CoreError` if the data folder cannot be used and `ListenError` if a port cannot;
        then nothing of it is left open.
        """
        with ExitStack() as undo:
            undo.callback(DataFolder(self._data_dir).release)
            gateway = self._start_gateway(undo)
            gateway.addresses = self.addresses
            gateway.asks_for_certificates = self._config.tls.verify != "none"
            self._front_ends = [
                front_end(gateway, self._config.front_ends[front_end.section], self._reactor)
                for front_end in self._front_end_classes
            ]
            undo.callback(self._listeners.stop_accepting)
            for front_end in self._front_ends:
                self._open_ports(front_end)
            self._undo = undo.pop_all()

    def _start_gateway(self, undo: ExitStack) -> Gateway:
        blocking = BlockingThread(self._reactor.callFromThread)
        gateway = Gateway(
            self._data_dir,
            clock=self._reactor,
            run_blocking=blocking.run,
            store=self._config.store,
            failed=self._disk_failed,
            loopback_users=self._config.listen.loopback_users,
            flush=self._open_flusher(blocking, undo),
        )
        for front_end in self._front_end_classes:
            for language in front_end.languages:
                gateway.add_language(language)
        gateway.start()
        undo.callback(gateway.stop)
        blocking.start()
        # The thread ends first, so that nobody else uses the files that the gateway closes.
        undo.callback(blocking.stop)
        return gateway

    def _open_flusher(self, blocking: BlockingThread, undo: ExitStack) -> Flush | None:
        aio = KernelAio.open()
        if aio is None:
            return None
        flusher = Flusher(aio, self._reactor, blocking.run)
        undo.callback(flusher.close)
        return flusher.flush

    def _open_ports(self, front_end: FrontEnd) -> None:
        for listener in front_end.listeners():
            address = self._listeners.open(listener)
            if address is not None:
                self.addresses[listener.name] = address
                front_end.listening(listener.name, *address)

    @property
    def has_tls(self) -> bool:
        """Are there certificates that `reload_certificates` reads again?"""
        return self._tls is not None

    def reload_certificates(self) -> None:
        """Use the certificate files as they are now for whoever connects from now on."""
        assert self._tls is not None
        try:
            self._tls.reload()
        except ConfigError as error:
            self._log.error("the certificates stay as they were: {error}", error=error)
        else:
            self._log.info("the certificates were read again")

    def ready_line(self) -> str:
        """What tells a person or a script that every port is open, and where."""
        # Each front end's main port first: those are always there, in the same order.
        main = {front_end.section for front_end in self._front_ends}
        names = sorted(self.addresses, key=lambda name: name not in main)
        listening = [f"{name}={format_address(*self.addresses[name])}" for name in names]
        return " ".join(["rosettamq ready", *listening])

    @inlineCallbacks
    def stop(self) -> Generator[Deferred[Any], Any, None]:
        """Stop in the reverse order of `start`; call once. Fires when all is on disk."""
        try:
            yield self._listeners.stop_accepting()
            for front_end in reversed(self._front_ends):
                front_end.stop()
            try:
                yield self._listeners.when_idle().addTimeout(GOODBYE_S, self._reactor)
            except TimeoutError:
                count = self._listeners.abort_connections()
                self._log.warn("cut off {count} connections that did not say goodbye", count=count)
                yield self._listeners.when_idle()
        finally:
            self._undo.close()
        self._log.info("stopped")


def _load_tls(config: TlsConfig) -> Tls | None:
    if not config.certificate:
        return None
    try:  # Only now: whoever has no TLS need not even install it.
        from gateway.service.tls import Tls
    except ImportError as error:
        raise ConfigError(f"tls: {error.name} is missing: pip install 'rosettamq[tls]'") from None
    return Tls(config)
