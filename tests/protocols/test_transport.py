from collections.abc import Callable

import pytest
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import globalLogPublisher

from core.turn import Turn
from protocols.transport import ConnectionTransport


class Echo:
    """A connection that sends back what comes, and writes down what it is told."""

    def __init__(self) -> None:
        self.closed = False
        self.deadline: float | None = None
        self.told: list[object] = []
        self.output = b""

    def receive_data(self, data: bytes, now: float) -> None:
        if data == b"fail":
            raise ZeroDivisionError
        self.told.append((data, now))
        self.output += data

    def data_to_send(self) -> bytes:
        if self.output == b"fail later":
            raise ZeroDivisionError
        output, self.output = self.output, b""
        return output

    def next_deadline(self) -> float | None:
        return self.deadline

    def handle_deadline(self, now: float) -> None:
        self.told.append(now)
        self.deadline = None

    def pause_delivery(self) -> None:
        self.told.append("pause")

    def resume_delivery(self) -> None:
        self.told.append("resume")

    def connection_lost(self) -> None:
        self.told.append("lost")


class Disk:
    """Says when publishers may go on."""

    def __init__(self) -> None:
        self.waiting: list[Callable[[], None]] = []

    def when_relieved(self, callback: Callable[[], None]) -> None:
        self.waiting.append(callback)

    def relieve(self) -> None:
        waiting, self.waiting = self.waiting, []
        for callback in waiting:
            callback()


class Fixture:
    def __init__(self) -> None:
        self.turn, self.clock, self.disk, self.connection = Turn(), Clock(), Disk(), Echo()
        self.lost_count = 0
        self.wire = StringTransport()  # type: ignore[no-untyped-call]
        self.transport = ConnectionTransport(self.turn, self.clock, self.disk)
        self.transport.attach(self.connection, self.lost)

    def lost(self) -> None:
        self.lost_count += 1

    def connect(self) -> None:
        self.transport.makeConnection(self.wire)  # type: ignore[no-untyped-call]


@pytest.fixture
def unconnected() -> Fixture:
    return Fixture()


@pytest.fixture
def echo(unconnected: Fixture) -> Fixture:
    unconnected.connect()
    return unconnected


@pytest.fixture
def logged() -> object:
    """Silence, and what was said into it."""
    events: list[dict[str, object]] = []
    globalLogPublisher.addObserver(events.append)
    yield events
    globalLogPublisher.removeObserver(events.append)


class TestData:
    def test_goes_in_and_out_in_one_turn(self, echo: Fixture) -> None:
        echo.clock.advance(5)
        echo.transport.dataReceived(b"abc")
        assert echo.connection.told == [(b"abc", 5.0)]
        assert echo.wire.value() == b"abc"

    def test_of_the_beginning_is_sent_at_once(self, unconnected: Fixture) -> None:
        unconnected.connection.output = b"hello"
        unconnected.connect()
        assert unconnected.wire.value() == b"hello"

    def test_waits_for_the_end_of_the_turn(self, echo: Fixture) -> None:
        echo.connection.output = b"later"
        for _ in range(3):
            echo.transport.wake()
        assert echo.wire.value() == b""
        echo.turn.end()
        assert echo.wire.value() == b"later"

    def test_after_the_end_is_ignored(self, echo: Fixture) -> None:
        echo.connection.closed = True
        echo.transport.dataReceived(b"abc")
        assert echo.connection.told == []

    def test_before_the_connection_is_not_lost(self, unconnected: Fixture) -> None:
        unconnected.connection.output = b"early"
        unconnected.transport.wake()
        unconnected.turn.end()
        unconnected.connect()
        assert unconnected.wire.value() == b"early"


class TestHangingUp:
    def test_happens_once_and_after_the_last_word(self, echo: Fixture) -> None:
        echo.connection.closed = True
        echo.connection.output = b"bye"
        for _ in range(3):
            echo.transport.wake()
            echo.turn.end()
            echo.connection.output = b"not heard"
        assert echo.wire.value() == b"bye"
        assert echo.wire.disconnecting
        assert echo.wire.producer is None

    def test_does_not_wait_for_ever(self, echo: Fixture) -> None:
        """A peer that does not read what is left would keep the socket as long as it likes."""
        echo.connection.closed = True
        echo.transport.wake()
        echo.turn.end()
        echo.clock.advance(29)
        assert not echo.wire.disconnected
        echo.clock.advance(2)
        assert echo.wire.disconnected

    def test_disarms_the_deadline(self, echo: Fixture) -> None:
        echo.connection.deadline = 5.0
        echo.transport.wake()
        echo.turn.end()
        (call,) = echo.clock.getDelayedCalls()
        echo.connection.closed = True
        echo.transport.wake()
        echo.turn.end()
        assert not call.active()
        echo.transport.connectionLost()
        assert not echo.clock.getDelayedCalls()

    def test_being_hung_up_on(self, echo: Fixture) -> None:
        echo.connection.deadline = 5.0
        echo.transport.wake()
        echo.turn.end()
        echo.transport.wake()
        echo.transport.connectionLost()
        assert echo.connection.told == ["lost"]
        assert echo.lost_count == 1
        assert not echo.clock.getDelayedCalls()
        # Whoever still has it may call it.
        echo.transport.wake()
        echo.turn.end()
        echo.transport.dataReceived(b"late")
        echo.transport.pauseProducing()
        assert echo.wire.value() == b""


