"""A light queue: one ordered sequence of messages, and the consumer group of the same name.

It joins an index (where the messages are), a window (what the group did with them) and the
progress journal (what of it a restart must know). Other groups only read: each has an offset of
its own, and what they have not read yet is kept for them.

This is on the hot path: work is done per run of messages, not per message.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

from core.consume_queue import VOLATILE_BASE, ConsumeQueue, unpack_place
from core.index_log import IndexLog
from core.offset_set import OffsetSet
from core.progress import Progress
from core.readable_queue import TAKE_SIZE_MAX, Head, ReadableQueue, Span
from core.store import Store
from core.stretches import Stretches
from core.turn import Dispatcher, Turn
from core.window import Window

if TYPE_CHECKING:
    from core.handing import Receiver, Takers
    from core.indexing import Indexing


class Taker(Protocol):
    """Who takes what comes while nothing waits, past the turn's dispatching."""

    @property
    def receiver(self) -> Receiver:
        """To whom he belongs, with other queues' takers."""

    def take_one(self, offset: int, message: Any) -> bool:
        """Take one new message, if there is room for it; say whether he did."""


class LightQueue(ReadableQueue):
    """One queue of the model; `id` is for ever, and names it in routes and journals."""

    __slots__ = (
        "_dispatcher",
        "_durable_end",
        "_index",
        "_indexing",
        "_keeps_for_groups",
        "_progress",
        "_ready_count",
        "_retained_from",
        "_turn",
        "_window",
        "counts_returns",
        "deleted",
        "durable",
        "group_offsets",
        "guarded",
        "id",
        "is_target",
        "keeps_all",
        "only_read",
        "taker",
        "takers",
    )

    def __init__(
        self,
        id: int,
        durable: bool,
        store: Store,
        progress: Progress,
        turn: Turn,
        indexing: Indexing,
    ) -> None:
        super().__init__(store)
        self.id = id
        self.durable = durable
        self.group_offsets: dict[str, int] = {}
        self.deleted = False
        self.guarded = False  # Must whoever appends ask the layer above first?
        self.is_target = True  # Has a message that goes only here found somebody?
        self.keeps_all = False  # Does it keep over a restart what is not persistent, too?
        self.only_read = False  # Is it there for other groups, and nobody takes from it?
        self._keeps_for_groups = True  # Does it hold what other groups have not read yet?
        self._retained_from = 0  # Nothing below it is kept for them.
        self.counts_returns = False  # Does a restart know how often each message came back?
        self.taker: Taker | None = None  # Only changed by `hand_to`,
        self.takers: Takers | None = None  # and this by them: while there are any, see `handing`.
        self._index = ConsumeQueue()
        self._window = Window()
        self._ready_count = 0
        self._dispatcher: Dispatcher | None = None
        self._progress = progress
        self._turn = turn
        self._indexing = indexing
        self._durable_end = 0  # Behind it only transient messages were appended.

    @property
    def dispatcher(self) -> Dispatcher | None:
        """Who hands out what becomes ready; while there is nobody, entries may be owed."""
        return self._dispatcher

    @dispatcher.setter
    def dispatcher(self, dispatcher: Dispatcher | None) -> None:
        if (dispatcher is None) is not (self._dispatcher is None):
            self._indexing.changed()
            self.hand_to(None)
        self._dispatcher = dispatcher

    @property
    def index(self) -> ConsumeQueue:
        """Where the messages are."""
        if self._dispatcher is None:
            self._indexing.settle()
        self._leave_takers()
        return self._index

    @property
    def window(self) -> Window:
        """What the group did with them."""
        self._leave_takers()
        return self._window

    @property
    def ready_count(self) -> int:
        """How many messages wait to be delivered."""
        if self._dispatcher is None:
            self._indexing.settle()
        return self._ready_count

    @property
    def lanes(self) -> dict[int, LightQueue]:
        """What `lanes.Lanes` has several of: without them, the queue is level 0."""
        return {0: self}

    @property
    def delivered_end(self) -> int:
        """Behind it, nothing was ever delivered."""
        return self.window.delivered_end

    @property
    def in_flight_count(self) -> int:
        """Messages that were taken, and neither settled nor released."""
        return self.window.in_flight_count

    @property
    def min_offset(self) -> int:
        """The queue offset of the oldest message that is still held."""
        return self.index.min_offset

    @property
    def max_offset(self) -> int:
        """The queue offset that the next message gets."""
        return self.index.max_offset

    @property
    def appended_count(self) -> int:
        """How many messages it was ever given, about: it grows with each."""
        return self.index.max_offset

    def ends(self) -> dict[int, int]:
        """For each level of `lanes`, the offset that its next message gets."""
        return {0: self.index.max_offset}

    def delivery_count(self, offset: int) -> int:
        """How often a message was delivered before, as far as that is known."""
        window = self.window
        return window.delivery_counts.get(offset, int(offset < window.redelivered_below))

    @property
    def last_run_offset(self) -> int:
        """Where the newest run begins; `max_offset` if nothing is held."""
        return self.index.last_run_offset

    @property
    def has_redeliveries(self) -> bool:
        """Was anything that is held, or was held until now, delivered before?"""
        window = self.window
        return bool(window.delivery_counts) or window.redelivered_below > window.floor

    def append(self, log_offset: int, first: int, count: int, is_kept: bool) -> int:
        """`count` messages of a record, from its message `first` on, belong to this queue.

        `is_kept` says whether a restart would bring them back to a durable queue. Returns how many
        index entries refer to the record for it: one, or none if it is deleted.
        """
        if self.deleted:
            return 0
        start = self.index.append(log_offset, first, count)
        self._ready_count += count
        if self.durable:
            if is_kept and log_offset < VOLATILE_BASE:
                self._durable_end = start + count
            else:
                self._progress.gap(self.id, start, start + count)
                self._index.mark_transient()
        if self._dispatcher is not None:
            self._turn.dispatchers[self._dispatcher] = None
        return 1

    def hand_to(self, taker: Taker | None) -> None:
        """What comes while nothing waits is for `taker` first.

        There must be a dispatcher: it hands out what was not taken.
        """
        self._leave_takers()
        self.taker = taker

    def hand_over(self, log_offset: int, place: int, message: Any, is_kept: bool) -> int | None:
        """One new message, as in `append`, goes straight to the taker, past the turn's dispatching.

        None if it has to be appended instead: nobody takes it, or it is not its turn, or anything
        is unusual. This is `append`, `take` and, if the taker settles, `settle` in one.
        """
        taker = self.taker
        if taker is None or (self.durable and not is_kept) or not self.may_be_owed:
            return None
        self._leave_takers()
        offset = self._index.max_offset
        if not taker.take_one(offset, message):
            return None
        if not taker.receiver.settles:
            self.enter(log_offset, place, False)
            if self.durable:
                self._progress.delivered(self.id, offset + 1)
            return 1
        self.pass_by(1)
        if self.durable:
            self._progress.settled(self.id, offset, offset + 1)
        return 0

    @property
    def may_be_owed(self) -> bool:
        """Does nothing wait, so that what comes may go past what was entered?"""
        window, offset = self._window, self._index.max_offset
        assert self.taker is not None
        return (
            not self._ready_count
            and window.next_offset == offset
            and window.redelivered_below <= offset
            and not self.group_offsets
            and (window.floor == offset or not self.taker.receiver.settles)
        )

    @property
    def is_caught_up(self) -> bool:
        """Is all that was entered settled?"""
        return self._window.floor == self._index.max_offset

    def pass_by(self, count: int) -> None:
        """So many messages came, went past what was entered, and are settled."""
        self._index.skip(count)
        self._window.skip_to(self._index.max_offset)
        if self.durable:
            self._durable_end = self._index.max_offset

    def enter(self, log_offset: int, place: int, is_settled: bool) -> int:
        """One message that came is in flight, or settled; return its offset."""
        window, index = self._window, self._index
        offset = index.max_offset
        if is_settled and (window.floor == offset or not self.durable):
            self.pass_by(1)
            return offset
        index.append(log_offset, place, 1)
        window.next_offset = offset + 1
        window.in_flight_count += 1
        if is_settled:
            window.settle(offset, offset + 1)
        if self.durable:
            self._durable_end = offset + 1
        return offset

    def append_runs(
        self,
        log_offsets: array[int],
        places: array[int],
        are_singles: bool,
        is_kept: bool,
        are_in_log: bool,
    ) -> None:
        """Many runs, that nobody waits for: see `ConsumeQueue.append_runs`, and `append`.

        `are_in_log` says that none is of a transient batch; else they are looked through for that.
        """
        if self.durable and not (is_kept and (are_in_log or max(log_offsets) < VOLATILE_BASE)):
            for log_offset, place in zip(log_offsets, places, strict=True):
                self.append(log_offset, *unpack_place(place), is_kept)
            return
        start = self._index.max_offset
        self._index.append_runs(log_offsets, places, are_singles)
        self._ready_count += self._index.max_offset - start
        if self.durable:
            self._durable_end = self._index.max_offset

    def take(self, count: int) -> list[Span]:
        """At most `count` ready messages go in flight: returned ones first, then in order.

        Fewer if they are large. The caller has them settled or released later.
        """
        spans: list[Span] = []
        window, index = self.window, self.index
        size = 0
        never_delivered = window.next_offset
        fetch = self._store.fetch
        while count > 0 and size < TAKE_SIZE_MAX and self._ready_count > 0:
            if window.returned and window.is_return_next():
                known = len(spans)
                size += self._take_returned(spans)
                count -= len(spans) - known
                continue
            run = index.run_at(window.begin_run())
            assert run is not None, "what is ready is in the index"
            start, log_offset, first, held = run
            if start != window.next_offset:
                window.skip_to(start)
            redelivered = start < window.redelivered_below
            taken = window.take(count if count < held else held)
            self._ready_count -= taken
            try:
                messages, messages_size = fetch(log_offset, first, taken)
            except OSError:
                self._untake(taken)
                raise
            if not messages:
                self.settle(start, start + taken)
                continue
            if messages_size > TAKE_SIZE_MAX and taken > 1:
                messages = messages[: max(1, taken * TAKE_SIZE_MAX // messages_size)]
                self._untake(taken - len(messages))
                taken = count = len(messages)
            count -= taken
            size += messages_size
            spans.append((start, messages, redelivered))
        if self.durable and never_delivered < min(window.next_offset, self._durable_end):
            self._progress.delivered(self.id, window.delivered_end)
        return spans

    def peek(self, count: int) -> Head | None:
        """What `take` would give first; None if nothing is ready."""
        window, index = self.window, self.index
        while self._ready_count > 0:
            is_returned = window.is_return_next()
            offset = window.lowest_returned if is_returned else window.begin_run()
            run = index.run_at(offset)
            assert run is not None, "what is ready is in the index"
            start, log_offset, first, held = run
            if is_returned:
                held = 1
            else:
                window.skip_to(start)
                held = window.ahead(min(count, held))
            messages, _ = self._store.fetch(log_offset, first, held)
            if messages:
                return start, messages, self._store.timestamp_ms(log_offset)
            if is_returned:
                window.take_returned()
            else:
                window.take(held)
            self._ready_count -= held
            self.settle(start, start + held)
        return None

    def _take_returned(self, spans: list[Span]) -> int:
        """Take the lowest returned message; return about how large it is."""
        window = self.window
        offset = window.lowest_returned
        run = self._index.run_at(offset)
        messages: Sequence[Any] = ()
        size = 0
        if run is not None:
            messages, size = self._store.fetch(run[1], run[2], 1)
        window.take_returned()
        self._ready_count -= 1
        if messages:
            spans.append((offset, messages, True))
        else:
            self.settle(offset, offset + 1)
        return size

    def ready_from(self, position: int, count: int) -> tuple[list[tuple[int, Any]], int]:
        """Look at messages that `take` would give, and that never returned, from `position` on.

        They are consecutive, at most `count`. Where none is ready, the next ones behind it. Returns
        them, and where to look next: the end of the queue if there is no more.
        """
        start, end = self.window.ready_from(position)
        stop = min(start + count, self.max_offset)
        if end is not None:
            stop = min(stop, end)
        if start >= stop:
            return [], start
        entries = [entry for entry in self.read(start, stop - start) if entry[0] < stop]
        return entries, entries[-1][0] + 1 if entries else stop

    def take_at(self, offset: int) -> bool:
        """One message that is ready goes in flight out of its turn; was it delivered before?"""
        window = self.window
        self._indexing.settle()
        redelivered = window.is_returned(offset) or window.is_redelivered(offset)
        window.take_at(offset)
        self._ready_count -= 1
        if self.durable and not redelivered and offset < self._durable_end:
            self._progress.delivered(self.id, window.delivered_end)
        return redelivered

    def is_returned(self, offset: int) -> bool:
        """Does this message wait to be delivered again?"""
        return self.window.is_returned(offset)

    def returned_offsets(self) -> list[int]:
        """What waits to be delivered again, lowest first."""
        return sorted(self.window.returned)

    def is_ready(self, offset: int) -> bool:
        """Could this message, which is held, be taken now?"""
        return self.window.is_ready(offset)

    def _untake(self, count: int) -> None:
        """The last `count` messages of the last run stay in the queue after all."""
        self.window.untake(count)
        self._ready_count += count

    def settle(self, start: int, end: int) -> None:
        """Messages in flight, `start` up to not including `end`, are done with."""
        if self.deleted:
            return
        self._window.settle(start, end)  # They were entered, whatever is owed behind them.
        if self.durable and start < self._durable_end:
            self._progress.settled(self.id, start, end)
        self._trim()

    def release(self, offsets: Iterable[int]) -> None:
        """Messages in flight go back to their places, to be delivered again."""
        if self.deleted:
            return
        for offset in offsets:
            self.window.release(offset)
            self._ready_count += 1
            if self.counts_returns:
                self._note_return(offset)
        if self._dispatcher is not None:
            self._turn.dispatchers[self._dispatcher] = None

    def count_return(self, offset: int) -> None:
        """A message in flight is wanted by nobody now, but stays in flight: somebody else has it.

        That is whoever wants to deliver it again in another order than that of the offsets.
        """
        self.window.count_return(offset)
        if self.counts_returns:
            self._note_return(offset)
        if self._dispatcher is not None:
            self._turn.dispatchers[self._dispatcher] = None

    def purge(self, end: int | None = None) -> int:
        """Drop what is ready, or of a queue that nobody takes from, what is below `end`.

        Returns how many messages that were.
        """
        max_offset = self.max_offset
        count, intervals = self.window.purge(max_offset if end is None else end)
        if self.durable:
            for start, stop in intervals:
                self._progress.settled(self.id, start, stop)
        self._ready_count -= count
        self._trim()
        return count

    @property
    def next_place(self) -> tuple[int, int]:
        """Where the first message lies that was never delivered: its record, and which it is.

        Of two durable messages the older one has the lower place. There must be one.
        """
        run = self.index.run_at(self.window.begin_run())
        assert run is not None
        return run[1], run[2]

    @property
    def run_count(self) -> int:
        """How many runs of its index are in memory, but for what is owed."""
        return len(self._index)

    def spill(self, index_log: IndexLog) -> None:
        """Move what is in memory of its index to files. Raises `OSError` if the disk refuses."""
        self._index.spill(Stretches(index_log, self.id))

    def commit_group_offset(self, group: str, group_id: int, offset: int) -> None:
        """Another group has consumed all below `offset`, and may be given it back by asking."""
        self._leave_takers()
        self.group_offsets[group] = offset
        if self.durable:
            self._progress.committed(group_id, offset)
        self._trim()

    def keep_nothing_for_groups(self) -> None:
        """What this group is done with goes, whether another one has read it or not."""
        self._keeps_for_groups = False
        self._trim()

    def retain(self, since_ms: int) -> None:
        """What was stored before that is kept for no other group any more, read or not."""
        offset = self.search_timestamp(since_ms)
        if offset > self._retained_from:
            self._retained_from = offset
            if self.only_read:
                self.purge(offset)
            else:
                self._trim()

    def restore(
        self,
        index: ConsumeQueue,
        floor: int,
        delivered_below: int,
        settled: OffsetSet,
        durable_end: int,
        return_counts: dict[int, int],
    ) -> None:
        """Begin after a restart with what the checkpoint, the log and the journal know."""
        self._index = index
        self._window = Window(floor)
        settled.discard(0, floor)
        for start, end in index.gaps(floor):
            settled.add(start, end)
        self.window.delivery_counts = {
            offset: count
            for offset, count in return_counts.items()
            if offset >= floor and not settled.holds(offset)
        }
        self.window.restore(settled, delivered_below)
        self._durable_end = durable_end
        self._count_ready()
        self._trim()

    def rewind(self, start: int, older: Iterable[ConsumeQueue]) -> int:
        """All from `start` on is ready that is not in flight, and still or again in the index.

        But what would not survive a restart, and is settled, stays so, though it may be held yet.
        `older` is what comes before the index, newest first, and this group was done with.
        Returns how many messages more are ready than before. Only a checkpoint makes it last.
        """
        before = self.ready_count
        index, window = self.index, self.window
        for each in older:
            index.prepend(each)
        window.rewind(start, OffsetSet(index.gaps(start)), OffsetSet(index.passing(start)))
        self._count_ready()
        if self.dispatcher is not None:
            self._turn.dispatchers[self.dispatcher] = None
        return self.ready_count - before

    def drop(self) -> None:
        """The queue is deleted: let go of all its messages."""
        self._indexing.changed()
        self.hand_to(None)
        self.deleted = True
        self.guarded = False  # Whoever still has a route need not ask: nothing is appended.
        self._dispatcher = None
        self._ready_count = 0
        for log_offset in self._index.drop_before(self._index.max_offset):
            if log_offset >= VOLATILE_BASE:
                self._store.release(log_offset)

    def _leave_takers(self) -> None:
        """Get what is owed by them, and nothing more from them."""
        if self.takers is not None:
            self.takers.leave(self)

    def _count_ready(self) -> None:
        window = self._window
        self._ready_count = self._index.max_offset - window.floor - window.in_flight_count
        if window.settled is not None:
            self._ready_count -= window.settled.count()

    def _note_return(self, offset: int) -> None:
        if self.durable and offset < self._durable_end:
            self._progress.returned(self.id, offset, self.window.delivery_counts[offset])

    def _trim(self) -> None:
        """Forget the entries that neither this group nor another one needs."""
        floor = self._window.floor
        if self.group_offsets and self._keeps_for_groups:
            floor = min(floor, max(min(self.group_offsets.values()), self._retained_from))
        for log_offset in self._index.drop_before(floor):
            if log_offset >= VOLATILE_BASE:
                self._store.release(log_offset)
