"""A queue: a light queue of the core with a name, and the consumers that share its messages."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from core.broker import Broker
from core.lanes import AnyQueue
from core.light_queue import LightQueue
from core.readable_queue import Span
from core.turn import Turn
from gateway.declarations import QueueDeclaration
from gateway.errors import AccessRefusedError, PreconditionFailedError
from gateway.exchanges.bindings import Arguments
from gateway.messages import Item, Message
from gateway.policies.keys import effective_arguments
from gateway.policies.policies import NO_POLICIES, HeldPolicies
from gateway.queues.arguments import QueueOptions, check_consumer_arguments, parse_options
from gateway.queues.consumer import PLAIN_TERMS, Consumer, Delivery, Stamp, Terms
from gateway.queues.dead_letters import MAXLEN, REJECTED
from gateway.queues.lease import Lease
from gateway.queues.line import Line
from gateway.queues.room import Room
from gateway.queues.selectors import consumer_selector
from gateway.queues.times_to_live import TimesToLive
from gateway.queues.types import find_type
from gateway.queues.upkeep import Upkeep
from gateway.queues.watchers import Watchers

if TYPE_CHECKING:
    from gateway.vhosts.virtual_host import VirtualHost

_TAKE_COUNT_MAX = 512  # Messages per consumer and round; a turn goes on with the next round.


class Queue:
    """One queue of a virtual host; see `core.light_queue` for what an offset's life is.

    This is a classic queue; the other types are its subclasses (`gateway.queues.classes`).
    """

    heeds_shared_credit = True  # May consumers that share a limit of what is in flight use it?
    # Most types add nothing: front ends ask once for each batch. What goes past the queue, straight
    # to a taker, has no stamp: it is the first delivery of a new message.
    stamp: Stamp | None = None

    def __init__(
        self,
        virtual_host: VirtualHost,
        declared: QueueDeclaration,
        light: AnyQueue,
        turn: Turn,
        owner: object | None = None,
        policies: HeldPolicies = NO_POLICIES,
        ttl_history: Sequence[tuple[int, int | None]] = (),
    ) -> None:
        self.virtual_host = virtual_host
        self.name = declared.name
        self.light = light
        self.exclusive_owner = owner if declared.exclusive else None
        self.auto_delete = declared.auto_delete
        self.arguments = dict(declared.arguments)
        self.type = find_type(self.arguments)
        self.policies = policies
        self.options = self._options()
        self.unequal_declaration: str | None = None  # The last one that a policy let pass.
        self._paused = False
        self.expects_expiry = False  # Did a message with an expiration of its own come?
        self._turn = turn
        self._line: Line | None = None  # Of consumers; there is one once there was a consumer.
        self._watchers: Watchers | None = None  # There are some once there was one.
        self._upkeep: Upkeep | None = None  # Most queues need none, and pay nothing for it.
        self._lease = Lease(virtual_host.clock, self.options.expires_ms)
        self._times_to_live = TimesToLive(self.options.message_ttl_ms, ttl_history)
        light.keeps_all = self.type.must_last
        self._begin()

    @classmethod
    def arrange(cls, broker: Broker, light: LightQueue, arguments: Arguments) -> AnyQueue:
        """The light queue of a queue with these arguments, in lanes if it has priorities."""
        max_priority = parse_options(arguments).max_priority
        return light if max_priority is None else broker.lanes(light, max_priority)

    def __str__(self) -> str:
        return f"queue '{self.name}' in vhost '{self.virtual_host.name}'"

    @property
    def durable(self) -> bool:
        """Does it survive a restart?"""
        return self.light.durable

    @property
    def is_consumed(self) -> bool:
        """Has it consumers of any kind?"""
        return self._line is not None and bool(self._line.consumers)

    def is_exclusive_to(self, consumer: Consumer) -> bool:
        """Has this consumer got the queue to itself?"""
        return self._line is not None and self._line.exclusive is consumer

    def is_single_active(self, consumer: Consumer) -> bool | None:
        """Is this the single active consumer? None if all are active."""
        if self._line is None or not self.options.single_active_consumer:
            return None
        return self._line.active is consumer

    @property
    def has_dead_letters(self) -> bool:
        """Does what dies here go on to an exchange?"""
        return self.options.dead_letter_exchange is not None

    @property
    def gives_no_time(self) -> bool:
        """Is what nobody takes at once dropped, wherever in the queue it would be?"""
        return self.options.message_ttl_ms == 0 and not self.has_dead_letters

    @property
    def exclusive(self) -> bool:
        """Is it one connection's own?"""
        return self.exclusive_owner is not None

    @property
    def paused(self) -> bool:
        """Is nothing delivered, whoever asks?"""
        return self._paused

    @paused.setter
    def paused(self, paused: bool) -> None:
        self._paused = paused
        self._listen()

    @property
    def ready_count(self) -> int:
        """Messages that wait to be delivered."""
        self.catch_up()
        return self.light.ready_count

    @property
    def unsettled_count(self) -> int:
        """Messages in flight."""
        return self.light.in_flight_count

    @property
    def consumer_count(self) -> int:
        """Subscribers, without those who only wait for one answer."""
        return 0 if self._line is None else self._line.counted

    @property
    def min_offset(self) -> int:
        """The queue offset of the oldest message that is still held."""
        return self.light.min_offset

    @property
    def max_offset(self) -> int:
        """The queue offset that the next message gets."""
        return self.light.max_offset

    def level(self, priority: int) -> int:
        """The lane of messages of a priority, if there are lanes."""
        return priority

    # Life

    def keep_up(self) -> None:
        """From now on, look after deadlines and limits."""
        if self._upkeep is None:
            clock = self.virtual_host.clock
            self._upkeep = Upkeep(self, self.light, clock, self._times_to_live)
            self._listen()

    def follow(self, policies: HeldPolicies) -> None:
        """These policies hold from now on."""
        self.policies = policies
        self._reconsider()

    def redefine(self, arguments: Arguments) -> None:
        """It has these arguments from now on, which were checked before."""
        self.arguments = dict(arguments)
        self._reconsider()

    def _reconsider(self) -> None:
        """Other options may hold: at once, for all that is here but for deadlines."""
        former, self.options = self.options, self._options()
        options = self.options
        if options == former:
            return
        if options.message_ttl_ms != former.message_ttl_ms:
            is_empty = not (self.light.ready_count or self.unsettled_count)
            now_ms = int(self.virtual_host.clock.seconds() * 1000)
            self._times_to_live.change(options.message_ttl_ms, now_ms, is_empty)
        self._lease.change(self, options.expires_ms)
        self._set_limits()
        self.restored()

    @property
    def ttl_history(self) -> list[tuple[int, int | None]]:
        """Since when messages last how long, if that has changed while they were here."""
        return self._times_to_live.history

    def restored(self) -> None:
        """What holds is not what held when it was last looked after: see to that."""
        if self._upkeep is not None:
            self._turn.dispatchers[self] = None

    def rewound(self) -> None:
        """Messages that all were done with are ready again."""
        if self._line is not None and self._line.choosers is not None:
            self._line.choosers.look_again()
        if self._upkeep is not None:
            self._upkeep.stop()
            self._upkeep = None
            self.keep_up()
        self.wake()

    def touch(self) -> None:
        """Somebody uses the queue: it does not expire for a while."""
        self._lease.renew(self)

    def work(self) -> None:
        """A time has come: do what is due, in a turn of its own."""
        self.dispatch()
        self._turn.end()

    def expire(self) -> None:
        """Nobody has used the queue for as long as it may be unused."""
        self.virtual_host.remove_queue(self)
        self._turn.end()

    def stop(self) -> None:
        """Wait for no time any more."""
        self._lease.stop()
        if self._line is not None and self._line.choosers is not None:
            self._line.choosers.stop()
        if self._upkeep is not None:
            self._upkeep.stop()

    def check_delete(self, if_unused: bool, if_empty: bool) -> int:
        """How many ready messages go when it is deleted. Raises `PreconditionFailedError`."""
        ready_count = self.ready_count
        if if_empty and ready_count:
            raise PreconditionFailedError(f"{self} not empty")
        if if_unused and self.is_consumed:
            raise PreconditionFailedError(f"{self} in use")
        return ready_count

    # Consuming, as the queue's own group

    def subscribe(self, consumer: Consumer, terms: Terms = PLAIN_TERMS) -> None:
        """Add a consumer.

        Raises `AccessRefusedError` if it, or another one, wants to be alone, and
        `PreconditionFailedError` or `NotSupportedError` for what this type of queue cannot do.
        """
        self.catch_up()
        check_consumer_arguments(self.type, terms.arguments, str(self))
        if terms.selects is None:
            terms = replace(terms, selects=consumer_selector(terms.arguments, str(self)))
        is_single = self.options.single_active_consumer
        is_alone = self._line is not None and self._line.exclusive is not None
        if is_alone or (terms.exclusive and (self.is_consumed or is_single)):
            raise AccessRefusedError(f"{self} in exclusive use")
        self._join(consumer, terms, waits=is_single or terms.waits_in_line)

    def unsubscribe(self, consumer: Consumer) -> None:
        """Remove a consumer; what it has in flight stays so. Does nothing if it is not there."""
        if self._line is None or consumer not in self._line.consumers:
            return
        if self._line.remove(consumer):
            self.wake()
        if not self.is_consumed:
            self._lease.renew(self)
        self._listen()
        if self.auto_delete and consumer.counted and not self.consumer_count:
            self.virtual_host.remove_queue(self)

    def begin_take(self) -> bool:
        """Somebody asks for messages: what is too old goes. May anything be taken?"""
        self.touch()
        self.catch_up()
        return not self.paused

    def take(self, count: int) -> list[Delivery]:
        """At most `count` ready messages, in flight from now on."""
        if not self.begin_take():
            return []
        deliveries: list[Delivery] = []
        while len(deliveries) < count and (spans := self.take_spans(count - len(deliveries))):
            deliveries += [
                Delivery(offset, redelivered, message, self.light.delivery_count(offset))
                for first_offset, messages, redelivered in spans
                for offset, message in enumerate(messages, first_offset)
            ]
        return deliveries

    def take_spans(self, count: int) -> list[Span]:
        """The same, without asking what may be."""
        return self.light.take(count) if self._upkeep is None else self._upkeep.take(count)

    def take_at(self, offset: int, message: Message) -> bool:
        """One ready message, wherever it is, goes in flight; was it delivered before?"""
        if self._upkeep is not None:
            return self._upkeep.take_at(offset, message)
        return self.light.take_at(offset)

    def is_deliverable(self, offset: int, message: Message) -> bool:
        """Is this message ready, and not past its time?"""
        if not self.light.is_ready(offset):
            return False
        return self._upkeep is None or not self._upkeep.is_expired(offset, message)

    def settle(self, start: int, end: int) -> None:
        """Messages in flight, `start` up to not including `end`, are acknowledged."""
        self.light.settle(start, end)

    def release(self, offsets: Iterable[int]) -> None:
        """Messages in flight go back to their places, to be delivered again."""
        if self._upkeep is None:
            self.give_back(offsets)
            return
        self._upkeep.refresh()
        offsets = list(offsets)
        self.give_back(offsets)
        self._upkeep.returned(offsets)

    def room(self) -> Room:
        """What it takes of the messages that come next; asked only if it may refuse some."""
        assert self._upkeep is not None, "whatever has a limit has one"
        return Room(self, self._upkeep)

    @property
    def free_credit(self) -> int:
        """How many messages the consumers would take at once, if they came now."""
        if self.paused or self._line is None or self.light.ready_count:
            return 0
        return self._line.credit

    def refuse(self, message: Message) -> list[Item]:
        """A message was not taken for want of room: the dead letter of it, if it is to be one."""
        if self.has_dead_letters and self.options.overflow == "reject-publish-dlx":
            return self.virtual_host.dead_letters.write(self, [message], MAXLEN)
        return []

    def reject(self, offsets: Iterable[int], reason: str = REJECTED) -> None:
        """Messages in flight are not wanted: dead letters, or dropped.

        Raises `OSError` if the disk refuses: then all of them still are in flight.
        """
        dead: list[Span] = []
        dropped: list[int] = []  # Also what cannot be read any more.
        for offset in offsets:
            found = self.light.read(offset, 1) if self.has_dead_letters else []
            if found and found[0][0] == offset:
                dead.append((offset, [found[0][1]], True))
            else:
                dropped.append(offset)
        if dead:
            self.bury(dead, reason)
        for offset in dropped:
            self.light.settle(offset, offset + 1)

    def bury(self, dead: Sequence[Span], reason: str) -> None:
        """Messages in flight have died: dead letters, or dropped. See `DeadLetters.bury`."""
        self.virtual_host.dead_letters.bury(self, dead, reason)

    def give_back(self, offsets: Iterable[int]) -> None:
        """Messages in flight, which nobody had, are ready again."""
        if self._line is None or self._line.choosers is None:
            self.light.release(offsets)
            return
        offsets = list(offsets)
        self.light.release(offsets)
        self._line.choosers.returned(offsets)

    def wake(self) -> None:
        """A consumer has credit again: look at the end of the turn."""
        if self.light.ready_count and self.is_consumed:
            self._turn.dispatchers[self] = None

    def catch_up(self) -> None:
        """Do now what the end of the turn would do, because somebody looks."""
        if self._upkeep is not None:
            self._upkeep.refresh()
        elif self in self._turn.dispatchers:
            del self._turn.dispatchers[self]
            self.dispatch()

    def purge(self) -> int:
        """Drop what is ready; return how many messages that were."""
        self.catch_up()
        if self._upkeep is not None:
            self._upkeep.purged()
        return self.light.purge()

    def dispatch(self) -> None:
        """Hand out what the consumers take: each in turn one message, as RabbitMQ does."""
        if self._watchers is not None:
            self._watchers.call_due()
        line = self._line
        if line is not None and not self.paused:
            if line.held:
                line.let_go()
            if line.choosers is not None:
                line.choosers.deliver(line.active)
            if line.members and self.light.ready_count:
                self._deliver(line)
        if self._upkeep is not None:
            self._upkeep.tidy()

    # Reading, without taking anything

    def read(self, offset: int, count: int) -> list[tuple[int, Message]]:
        """Messages from `offset` on, with their offsets; nothing changes."""
        return self.light.read(offset, count)

    def watch(self, callback: Callable[[], None]) -> Callable[[], None]:
        """Call `callback` once when the next message is appended; returns how to cancel that."""
        if self._watchers is None:
            self._watchers = Watchers(self.light, self._listen)
        return self._watchers.add(callback)

    def is_own_group(self, group: str) -> bool:
        """Is this the group of the queue's name, which is the queue itself?"""
        return group == self.name

    def deleted(self) -> None:
        """The queue is gone: tell those who waited."""
        self.stop()
        line, self._line = self._line, None
        watchers, self._watchers = self._watchers, None
        for consumer in line.consumers if line is not None else ():
            consumer.cancelled()
        for watcher in watchers.take_all() if watchers is not None else ():
            watcher()

    # The rest is private

    def _begin(self) -> None:
        """Look after what the options ask for, from the start."""
        self._set_limits()

    def _options(self) -> QueueOptions:
        return parse_options(effective_arguments(self.arguments, self.policies.definition))

    def _set_limits(self) -> None:
        """From now on, look after what the options limit."""
        options = self.options
        self.light.guarded = options.may_refuse
        if self._upkeep is not None:
            self._upkeep.follow(options)
        elif options.needs_upkeep or self.ttl_history:
            self.keep_up()

    def _join(self, consumer: Consumer, terms: Terms = PLAIN_TERMS, *, waits: bool = False) -> None:
        """One more consumer, which may consume."""
        self._line = self._line or Line(self)
        self._line.add(consumer, terms, waits=waits)
        self._lease.stop()
        self._listen()
        self.wake()

    def _listen(self) -> None:
        """Have the core tell of new messages only if somebody waits for them."""
        waited_for = self.is_consumed or self._watchers or self._upkeep is not None
        self.light.dispatcher = self if waited_for else None
        if isinstance(self.light, LightQueue):
            consumer = self._sole_consumer()
            self.light.hand_to(None if consumer is None else consumer.taker)

    def _sole_consumer(self) -> Consumer | None:
        """Who gets whatever comes, if it is only up to him."""
        line = self._line
        if line is None or len(line.consumers) != 1 or self.paused or self._watchers:
            return None
        if line.choosers is not None or self._upkeep is not None:
            return None
        return next(iter(line.consumers))

    def _deliver(self, line: Line) -> None:
        """Hand out one helping, and come again in the next round if there is more."""
        takers = line.takers(max(2, min(self.light.ready_count, _TAKE_COUNT_MAX)))
        if not takers:
            return
        if len(takers) > 1:
            line.deal(takers, _TAKE_COUNT_MAX)
        else:
            consumer, credit = takers[0]
            light = self.light
            spans = self.take_spans(min(credit, _TAKE_COUNT_MAX))
            for first_offset, messages, redelivered in spans:
                consumer.deliver(self, first_offset, messages, redelivered)
                if consumer.no_ack:
                    light.settle(first_offset, first_offset + len(messages))
        if self.light.ready_count:
            self._turn.dispatchers[self] = None
