"""The gateway: what all front ends share, on top of the core's broker."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from weakref import WeakValueDictionary

from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from core.broker import Broker
from core.consume_queue import RUN_SIZE
from core.errors import CorruptRecordError
from core.group_commit import Flush, RunBlocking
from core.name_server import NameServer
from core.options import BrokerOptions
from gateway.config import StoreConfig
from gateway.connections import Connections
from gateway.errors import NotAllowedError, NotFoundError, PreconditionFailedError
from gateway.global_parameters import GlobalParameters
from gateway.messages import FoundMessage, Language
from gateway.policies.policies import KINDS as POLICY_KINDS
from gateway.security.access import UserVirtualHost
from gateway.security.permissions import EVERYTHING, Permission, Permissions
from gateway.security.users import ADMINISTRATOR, DEFAULT_PASSWORD, DEFAULT_USER, Users
from gateway.vhosts.virtual_host import VirtualHost

DEFAULT_VIRTUAL_HOST = "/"
RABBITMQ_VERSION = "4.2.5"  # Whose behaviour this is; clients switch theirs on it.
VIRTUAL_HOST_LIMITS = ("max-connections", "max-queues")


class Gateway:
    """Virtual hosts, users, permissions, connections, languages; one broker.

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
        loopback_users: Collection[str] = (DEFAULT_USER,),
        flush: Flush | None = None,
    ) -> None:
        self.clock = clock
        self.generation = 0
        self.product_version = _product_version()
        self.started_at = clock.seconds()
        self.addresses: dict[str, tuple[str, int]] = {}  # What is listened on, by name.
        self.asks_for_certificates = False  # May a TLS client log in with one?
        self.name_server = NameServer()
        self.connections = Connections()
        self.broker = Broker(
            data_dir, clock, run_blocking, _options(store), failed or self._disk_failed, flush
        )
        self.turn = self.broker.turn
        self.users = Users(self.broker, loopback_users)
        self.permissions = Permissions(self.broker, self._changed)
        self.global_parameters = GlobalParameters(self.broker)
        self.virtual_hosts: dict[str, VirtualHost] = {}
        self._languages: dict[int, Language] = {}
        self._add_virtual_host(DEFAULT_VIRTUAL_HOST)
        # One for all connections of a user, as long as there is one.
        self._views: WeakValueDictionary[tuple[str, str], UserVirtualHost] = WeakValueDictionary()
        self._nowhere = UserVirtualHost(self.default_virtual_host, "", self.permissions)

    def add_language(self, language: Language) -> None:
        """Let the broker read what a front end wrote; before `start`."""
        assert language.number not in self._languages, f"language {language.number} is taken"
        self._languages[language.number] = language

    def start(self) -> None:
        """Recover everything from the data folder. Blocks."""
        self.broker.start(
            {number: language.parse_stored for number, language in self._languages.items()}
        )
        self.users.restore()
        self.permissions.restore()
        self._restore_virtual_hosts()
        for kind in POLICY_KINDS:
            for document in self.broker.documents(kind).values():
                self.virtual_hosts[document[0]].policies.restore(kind, document)
        for document in self.broker.documents("exchange").values():
            self.virtual_hosts[document[0]].restore_exchange(document)
        for id, document in self.broker.documents("queue").items():
            light = self.broker.queues[int(id)]
            self.virtual_hosts[document[0]].restore_queue(document, light)
        for document in self.broker.documents("binding").values():
            self.virtual_hosts[document[0]].restore_binding(document)
        for id, (name, exchange) in list(self.broker.documents("timer_owner").items()):
            self.virtual_hosts[name].delays.restore(int(id), exchange)
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

    def delete_user(self, name: str) -> None:
        """Forget a user and what it may do, and close its connections. Raises `NotFoundError`."""
        self.users.delete(name)
        self.permissions.delete_all_of(user=name)
        self.connections.close_all(lambda entry: entry.user == name, f"user '{name}' was deleted")

    # Virtual hosts

    def open_virtual_host(self, user: str, name: str) -> UserVirtualHost:
        """The virtual host of that name for a new connection of the user.

        Raises `NotAllowedError`.
        """
        virtual_host = self.virtual_hosts.get(name)
        if virtual_host is None:
            raise NotAllowedError(f"vhost {name} not found")
        limit = virtual_host.limits.get("max-connections", -1)
        if 0 <= limit <= self.connections.count_of_virtual_host(name):
            raise NotAllowedError(
                f"access to vhost '{name}' refused for user '{user}':"
                f" connection limit ({limit}) is reached"
            )
        limit = self.users.limit(user, "max-connections")
        if 0 <= limit <= self.connections.count_of_user(user):
            raise NotAllowedError(
                f"connection refused for user '{user}': user connection limit ({limit}) is reached"
            )
        return self.enter_virtual_host(user, name)

    def enter_virtual_host(self, user: str, name: str) -> UserVirtualHost:
        """The same for one request, which no limit counts. Raises `NotAllowedError`."""
        virtual_host = self.virtual_hosts.get(name)
        if virtual_host is None:
            raise NotAllowedError(f"vhost {name} not found")
        if self.permissions.find(user, name) is None:
            raise NotAllowedError(f"access to vhost '{name}' refused for user '{user}'")
        view = self._views.get((user, name))
        if view is None or view.virtual_host is not virtual_host:
            view = UserVirtualHost(virtual_host, user, self.permissions)
            self._views[user, name] = view
        return view

    def nowhere(self) -> UserVirtualHost:
        """What a connection has before it is open: a virtual host in which nothing is allowed."""
        return self._nowhere

    def check_channel_limit(self, user: str) -> None:
        """May the user open one more channel? Raises `NotAllowedError`."""
        limit = self.users.limit(user, "max-channels")
        if 0 <= limit <= self.connections.channel_count_of_user(user):
            raise NotAllowedError(
                f"number of channels opened for user '{user}' has reached"
                f" the maximum allowed user limit of ({limit})"
            )

    def put_virtual_host(
        self,
        name: str,
        description: str = "",
        tags: Sequence[str] = (),
        default_queue_type: str = "classic",
    ) -> bool:
        """Create a virtual host, or change what is said of it; True if it is new."""
        is_new = name not in self.virtual_hosts
        if is_new:
            self._add_virtual_host(name)
        virtual_host = self.virtual_hosts[name]
        virtual_host.description = description
        virtual_host.tags = tuple(tags)
        virtual_host.default_queue_type = default_queue_type
        self._store_virtual_host(virtual_host)
        return is_new

    def set_virtual_host_limit(self, name: str, limit: str, value: int | None) -> None:
        """Set a limit, or lift it. Raises `NotFoundError`, `PreconditionFailedError`."""
        virtual_host = self.find_virtual_host(name)
        if limit not in VIRTUAL_HOST_LIMITS:
            raise PreconditionFailedError(f"'{limit}' is no limit of a virtual host")
        virtual_host.limits.pop(limit, None)
        if value is not None:
            virtual_host.limits[limit] = value
        self._store_virtual_host(virtual_host)

    def find_virtual_host(self, name: str) -> VirtualHost:
        """The virtual host of this name. Raises `NotFoundError`."""
        virtual_host = self.virtual_hosts.get(name)
        if virtual_host is None:
            raise NotFoundError(f"no vhost '{name}'")
        return virtual_host

    def delete_virtual_host(self, name: str) -> None:
        """Close its connections, and drop all that is in it.

        Raises `NotFoundError`, and `PreconditionFailedError` for the default one.
        """
        virtual_host = self.find_virtual_host(name)
        if name == DEFAULT_VIRTUAL_HOST:
            raise PreconditionFailedError(
                f"vhost '{name}' cannot be deleted: RocketMQ's topics are those in it"
            )
        self.permissions.delete_all_of(virtual_host=name)
        self.connections.close_all(
            lambda entry: entry.virtual_host == name, f"vhost '{name}' was deleted"
        )
        virtual_host.remove_everything()
        del self.virtual_hosts[name]
        # Last: whatever a crash may leave of it is still in a virtual host that exists.
        self.broker.delete_document("vhost", name)
        self._changed()

    def report_full_disk(self, error: OSError) -> None:
        """Somebody waits for room on the disk: the operator should know."""
        self._log.warn("a publisher waits for room on the disk: {error}", error=error)

    def read_at(self, log_offset: int) -> FoundMessage | None:
        """The durable message whose stored form begins at this log offset, if one does."""
        found = self.broker.read_at(log_offset)
        if found is None or found.origin not in self._languages:
            return None
        try:
            message = self._languages[found.origin].parse_stored(found.stored)
        except CorruptRecordError:
            return None
        queues = self.broker.queues_of_route(found.route_id)
        return FoundMessage(message, found.timestamp_ms, queues)

    def _restore_virtual_hosts(self) -> None:
        for name, document in self.broker.documents("vhost").items():
            if name not in self.virtual_hosts:
                self._add_virtual_host(name)
            virtual_host = self.virtual_hosts[name]
            description, tags, virtual_host.default_queue_type, limits = document
            virtual_host.description, virtual_host.tags = description, tuple(tags)
            virtual_host.limits = dict(limits)
        if not self.broker.documents("defaults"):
            # An empty folder. Once only: a default that was deleted stays so.
            self._store_virtual_host(self.default_virtual_host)
            self.users.put(DEFAULT_USER, password=DEFAULT_PASSWORD, tags=[ADMINISTRATOR])
            everything = (EVERYTHING, EVERYTHING, EVERYTHING)
            self.permissions.put(Permission(DEFAULT_USER, DEFAULT_VIRTUAL_HOST, *everything))
            self.broker.put_document("defaults", "made", True)

    def _store_virtual_host(self, virtual_host: VirtualHost) -> None:
        document = [
            virtual_host.description,
            list(virtual_host.tags),
            virtual_host.default_queue_type,
            dict(virtual_host.limits),
        ]
        self.broker.put_document("vhost", virtual_host.name, document)

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
        runs_in_memory=store.index_memory_bytes // RUN_SIZE,
        sync_flush=store.flush == "sync",
        retention_s=store.retention_hours * 3600,
        retained_size_max=store.retained_bytes,
    )


def _product_version() -> str:
    try:
        return version("rosettamq")
    except PackageNotFoundError:
        return "0.0.0"
