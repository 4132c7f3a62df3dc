"""Consumers that want only some messages of a queue, and leave the rest to others."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from gateway.declarations import QueueDeclaration
from gateway.errors import AccessRefusedError, PreconditionFailedError
from gateway.messages import Envelope, Message, Properties
from gateway.queues.consumer import Terms
from gateway.queues.queue import Queue
from gateway.queues.selective_consumers import LOOK_COUNT_MAX
from gateway.queues.selectors import Selects
from tests.support.topology import LiveGateway, Taker, bodies, header


def only(first: bytes) -> Selects:
    """Messages whose body begins so."""
    return lambda message: message[2].startswith(first)


def even(message: Message) -> bool:
    return int(message[2]) % 2 == 0


@pytest.fixture
def live(tmp_path: Path) -> LiveGateway:
    return LiveGateway(tmp_path / "data")


@pytest.fixture
def queue(live: LiveGateway) -> Queue:
    return live.host.declare_queue(QueueDeclaration("q", durable=True))


def fill(live: LiveGateway, count: int, start: int = 0) -> None:
    for number in range(start, start + count):
        live.publish("", "q", b"%d" % number)


def finish(live: LiveGateway) -> None:
    """Let everything happen that waits only for others to have their turn."""
    live.gateway.turn.end()
    while pauses(live):
        live.clock.advance(0)


def pauses(live: LiveGateway) -> int:
    """How many calls are due at once."""
    now = live.clock.seconds()
    return sum(call.getTime() <= now for call in live.clock.getDelayedCalls())


def test_gets_what_it_wants_in_order_and_leaves_the_rest(live: LiveGateway, queue: Queue) -> None:
    fill(live, 4)
    taker = Taker(credit=3)
    queue.subscribe(taker, Terms(selects=even))
    live.gateway.turn.end()
    fill(live, 4, start=4)
    assert taker.got == [(0, b"0", False), (2, b"2", False), (4, b"4", False)]
    assert (queue.ready_count, queue.unsettled_count, queue.consumer_count) == (5, 3, 1)
    assert bodies(queue) == [b"1", b"3", b"5", b"6", b"7"]
    for offset in (4, 0, 2):
        queue.settle(offset, offset + 1)
    assert queue.light.window.floor == 8
    assert len(queue.light.index) == 0


def test_others_get_the_rest(live: LiveGateway, queue: Queue) -> None:
    choosy, other = Taker(credit=2), Taker()
    queue.subscribe(other)
    queue.subscribe(choosy, Terms(selects=even))
    fill(live, 8)
    assert choosy.bodies == [b"0", b"2"]
    assert other.bodies == [b"1", b"3", b"4", b"5", b"6", b"7"]
    assert queue.ready_count == 0


def test_equals_take_turns(live: LiveGateway, queue: Queue) -> None:
    takers = [Taker() for _ in range(3)]
    for taker in takers:
        queue.subscribe(taker, Terms(selects=even))
    fill(live, 20)
    assert [taker.bodies for taker in takers] == [
        [b"0", b"6", b"12", b"18"],
        [b"2", b"8", b"14"],
        [b"4", b"10", b"16"],
    ]
    fill(live, 1, start=20)
    assert takers[1].bodies[-1] == b"20"


def test_a_higher_priority_comes_first(live: LiveGateway, queue: Queue) -> None:
    low, high = Taker(), Taker(credit=2)
    queue.subscribe(low, Terms(selects=even))
    queue.subscribe(high, Terms(arguments={"x-priority": 3}, selects=even))
    fill(live, 8)
    assert (high.bodies, low.bodies) == ([b"0", b"2"], [b"4", b"6"])


def test_what_comes_back_is_looked_at_again_in_its_place(live: LiveGateway, queue: Queue) -> None:
    fill(live, 8)
    first = Taker(credit=3)
    queue.subscribe(first, Terms(selects=even))
    live.gateway.turn.end()
    queue.unsubscribe(first)
    other = Taker(credit=1)
    queue.subscribe(other)
    live.gateway.turn.end()
    second = Taker()
    queue.subscribe(second, Terms(selects=even))
    live.gateway.turn.end()
    assert (other.bodies, second.bodies) == ([b"1"], [b"6"])
    queue.release([4, 0, 1])
    live.gateway.turn.end()
    assert second.got[1:] == [(0, b"0", True), (4, b"4", True)]
    queue.unsubscribe(second)
    queue.unsubscribe(other)
    queue.release([2, 6])
    assert [(each.offset, each.redelivered) for each in queue.take(9)] == [
        (1, True), (2, True), (3, False), (5, False), (6, True), (7, False),
    ]  # fmt: skip


def test_a_late_one_finds_what_has_come_back(live: LiveGateway, queue: Queue) -> None:
    fill(live, 4)
    queue.take(3)
    queue.release([2, 0, 1])
    taker = Taker()
    queue.subscribe(taker, Terms(selects=even))
    live.gateway.turn.end()
    assert taker.got == [(0, b"0", True), (2, b"2", True)]


def test_no_message_is_looked_at_twice(live: LiveGateway, queue: Queue) -> None:
    seen: list[bytes] = []

    def nothing(message: Message) -> bool:
        seen.append(message[2])
        return False

    queue.subscribe(Taker(), Terms(selects=nothing))
    for start in range(0, 50, 10):
        fill(live, 10, start)
    assert seen == [b"%d" % number for number in range(50)]
    assert queue.ready_count == 50


def test_a_turn_looks_at_so_many(live: LiveGateway, queue: Queue) -> None:
    """Then others have their turn; what is appended meanwhile does not make it any longer."""
    fill(live, 3 * LOOK_COUNT_MAX)
    seen = 0

    def last(message: Message) -> bool:
        nonlocal seen
        seen += 1
        return int(message[2]) >= 3 * LOOK_COUNT_MAX - 1

    taker = Taker()
    queue.subscribe(taker, Terms(selects=last))
    live.gateway.turn.end()
    assert seen == LOOK_COUNT_MAX
    fill(live, 1, start=10_000)
    assert seen == LOOK_COUNT_MAX
    assert pauses(live) == 1
    finish(live)
    assert seen == 3 * LOOK_COUNT_MAX + 1
    assert taker.bodies == [b"%d" % (3 * LOOK_COUNT_MAX - 1), b"10000"]
    assert pauses(live) == 0


def test_nobody_waits_for_ever_behind_those_who_look_long(live: LiveGateway, queue: Queue) -> None:
    fill(live, LOOK_COUNT_MAX * 2)
    for _ in range(40):
        queue.subscribe(Taker(), Terms(selects=only(b"x")))
    lucky = Taker()
    queue.subscribe(lucky, Terms(selects=even))
    live.gateway.turn.end()
    finish(live)
    assert len(lucky.bodies) == LOOK_COUNT_MAX


def test_a_pause_ends_with_the_last_consumer_and_with_the_queue(
    live: LiveGateway, queue: Queue
) -> None:
    fill(live, 2 * LOOK_COUNT_MAX)
    taker = Taker()
    queue.subscribe(taker, Terms(selects=only(b"x")))
    live.gateway.turn.end()
    assert pauses(live) == 1
    queue.unsubscribe(taker)
    assert pauses(live) == 0
    queue.subscribe(taker, Terms(selects=only(b"x")))
    live.gateway.turn.end()
    live.host.delete_queue("q")
    assert taker.is_cancelled
    assert pauses(live) == 0


def test_what_it_took_without_acknowledgement_is_settled(live: LiveGateway, queue: Queue) -> None:
    taker = Taker(no_ack=True)
    queue.subscribe(taker, Terms(selects=even))
    fill(live, 5)
    assert taker.bodies == [b"0", b"2", b"4"]
    assert (queue.ready_count, queue.unsettled_count) == (2, 0)


def test_a_head_that_nobody_wants_does_not_cost_more_with_time(
    live: LiveGateway, queue: Queue
) -> None:
    taker = Taker(credit=1 << 20, no_ack=True)
    queue.subscribe(taker, Terms(selects=lambda message: message[2] != b"0"))
    fill(live, 1000)
    finish(live)
    assert len(taker.got) == 999
    window = queue.light.window
    assert list(window.settled.runs()) == [(1, 1000)]
    assert window._skips is not None
    assert len(window._skips) == 1


def test_a_restart_brings_back_what_was_not_settled(live: LiveGateway, queue: Queue) -> None:
    fill(live, 6)
    taker = Taker()
    queue.subscribe(taker, Terms(selects=even))
    live.gateway.turn.end()
    queue.settle(2, 3)
    live.gateway.turn.end()
    live = live.restart()
    queue = live.host.queues["q"]
    assert queue.ready_count == 5
    taken = {each.message[2]: each.redelivered for each in queue.take(10)}
    # 1 and 3 were only passed by: one mark per queue tells what may have been delivered.
    assert taken == {b"0": True, b"1": True, b"3": True, b"4": True, b"5": False}


def test_counts_as_a_consumer(live: LiveGateway, queue: Queue) -> None:
    taker = Taker()
    queue.subscribe(taker, Terms(selects=even))
    with pytest.raises(PreconditionFailedError, match="in use"):
        live.host.delete_queue("q", if_unused=True)
    with pytest.raises(AccessRefusedError):
        queue.subscribe(Taker(), Terms(exclusive=True))
    queue.unsubscribe(taker)
    queue.unsubscribe(taker)
    queue.subscribe(taker, Terms(exclusive=True, selects=even))
    with pytest.raises(AccessRefusedError):
        queue.subscribe(Taker())


def test_the_last_one_takes_an_auto_delete_queue_with_it(live: LiveGateway) -> None:
    queue = live.host.declare_queue(QueueDeclaration("a", auto_delete=True))
    taker = Taker()
    queue.subscribe(taker, Terms(selects=even))
    queue.unsubscribe(taker)
    assert "a" not in live.host.queues


def test_only_the_active_consumer_gets_anything(live: LiveGateway) -> None:
    queue = live.host.declare_queue(
        QueueDeclaration("q", arguments={"x-single-active-consumer": True})
    )
    choosy, other = Taker(), Taker()
    queue.subscribe(choosy, Terms(selects=even))
    queue.subscribe(other)
    fill(live, 4)
    assert (choosy.bodies, other.bodies) == ([b"0", b"2"], [])
    queue.unsubscribe(choosy)
    live.gateway.turn.end()
    assert other.bodies == [b"1", b"3"]
    late = Taker()
    queue.subscribe(late, Terms(selects=even))
    fill(live, 1, start=4)
    assert (late.bodies, other.bodies) == ([], [b"1", b"3", b"4"])


def test_deadlines_and_limits_hold(live: LiveGateway) -> None:
    arguments = {"x-message-ttl": 1000, "x-max-length-bytes": 3}
    queue = live.host.declare_queue(QueueDeclaration("q", arguments=arguments))
    taker = Taker(credit=0)
    queue.subscribe(taker, Terms(selects=even))
    fill(live, 4)
    assert queue.ready_count == 3
    taker.left = 1
    queue.wake()
    live.gateway.turn.end()
    assert taker.bodies == [b"2"]
    fill(live, 2, start=4)
    assert [entry[1][2] for entry in queue.read(0, 9) if entry[0] != 2] == [b"3", b"4", b"5"]
    live.clock.advance(2)
    assert queue.ready_count == 0
    taker.left = 9
    fill(live, 1, start=6)
    assert taker.bodies == [b"2", b"6"]


def test_what_is_past_its_time_in_the_middle_is_not_delivered(live: LiveGateway) -> None:
    queue = live.host.declare_queue(QueueDeclaration("q", arguments={"x-message-ttl": 1000}))
    fill(live, 3)
    live.clock.advance(0.5)
    fill(live, 2, start=3)
    # The head is in flight, so that nothing behind it expires by itself.
    taker = Taker()
    queue.light.take(1)
    live.clock.advance(0.7)
    queue.subscribe(taker, Terms(selects=even))
    live.gateway.turn.end()
    assert taker.bodies == [b"4"]


def test_higher_messages_come_first(live: LiveGateway) -> None:
    queue = live.host.declare_queue(QueueDeclaration("q", arguments={"x-max-priority": 5}))
    taker = Taker(credit=0)
    queue.subscribe(taker, Terms(selects=even))
    for number, priority in enumerate((0, 1, 5, 1, 9)):
        sent = header()
        sent.properties = Properties(priority=priority)
        route = live.host.route("", "q", sent)
        live.host.intake.publish(
            [(route, (Envelope("", "q"), sent, b"%d" % number), b"%d" % number)]
        )
    taker.left = 2
    queue.wake()
    live.gateway.turn.end()
    assert taker.bodies == [b"2", b"4"]
    queue.release([taker.got[1][0]])
    taker.left = 9
    queue.wake()
    live.gateway.turn.end()
    assert taker.bodies == [b"2", b"4", b"4", b"0"]
    assert bodies(queue) == [b"1", b"3"]


class SelectiveMachine(RuleBasedStateMachine):
    """Whoever wants what, and whatever comes back: nothing is lost, doubled, or left behind."""

    WANTS = (None, b"a", b"b", b"")

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.live = LiveGateway(Path(self.folder.name) / "data")
        self.live.host.declare_queue(QueueDeclaration("q", durable=True))
        self.count = 0
        self.ready: set[bytes] = set()
        self.in_flight: dict[int, bytes] = {}
        self.takers: dict[Taker, bytes | None] = {}
        self.seen: dict[Taker, int] = {}

    def teardown(self) -> None:
        if hasattr(self, "live"):
            self.live.gateway.stop()
            self.folder.cleanup()

    @property
    def queue(self) -> Queue:
        return self.live.host.queues["q"]

    @rule(letters=st.text("abc", min_size=1, max_size=5))
    def publish(self, letters: str) -> None:
        for letter in letters:
            body = b"%b%d" % (letter.encode(), self.count)
            self.count += 1
            self.ready.add(body)
            self.live.publish("", "q", body)

    @rule(wants=st.sampled_from(WANTS), credit=st.integers(0, 4))
    def subscribe(self, wants: bytes | None, credit: int) -> None:
        taker = Taker(credit)
        self.takers[taker], self.seen[taker] = wants, 0
        self.queue.subscribe(taker, Terms(selects=None if wants is None else only(wants)))

    @rule(data=st.data())
    def unsubscribe(self, data: st.DataObject) -> None:
        if self.takers:
            taker = data.draw(st.sampled_from(list(self.takers)))
            self.collect()
            del self.takers[taker]
            self.queue.unsubscribe(taker)

    @rule(credit=st.integers(1, 4), data=st.data())
    def give_credit(self, credit: int, data: st.DataObject) -> None:
        if self.takers:
            data.draw(st.sampled_from(list(self.takers))).left += credit
            self.queue.wake()

    @rule(count=st.integers(1, 3))
    def get(self, count: int) -> None:
        expected = sorted(self.ready, key=_number)[:count]
        taken = self.queue.take(count)
        assert [each.message[2] for each in taken] == expected
        self.ready.difference_update(expected)
        self.in_flight.update((each.offset, each.message[2]) for each in taken)

    @rule(data=st.data(), settles=st.booleans())
    def finish(self, data: st.DataObject, settles: bool) -> None:
        if not self.in_flight:
            return
        offsets = data.draw(st.sets(st.sampled_from(sorted(self.in_flight)), min_size=1))
        for offset in offsets:
            body = self.in_flight.pop(offset)
            if settles:
                self.queue.settle(offset, offset + 1)
            else:
                self.ready.add(body)
        if not settles:
            self.queue.release(offsets)

    @rule()
    def purge(self) -> None:
        assert self.queue.purge() == len(self.ready)
        self.ready.clear()

    @rule()
    def restart(self) -> None:
        self.collect()
        self.live = self.live.restart()
        self.ready.update(self.in_flight.values())
        self.in_flight.clear()
        self.takers.clear()

    def collect(self) -> None:
        """Finish, and take note of what everybody got."""
        finish(self.live)
        for taker, wants in self.takers.items():
            new, self.seen[taker] = taker.got[self.seen[taker] :], len(taker.got)
            for offset, body, _ in new:
                self.ready.remove(body)
                assert body.startswith(wants or b"")
                self.in_flight[offset] = body

    @invariant()
    def nothing_is_left_that_somebody_takes(self) -> None:
        if not hasattr(self, "live"):
            return
        self.collect()
        for taker, wants in self.takers.items():
            if taker.left:
                assert not any(body.startswith(wants or b"") for body in self.ready)
        assert self.queue.ready_count == len(self.ready)
        assert self.queue.unsettled_count == len(self.in_flight)


def _number(body: bytes) -> int:
    return int(body[1:])


TestSelective = SelectiveMachine.TestCase
TestSelective.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)
