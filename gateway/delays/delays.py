"""Delayed messages of one virtual host: kept by the core's timers, published when it is time.

Where a message goes is decided when its time comes, by the topology of then; who may publish there,
when it is accepted. An owner of timers is an exchange of the type `x-delayed-message`, with which
they go, and which sends on what it has delayed, however that came there; or (with no name) the
virtual host at large, where messages are published anew.

What the core stores for a message is

    | size of the plan (2) | plan: msgpack, see `_Plan` | the message, in its language's form |
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby
from typing import TYPE_CHECKING, NamedTuple

import msgspec
from twisted.logger import Logger

from core.broker import Broker
from core.errors import CorruptRecordError
from core.route import DependsOn, Route
from core.timer_record import Timer, TimerId
from core.timers import DueTimer
from gateway.delays.cron import Cron
from gateway.delays.schedules import Schedule
from gateway.exchanges.delayed_exchanges import find_delay
from gateway.exchanges.exchange import Exchange
from gateway.messages import Header, Item, Language, Message

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost

_EVERYWHERE = ""  # The owner of what is delayed at no exchange of its own.


class DelayedRoute(Route):
    """Where a message goes that is to be published later, too: to the timers.

    `at_once` leads to the queues that get it now; `delays` are the exchanges that send it on later,
    and when. For a publisher who wants to be told, they count as nowhere.
    """

    waits = True

    def __init__(
        self,
        at_once: Route,
        delays: Sequence[tuple[str, Schedule]],
        more_keys: Sequence[str],
    ) -> None:
        super().__init__(at_once.queues, at_once.id, DependsOn.HEADER)
        self._at_once = at_once
        self.delays = delays
        self.more_keys = more_keys
        # Who asks for a delay in our words knows of it.
        self.is_unroutable &= all(name != _EVERYWHERE for name, _ in delays)

    @property
    def at_once(self) -> Route:
        """See the class."""
        return self._at_once

    def keeps(self, persistent: bool) -> bool:
        """Timers survive a restart, whatever they publish then."""
        return True


class DelayedMessage(NamedTuple):
    """What is shown of one."""

    id: TimerId
    message: Message
    exchange: str  # The one that delays it; nothing if it asked for its delay itself.


class _Plan(msgspec.Struct, array_like=True, frozen=True):
    """What is not in the message: more routing keys, and when it comes again."""

    more_keys: tuple[str, ...] = ()
    period_ms: int = 0
    repeat_count: int = 0
    cron: str = ""


_NO_PLAN = _Plan()
_encode_plan = msgspec.msgpack.Encoder().encode
_decode_plan = msgspec.msgpack.Decoder(_Plan).decode


class Delays:
    """What is delayed in one virtual host."""

    _log = Logger()

    def __init__(
        self, virtual_host: VirtualHost, broker: Broker, languages: Mapping[int, Language]
    ) -> None:
        self._virtual_host = virtual_host
        self._broker = broker
        self._languages = languages
        self._owners: dict[str, int] = {}  # By exchange.

    # Life

    def restore(self, id: int, exchange: str) -> None:
        """Bring back an owner, whose exchange may be gone."""
        if not self._is_there(exchange):
            self._broker.drop_timer_owner(id)
            return
        self._owners[exchange] = id
        self._broker.timers.add_owner(id, self.publish)

    def drop(self, exchange: str) -> None:
        """An exchange is gone, and what it delayed."""
        if (id := self._owners.pop(exchange, None)) is not None:
            self._broker.drop_timer_owner(id)

    def drop_all(self) -> None:
        """The virtual host is being deleted."""
        for exchange in list(self._owners):
            self.drop(exchange)

    # What is to be delayed

    def route(
        self, exchange: Exchange, more_keys: Sequence[str], header: Header
    ) -> DelayedRoute | None:
        """The route of a message that asks to be published later; None if it does not.

        What the exchange delays it need not ask for. Raises `PreconditionFailedError`.
        """
        if find_delay(exchange, header) is not None:
            return None
        schedule = header.language.find_schedule(header)
        if schedule is None:
            return None
        return DelayedRoute(self._broker.route(()), [(_EVERYWHERE, schedule)], more_keys)

    def add(self, items: Iterable[Item]) -> bool:
        """Keep those that are to be published later, as one record of the log; are there any?

        Raises `OSError` if the disk refuses.
        """
        timers = [
            self._timer(exchange, schedule, route.more_keys, message, stored)
            for route, message, stored in items
            if isinstance(route, DelayedRoute)
            for exchange, schedule in route.delays
            if self._is_there(exchange)
        ]
        if timers:
            self._broker.timers.append(timers)
        return bool(timers)

    # What is delayed

    def count(self, exchange: str) -> int:
        """How many messages an exchange delays."""
        id = self._owners.get(exchange)
        return 0 if id is None else self._broker.timers.count(id)

    @property
    def total_count(self) -> int:
        """How many messages are delayed in the virtual host."""
        return sum(map(self._broker.timers.count, self._owners.values()))

    def look(self, after: TimerId | None, count: int) -> list[DelayedMessage]:
        """At most `count` messages in the order of their times, behind `after`."""
        names = {id: exchange for exchange, id in self._owners.items()}
        timers = self._broker.timers.look(names.keys(), after, count)
        return [shown for timer in timers if (shown := self._show(timer, names)) is not None]

    def find(self, id: TimerId) -> DelayedMessage | None:
        """The message of this id."""
        names = {id: exchange for exchange, id in self._owners.items()}
        timer = self._broker.timers.find(id, names.keys())
        return None if timer is None else self._show(timer, names)

    def cancel(self, id: TimerId) -> bool:
        """Do not publish a message; False if there is none of this id."""
        return self._broker.timers.cancel(id, set(self._owners.values()))

    # When the time has come

    def publish(self, due: Sequence[DueTimer], on_stored: Callable[[], None]) -> None:
        """Publish messages; call back when that is stored. Raises `OSError`: all come again."""
        items: list[Item] = []
        again: list[Timer] = []
        routes: dict[tuple[str, ...], Route] = {}
        names = {id: exchange for exchange, id in self._owners.items()}
        for timer in due:
            try:
                language, plan, stored = self._open(timer)
                message, due_form = language.parse_due(stored)
            except CorruptRecordError as error:
                self._report(timer, error)
                continue
            exchange = names[timer.owner] or message[0].exchange
            items.append((self._route(exchange, message, plan, routes), message, due_form))
            if (following := self._following(timer, plan, stored)) is not None:
                again.append(following)
        runs = [list(run) for _, run in groupby(items, lambda item: item[1][1].language.number)]
        countdown = _Countdown(len(runs) + 1, on_stored)
        for run in runs:
            self._virtual_host.intake.publish(run, countdown.count)
        if again:
            self._broker.timers.append(again)
            self._broker.when_durable(countdown.count)
        else:
            countdown.count()

    # The rest is private

    def _route(
        self, exchange: str, message: Message, plan: _Plan, routes: dict[tuple[str, ...], Route]
    ) -> Route:
        """Where a message goes by now from an exchange; `routes` are those of the same batch."""
        envelope, header, _ = message
        keys = (envelope.routing_key, *plan.more_keys)
        route = routes.get((exchange, *keys))
        if route is None:
            source = self._virtual_host.exchanges.get(exchange)
            if source is None:
                return self._broker.route(())
            found = self._virtual_host.find_targets(source, keys, header)
            route = self._virtual_host.route_to(found, header, plan.more_keys)
            if not route.by_header:
                routes[exchange, *keys] = route
        return route

    def _show(self, timer: DueTimer, names: Mapping[int, str]) -> DelayedMessage | None:
        """A message to look at; None, and reported, if nobody can read it."""
        try:
            language, _, stored = self._open(timer)
            return DelayedMessage(timer.id, language.parse_stored(stored), names[timer.owner])
        except CorruptRecordError as error:
            self._report(timer, error)
            return None

    def _timer(
        self,
        exchange: str,
        schedule: Schedule,
        more_keys: Sequence[str],
        message: Message,
        stored: bytes,
    ) -> Timer:
        now_ms = int(self._virtual_host.clock.seconds() * 1000)
        plan = _Plan(
            tuple(more_keys),
            schedule.period_ms,
            schedule.repeat_count,
            schedule.cron.text if schedule.cron is not None else "",
        )
        return Timer(
            schedule.first_ms(now_ms),
            self._owner(exchange),
            message[1].language.number,
            _join(plan, stored),
        )

    def _following(self, timer: DueTimer, plan: _Plan, stored: bytes) -> Timer | None:
        """The timer of the next time, if there is one; times that are past are left out."""
        now_ms = int(self._virtual_host.clock.seconds() * 1000)
        if plan.cron:
            at_ms = Cron.parse(plan.cron).next_ms(max(now_ms, timer.id.fire_ms))
        elif plan.period_ms and plan.repeat_count:
            missed_count = max(0, now_ms - timer.id.fire_ms) // plan.period_ms
            at_ms = timer.id.fire_ms + (missed_count + 1) * plan.period_ms
            if plan.repeat_count > 0:
                plan = msgspec.structs.replace(plan, repeat_count=plan.repeat_count - 1)
        else:
            return None
        return Timer(at_ms, timer.owner, timer.origin, _join(plan, stored), timer.id)

    def _is_there(self, exchange: str) -> bool:
        """Has the exchange not been deleted since the message was routed?"""
        return exchange == _EVERYWHERE or exchange in self._virtual_host.exchanges

    def _owner(self, exchange: str) -> int:
        """Whose timers those of an exchange are."""
        id = self._owners.get(exchange)
        if id is None:
            is_kept = exchange == _EVERYWHERE or self._virtual_host.exchanges[exchange].durable
            document = [self._virtual_host.name, exchange] if is_kept else None
            id = self._owners[exchange] = self._broker.add_timer_owner(document, self.publish)
        return id

    def _open(self, timer: DueTimer) -> tuple[Language, _Plan, bytes]:
        """What a timer is about. Raises `CorruptRecordError`."""
        language = self._languages.get(timer.origin)
        if language is None:
            raise CorruptRecordError(f"there is no language {timer.origin}")
        return language, *_split(timer.stored)

    def _report(self, timer: DueTimer, error: CorruptRecordError) -> None:
        self._log.error("delayed message {id} cannot be read: {error}", id=timer.id, error=error)


class _Countdown:
    """Calls back when it was called as often as it was to be."""

    def __init__(self, count: int, callback: Callable[[], None]) -> None:
        self._left = count
        self._callback = callback

    def count(self) -> None:
        """Once less."""
        self._left -= 1
        if not self._left:
            self._callback()


def _join(plan: _Plan, stored: bytes) -> bytes:
    encoded = b"" if plan == _NO_PLAN else _encode_plan(plan)
    return len(encoded).to_bytes(2, "big") + encoded + stored


def _split(data: bytes) -> tuple[_Plan, bytes]:
    end = 2 + int.from_bytes(data[:2], "big")
    if end == 2:
        return _NO_PLAN, data[2:]
    try:
        return _decode_plan(data[2:end]), data[end:]
    except msgspec.MsgspecError as error:
        raise CorruptRecordError(f"a plan cannot be read: {error}") from error
