"""Timers fire at their times, once, in order; nothing that happens to the broker loses one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.light_queue import LightQueue
from core.timer_record import Timer, TimerId
from core.timers import DueTimer
from tests.support.disk import FullDisk
from tests.support.live_broker import ORIGIN, LiveBroker, bodies, cut_log


@dataclass
class Alarm:
    """A broker, and an owner of timers who publishes them to a queue."""

    live: LiveBroker
    queue: LightQueue
    owner: int
    durable: bool = True
    fired: list[DueTimer] = field(default_factory=list)

    @classmethod
    def begin(cls, directory: Path, **changes: Any) -> Alarm:
        live = LiveBroker(directory, **changes)
        alarm = cls(live, live.declare(), 0)
        alarm.owner = live.broker.add_timer_owner("ours", alarm.publish)
        live.disk.held = True
        return alarm

    def publish(self, due: Sequence[DueTimer], on_stored: Callable[[], None]) -> None:
        self.fired += due
        for timer in due:
            assert timer.origin == ORIGIN
        self.live.append(self.queue, *(timer.stored for timer in due), durable=self.durable)
        if self.durable:
            self.live.broker.when_durable(on_stored)
        else:
            on_stored()

    def add(self, *messages: tuple[int, bytes], replaces: TimerId | None = None) -> list[TimerId]:
        """Add timers as one record: fire times in ms, and messages."""
        return self.live.broker.timers.append(
            [Timer(at, self.owner, ORIGIN, message, replaces) for at, message in messages]
        )

    def advance_to(self, at_ms: int) -> None:
        """Let the clock go on, and its calls with it."""
        self.live.clock.advance(at_ms / 1000 - self.live.clock.seconds())
        for _ in range(100):  # Batch by batch.
            self.live.clock.advance(0)

    def flush(self) -> None:
        """Let the disk have everything."""
        self.live.disk.release()
        self.live.disk.held = True

    def look(self, after: TimerId | None = None, count: int = 1000) -> list[bytes]:
        return [timer.stored for timer in self.live.broker.timers.look({self.owner}, after, count)]

    def again(self, live: LiveBroker, at_ms: int = 0) -> Alarm:
        """The same owner on a broker that was started anew, where it is this late."""
        alarm = Alarm(live, live.queue(self.queue.id), self.owner, self.durable)
        assert live.broker.documents("timer_owner") == {str(self.owner): "ours"}
        live.broker.timers.add_owner(self.owner, alarm.publish)
        live.disk.held = True
        alarm.advance_to(at_ms)
        return alarm

    def crash(self, at_ms: int = 0) -> Alarm:
        return self.again(self.live.crash(), at_ms)

    def restart(self, at_ms: int = 0) -> Alarm:
        return self.again(self.live.restart(), at_ms)


@pytest.fixture
def alarm(tmp_path: Path) -> Alarm:
    return Alarm.begin(tmp_path / "data")


def test_fires_at_its_time_in_the_order_of_the_times(alarm: Alarm) -> None:
    alarm.add((3000, b"third"), (1000, b"first"))
    alarm.add((2000, b"second"), (3000, b"fourth"))
    alarm.advance_to(999)
    assert bodies(alarm.queue) == []
    alarm.advance_to(1000)
    assert bodies(alarm.queue) == [b"first"]
    alarm.advance_to(3000)
    assert bodies(alarm.queue) == [b"second", b"third", b"fourth"]
    assert alarm.live.broker.timers.count(alarm.owner) == 4  # Until the disk has what they set off.
    alarm.flush()
    assert alarm.live.broker.timers.count(alarm.owner) == 0


def test_the_clock_has_one_call_for_all(alarm: Alarm) -> None:
    before = len(alarm.live.clock.getDelayedCalls())
    alarm.add(*((1000 + at, b"timer") for at in range(50)))
    alarm.add((500, b"earlier"))
    flush = 1
    assert len(alarm.live.clock.getDelayedCalls()) == before + 1 + flush


def test_a_far_time_is_waited_for_in_steps(alarm: Alarm) -> None:
    """No clock need count to years."""
    alarm.add((10**10, b"far"))
    assert max(call.getTime() for call in alarm.live.clock.getDelayedCalls()) <= 3600
    alarm.live.clock.advance(3600)
    assert alarm.look() == [b"far"]
    assert max(call.getTime() for call in alarm.live.clock.getDelayedCalls()) <= 7200


def test_an_overdue_one_fires_at_once(alarm: Alarm) -> None:
    alarm.advance_to(10_000)
    alarm.add((1, b"late"))
    assert bodies(alarm.queue) == []  # In a turn of its own.
    alarm.advance_to(10_000)
    assert bodies(alarm.queue) == [b"late"]


def test_more_than_a_batch_fires_in_order(alarm: Alarm) -> None:
    messages = [b"%d" % number for number in range(2000)]
    alarm.add(*((1000 + number // 7, message) for number, message in enumerate(messages)))
    alarm.advance_to(5000)
    assert bodies(alarm.queue) == messages


@pytest.mark.parametrize("how", [Alarm.crash, Alarm.restart])
def test_what_waits_is_there_after_a_restart(
    alarm: Alarm, how: Callable[[Alarm, int], Alarm]
) -> None:
    alarm.add((1000, b"a"), (5000, b"d"), (3000, b"c"))
    alarm.add((2000, b"b"))
    alarm = how(alarm, 3500)
    assert bodies(alarm.queue) == [b"a", b"b", b"c"]
    assert alarm.look() == [b"d"]
    assert alarm.live.broker.timers.count(alarm.owner) == 4
    alarm.flush()
    assert alarm.live.broker.timers.count(alarm.owner) == 1


@pytest.mark.parametrize("how", [Alarm.crash, Alarm.restart])
def test_what_fired_and_was_stored_does_not_fire_again(
    alarm: Alarm, how: Callable[[Alarm, int], Alarm]
) -> None:
    alarm.add((1000, b"a"), (2000, b"b"), (2000, b"c"))
    alarm.advance_to(1500)
    alarm.flush()
    alarm = how(alarm, 1900)
    assert alarm.fired == []
    alarm.advance_to(2000)
    assert [timer.stored for timer in alarm.fired] == [b"b", b"c"]


def test_what_was_not_stored_before_a_crash_fires_again(alarm: Alarm) -> None:
    alarm.add((1000, b"a"), (2000, b"b"))
    alarm.advance_to(1000)
    alarm = alarm.crash(1000)
    assert [timer.stored for timer in alarm.fired] == [b"a"]


def test_what_had_fired_before_a_clean_stop_does_not_fire_again(alarm: Alarm) -> None:
    alarm.add((1000, b"a"), (2000, b"b"))
    alarm.advance_to(1000)
    alarm = alarm.restart(1000)
    assert alarm.fired == []
    assert bodies(alarm.queue) == [b"a"]


def test_one_that_came_late_is_not_taken_for_one_that_fired(alarm: Alarm) -> None:
    """All up to 2000 fired, of those there were then; this one, for 1000, came later."""
    alarm.add((2000, b"b"))
    alarm.advance_to(2000)
    alarm.flush()
    alarm.add((1000, b"a"))
    alarm = alarm.crash(2000)
    assert [timer.stored for timer in alarm.fired] == [b"a"]
    alarm.flush()
    alarm = alarm.crash(2500)
    assert alarm.fired == []


def test_batches_are_settled_in_their_order(alarm: Alarm) -> None:
    """The second is stored at once, the first not yet: a crash brings back both."""
    alarm.add((1000, b"a"), (2000, b"b"))
    alarm.advance_to(1000)
    alarm.durable = False
    alarm.advance_to(2000)
    assert alarm.live.broker.timers.count(alarm.owner) == 2
    alarm = alarm.crash(2000)
    assert [timer.stored for timer in alarm.fired] == [b"a", b"b"]


@pytest.mark.parametrize("how", [Alarm.crash, Alarm.restart])
def test_cancelled_ones_do_not_fire(alarm: Alarm, how: Callable[[Alarm, int], Alarm]) -> None:
    a, b, c = alarm.add((1000, b"a"), (2000, b"b"), (3000, b"c"))
    timers = alarm.live.broker.timers
    assert not timers.cancel(b, {alarm.owner + 1})
    assert timers.find(b, {alarm.owner + 1}) is None
    found = timers.find(b, {alarm.owner})
    assert found is not None
    assert found.stored == b"b"
    assert timers.cancel(b, {alarm.owner})
    assert not timers.cancel(b, {alarm.owner})
    assert timers.find(b, {alarm.owner}) is None
    assert not timers.cancel(TimerId(2000, 1), {alarm.owner})
    assert alarm.look() == [b"a", b"c"]
    alarm = how(alarm, 2500)
    assert bodies(alarm.queue) == [b"a"]
    assert not alarm.live.broker.timers.cancel(a, {alarm.owner})  # It fired.
    assert alarm.live.broker.timers.cancel(c, {alarm.owner})
    alarm.advance_to(4000)
    assert len(alarm.fired) == 1


@pytest.mark.parametrize("how", [Alarm.crash, Alarm.restart])
def test_they_go_with_their_owner(alarm: Alarm, how: Callable[[Alarm, int], Alarm]) -> None:
    other = Alarm(alarm.live, alarm.queue, 0)
    other.owner = alarm.live.broker.add_timer_owner("other", other.publish)
    other.add((1000, b"other"))
    alarm.add((1000, b"ours"))
    assert alarm.live.broker.timers.count(other.owner) == 1
    alarm.live.broker.drop_timer_owner(other.owner)
    assert alarm.live.broker.timers.count(other.owner) == 0
    alarm = how(alarm, 2000)
    assert [timer.stored for timer in alarm.fired] == [b"ours"]


def test_those_of_an_owner_without_a_document_go_with_the_process(alarm: Alarm) -> None:
    brief = alarm.live.broker.add_timer_owner(None, alarm.publish)
    alarm.live.broker.timers.append([Timer(1000, brief, ORIGIN, b"brief")])
    after = alarm.crash(2000)
    assert after.fired == []
    assert after.live.broker.add_timer_owner(None, after.publish) > brief


def test_one_that_replaces_another_settles_it(alarm: Alarm) -> None:
    (first,) = alarm.add((1000, b"first"))
    alarm.advance_to(1000)  # It fires, sets off the next, and before it is settled...
    alarm.add((2000, b"next"), replaces=first)
    alarm = alarm.crash(2000)
    assert [timer.stored for timer in alarm.fired] == [b"next"]


def test_a_full_disk_delays_and_loses_nothing(
    alarm: Alarm, monkeypatch: pytest.MonkeyPatch
) -> None:
    alarm.add((1000, b"a"), (1000, b"b"))
    alarm.live.end_turn()
    disk = FullDisk(monkeypatch, room=0)
    alarm.advance_to(1500)
    assert len(alarm.fired) == 2
    assert bodies(alarm.queue) == []
    disk.room = 1 << 20
    alarm.advance_to(2600)
    assert bodies(alarm.queue) == [b"a", b"b"]
    alarm.flush()
    assert alarm.live.broker.timers.count(alarm.owner) == 0


def test_power_loss_takes_what_was_said_of_timers_that_it_took(alarm: Alarm) -> None:
    """What gets their places in the log and their times is another timer."""
    end = alarm.live.broker.log_end
    a, b = alarm.add((1000, b"a"), (5000, b"b"))
    alarm.advance_to(1000)
    alarm.flush()
    assert alarm.live.broker.timers.cancel(b, {alarm.owner})
    after = alarm.again(alarm.live.crash(meanwhile=lambda directory: cut_log(directory, end)), 1000)
    assert after.add((1000, b"A"), (5000, b"B")) == [a, b]
    after = after.crash(1000)
    assert [timer.stored for timer in after.fired] == [b"A"]
    assert after.look() == [b"B"]


def test_the_log_keeps_what_waits(tmp_path: Path) -> None:
    alarm = Alarm.begin(
        tmp_path / "data", segment_size=2 << 20, checkpoint_distance=1, retained_size_max=0
    )
    alarm.live.disk.release()
    alarm.add((10**9, b"far"))
    filler = b"x" * 500_000
    for _ in range(20):
        alarm.live.append(alarm.queue, filler)
    assert len(bodies(alarm.queue)) == 20
    alarm.queue.settle(0, 20)
    alarm.live.end_turn()
    alarm.live.clock.advance(60)
    alarm.live.end_turn()
    kept = sorted(int(path.name) for path in (alarm.live.directory / "commitlog").iterdir())
    assert kept[0] == 0
    assert len(kept) == 2
    alarm = alarm.crash(10**9)
    assert [timer.stored for timer in alarm.fired] == [b"far"]


def test_listed_by_time_page_by_page(alarm: Alarm) -> None:
    alarm.add(*((9000 - number, b"%d" % number) for number in range(10)))
    timers = alarm.live.broker.timers
    first = timers.look({alarm.owner}, None, 4)
    second = timers.look({alarm.owner}, first[-1].id, 100)
    assert [timer.stored for timer in first + second] == [b"%d" % n for n in range(9, -1, -1)]
    assert timers.look({alarm.owner + 1}, None, 4) == []


@settings(max_examples=40, deadline=None)
@given(data=st.data())
def test_like_a_model_with_little_memory(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Adding, cancelling, waiting, crashes, stops and checkpoints, with files of few timers."""
    alarm = Alarm.begin(
        tmp_path_factory.mktemp("timers") / "data", checkpoint_distance=900, timers_in_memory=8
    )
    waiting: dict[TimerId, bytes] = {}
    now, number = 0, 0
    for _ in range(data.draw(st.integers(1, 30))):
        step = data.draw(st.sampled_from(["add", "add", "add", "cancel", "wait", "crash", "stop"]))
        if step == "add":
            times = data.draw(st.lists(st.integers(now - 50, now + 900), max_size=9))
            messages = []
            for at in times:
                number += 1
                messages.append((max(0, at), b"%d" % number))
            for id, (_, message) in zip(alarm.add(*messages), messages, strict=True):
                waiting[id] = message
        elif step == "cancel" and waiting:
            id = data.draw(st.sampled_from(sorted(waiting)))
            assert alarm.live.broker.timers.cancel(id, {alarm.owner})
            del waiting[id]
            continue
        elif step == "wait":
            now += data.draw(st.integers(0, 300))
            alarm.advance_to(now)
        elif step in ("crash", "stop"):
            alarm = (alarm.crash if step == "crash" else alarm.restart)(now)
        alarm.advance_to(now)
        alarm.flush()
        alarm.live.end_turn()
        due = [id for id in sorted(waiting) if id.fire_ms <= now]
        assert [timer.id for timer in alarm.fired] == due or step == "add"
        assert sorted(timer.id for timer in alarm.fired) == due
        for id in due:
            del waiting[id]
        alarm.fired.clear()
        assert alarm.look() == [waiting[id] for id in sorted(waiting)]
        assert alarm.live.broker.timers.count(alarm.owner) == len(waiting)
    alarm.live.broker.stop()