class TestErrors:
    def test_in_reading_drop_the_peer(self, echo: Fixture, logged: list[dict[str, object]]) -> None:
        echo.transport.dataReceived(b"fail")
        assert echo.wire.disconnected
        assert [event["log_format"] for event in logged if "log_failure" in event]

    def test_in_writing_drop_the_peer(self, echo: Fixture, logged: list[dict[str, object]]) -> None:
        echo.transport.dataReceived(b"fail later")
        assert echo.wire.disconnected
        echo.transport.wake()
        echo.turn.end()
        assert len([event for event in logged if "log_failure" in event]) == 1


class TestDeadlines:
    def arm(self, echo: Fixture, due: float) -> None:
        echo.connection.deadline = due
        echo.transport.wake()
        echo.turn.end()

    def test_come_in_time(self, echo: Fixture) -> None:
        self.arm(echo, 10.0)
        echo.clock.advance(9.9)
        assert echo.connection.told == []
        echo.clock.advance(0.2)
        assert echo.connection.told == [pytest.approx(10.1)]
        assert not echo.clock.getDelayedCalls()

    def test_may_move_back(self, echo: Fixture) -> None:
        """The old call stays armed, and only looks again."""
        self.arm(echo, 10.0)
        (call,) = echo.clock.getDelayedCalls()
        self.arm(echo, 20.0)
        assert echo.clock.getDelayedCalls() == [call]
        echo.clock.advance(10)
        assert echo.connection.told == []
        echo.clock.advance(10)
        assert echo.connection.told == [20.0]

    def test_may_move_forward(self, echo: Fixture) -> None:
        self.arm(echo, 10.0)
        self.arm(echo, 5.0)
        echo.clock.advance(5)
        assert echo.connection.told == [5.0]
        assert not echo.clock.getDelayedCalls()

    def test_may_have_passed(self, echo: Fixture) -> None:
        echo.clock.advance(100)
        self.arm(echo, 5.0)
        echo.clock.advance(0)
        assert echo.connection.told == [100.0]


class TestReading:
    def test_stops_while_the_disk_is_behind(self, echo: Fixture) -> None:
        echo.transport.throttle()
        echo.transport.throttle()
        assert echo.wire.producerState == "paused"
        assert len(echo.disk.waiting) == 1
        echo.disk.relieve()
        assert echo.wire.producerState == "producing"

    def test_stops_while_the_peer_does_not_read(self, echo: Fixture) -> None:
        echo.transport.pauseProducing()
        assert echo.wire.producerState == "paused"
        echo.transport.resumeProducing()
        assert echo.wire.producerState == "producing"
        assert echo.connection.told == ["pause", "resume"]

    def test_goes_on_when_both_reasons_are_gone(self, echo: Fixture) -> None:
        echo.transport.pauseProducing()
        echo.transport.throttle()
        echo.transport.resumeProducing()
        assert echo.wire.producerState == "paused"
        echo.transport.pauseProducing()
        echo.disk.relieve()
        assert echo.wire.producerState == "paused"
        echo.transport.resumeProducing()
        assert echo.wire.producerState == "producing"

    def test_relief_may_come_too_late(self, echo: Fixture) -> None:
        echo.transport.throttle()
        echo.wire.disconnecting = True
        echo.transport.connectionLost()
        echo.disk.relieve()
        assert echo.wire.producerState == "paused"

    def test_relief_may_come_after_hanging_up(self, echo: Fixture) -> None:
        """The socket is not gone yet, and is read for TLS's goodbye; the rest is for nobody."""
        echo.transport.throttle()
        echo.connection.closed = True
        echo.transport.wake()
        echo.turn.end()
        assert echo.wire.producerState == "producing"
        echo.disk.relieve()
        echo.transport.dataReceived(b"late")
        assert not any(isinstance(word, tuple) for word in echo.connection.told)
