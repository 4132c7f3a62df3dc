"""The gateway: what all front ends share, on top of the core's broker."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from core.broker import Broker, BrokerOptions
from core.errors import CorruptRecordError
from core.group_commit import RunBlocking
from core.name_server import NameServer
from gateway.config import StoreConfig
from gateway.errors import NotAllowedError
from gateway.messages import Language, Message
from gateway.users import Users
from gateway.vhosts import VirtualHost

DEFAULT_VIRTUAL_HOST = "/"


class Gateway:
    """Virtual hosts, users, languages; one broker.

    `generation` changes whenever a route may have: whoever keeps routes compares it.
    """

    _log = Logger()

    def __init__(
        self,
        data_dir: Path,
        clock: IReactorTime,
        run_blocking: RunBlocking,
        store: StoreConfig | None = None,
        failed: Callable[[BaseException], None] | None = None,
    ) -> None:
        self.clock = clock
        self.generation = 0
        self.product_version = _product_version()
        self.name_server = NameServer()
        self.users = Users()
        self.broker = Broker(
            data_dir, clock, run_blocking, _options(store), failed or self._disk_failed
        )
        self.turn = self.broker.turn
        self.virtual_hosts: dict[str, VirtualHost] = {}
        self._languages: dict[int, Language] = {}
        self._add_virtual_host(DEFAULT_VIRTUAL_HOST)

    def add_language(self, language: Language) -> None:
        """Let the broker read what a front end wrote; before `start`."""
        assert language.number not in self._languages, f"language {language.number} is taken"
        self._languages[language.number] = language

    def start(self) -> None:
        """Recover everything from the data folder. Blocks."""
        self.broker.start(
            {number: language.parse_stored for number, language in self._languages.items()}
        )
        for document in self.broker.documents("exchange").values():
            self.virtual_hosts[document[0]].restore_exchange(document)
        for id, document in self.broker.documents("queue").items():
            light = self.broker.queues[int(id)]
            self.virtual_hosts[document[0]].restore_queue(document, light)
        for document in self.broker.documents("binding").values():
            self.virtual_hosts[document[0]].restore_binding(document)
        for virtual_host in self.virtual_hosts.values():
            virtual_host.restored()
        self.turn.end()

    def stop(self) -> None:
        """Flush, checkpoint and close the data folder. Blocks."""
        for virtual_host in self.virtual_hosts.values():
            virtual_host.stop()
        self.broker.stop()

    @property
    def default_virtual_host(self) -> VirtualHost:
        """The virtual host of those who name none."""
        return self.virtual_hosts[DEFAULT_VIRTUAL_HOST]

    def login(self, user: str, password: str, peer_host: str) -> str:
        """Return the name of the user. Raises `LoginRefusedError`."""
        return self.users.login(user, password, peer_host)

    def login_external(self, user: str, peer_host: str) -> str:
        """Log in a user whom TLS has proved by a certificate. Raises `LoginRefusedError`."""
        return self.users.login_external(user, peer_host)

    def open_virtual_host(self, user: str, name: str) -> VirtualHost:
        """The virtual host of that name, if the user may use it. Raises `NotAllowedError`."""
        virtual_host = self.virtual_hosts.get(name)
        if virtual_host is None:
            raise NotAllowedError(f"vhost {name} not found")
        return virtual_host

    def report_full_disk(self, error: OSError) -> None:
        """Somebody waits for room on the disk: the operator should know."""
        self._log.warn("a publisher waits for room on the disk: {error}", error=error)

    def read_at(self, log_offset: int) -> Message | None:
        """The durable message whose stored form begins at this log offset, if one does."""
        found: tuple[int, bytes] | None = self.broker.read_at(log_offset)
        if found is None or found[0] not in self._languages:
            return None
        try:
            return self._languages[found[0]].parse_stored(found[1])
        except CorruptRecordError:
            return None

    def _add_virtual_host(self, name: str) -> None:
        self.virtual_hosts[name] = VirtualHost(
            name, self.broker, self._changed, self.clock, self._languages
        )

    def _changed(self) -> None:
        self.generation += 1

    def _disk_failed(self, error: BaseException) -> None:
        self._log.critical("the disk refuses to flush: {error}", error=error)


def _options(store: StoreConfig | None) -> BrokerOptions:
    if store is None:
        return BrokerOptions()
    return BrokerOptions(
        segment_size=store.segment_size_bytes,
        volatile_size=store.volatile_memory_bytes,
        sync_flush=store.flush == "sync",
        retention_s=store.retention_hours * 3600,
        retained_size_max=store.retained_bytes,
    )


def _product_version() -> str:
    try:
        return version("rosettamq")
    except PackageNotFoundError:
        return "0.0.0"
