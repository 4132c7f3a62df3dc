"""Coverage-guided fuzzing with atheris: `python -m tests.fuzz.guided TARGET RUNS [FOLDER]`.

atheris mutates octets and keeps those that reach new code. What a target promises of any octets
whatever it checks itself; anything that it raises is a finding, and atheris writes the octets down.
FOLDER keeps what was found interesting for the next time.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
from collections.abc import Callable
from itertools import cycle
from pathlib import Path
from typing import NamedTuple, Protocol

import atheris

with atheris.instrument_imports(include=["protocols", "gateway", "core"]):
    from protocols.amqp.codec import (
        METHOD,
        PUBLISH,
        decode_method,
        decode_properties,
        decode_publish,
    )
    from protocols.amqp.fields import FieldError
    from protocols.amqp.framing import missing, read_frame
    from protocols.amqp.properties import check, needs_checks
    from protocols.amqp.replies import AmqpError
    from tests.fuzz import amqp, stomp
    from tests.support.amqp_peer import AmqpBroker
    from tests.support.stomp_peer import StompBroker

_SEED_COUNT = 200
_LIFE = 20_000  # A broker serves so many conversations; then its folder has become large.
_FRAME_MAX = 8192
_STOMP_OPENING = b"CONNECT\naccept-version:1.2\n\n\0"
_HEADER_SIZE_MIN = 14  # A content header with flags; a channel refuses a smaller one.


def amqp_frames(data: bytes) -> None:
    """Frames, methods, properties and tables: each is read, or refused in AMQP's own words."""
    position = 1  # As in the other targets, the first octet is about something else.
    while position < len(data):
        try:
            frame = read_frame(data, position, _FRAME_MAX)
        except AmqpError:
            return
        if frame is None:
            assert 0 < missing(data, position) <= _FRAME_MAX + 8
            return
        assert data.startswith(frame.octets, position)
        position += len(frame.octets)
        try:
            _decode(frame.type, frame.payload, frame.octets)
        except (FieldError, AmqpError):
            pass


def _decode(type: int, payload: bytes, octets: bytes) -> None:
    if type == METHOD:
        if payload[:4] == PUBLISH:
            decode_publish(payload[4:])
        decode_method(octets)
    elif len(payload) >= _HEADER_SIZE_MIN:
        raw = payload[12:]
        decode_properties(raw)
        if needs_checks(raw):
            check(raw, "guest")


def stomp_frames(data: bytes) -> None:
    """Frames: each is read or refused, and it never matters where the octets are cut."""
    parts = _cut(data)
    assert stomp.read(parts) == stomp.read([b"".join(parts)]), "it matters where they are cut"


def _cut(data: bytes) -> list[bytes]:
    """The octets in parts of one size, which the first octet says."""
    size, octets = (data[0] if data else 0) * 16 + 1, data[1:]
    return [octets[start : start + size] for start in range(0, len(octets), size)]


class Talker(Protocol):
    """A broker that one conversation after another is held with."""

    def talk(self, parts: list[bytes], /) -> None: ...

    def tidy(self) -> None: ...

    def stop(self) -> None: ...


class AmqpTalker:
    """What comes after the opening is mutated."""

    def __init__(self, folder: Path) -> None:
        self._fuzzer = amqp.AmqpFuzzer(AmqpBroker(folder), 0)
        self.tidy, self.stop = self._fuzzer.tidy, self._fuzzer.broker.stop

    def talk(self, parts: list[bytes]) -> None:
        """One conversation."""
        self._fuzzer.talk([b"".join(amqp.OPENING), *parts])


class StompTalker:
    """The same; both personalities have their turn."""

    def __init__(self, folder: Path) -> None:
        self._fuzzer = stomp.StompFuzzer(StompBroker(folder), 0)
        self.tidy, self.stop = self._fuzzer.tidy, self._fuzzer.broker.stop
        self._configs = cycle((stomp.CONFIG, stomp.ACTIVEMQ))

    def talk(self, parts: list[bytes]) -> None:
        """One conversation."""
        self._fuzzer.talk([_STOMP_OPENING, *parts], next(self._configs))


class Connections:
    """Whole connections, cut anywhere; now and then with a new broker."""

    def __init__(self, make: Callable[[Path], Talker]) -> None:
        self._make = make
        self._count = 0
        self._begin()

    def __call__(self, data: bytes) -> None:
        """One conversation."""
        self._talker.talk(_cut(data))
        self._count += 1
        if self._count % 100 == 0:
            self._talker.tidy()
        if self._count % _LIFE == 0:
            self._talker.stop()
            shutil.rmtree(self._folder)
            self._begin()

    def _begin(self) -> None:
        self._folder = tempfile.mkdtemp()
        self._talker = self._make(Path(self._folder))


def amqp_seeds() -> list[bytes]:
    """Conversations that make sense, for a beginning."""
    seeds = (amqp.frames(random.Random(number)) for number in range(_SEED_COUNT))
    return [b"".join(seed[len(amqp.OPENING) :]) for seed in seeds]


def stomp_seeds() -> list[bytes]:
    """The same."""
    return [b"".join(stomp.frames(random.Random(number))) for number in range(_SEED_COUNT)]


class Target(NamedTuple):
    """What is given octets, what to begin with, and how long an input may be."""

    make: Callable[[], Callable[[bytes], None]]
    seeds: Callable[[], list[bytes]]
    size_max: int


TARGETS = {
    "amqp-frames": Target(lambda: amqp_frames, amqp_seeds, 256),
    "amqp-connections": Target(lambda: Connections(AmqpTalker), amqp_seeds, 1024),
    "stomp-frames": Target(lambda: stomp_frames, stomp_seeds, 256),
    "stomp-connections": Target(lambda: Connections(StompTalker), stomp_seeds, 1024),
}


def main() -> None:
    """The command line: a target, how many inputs, and where to keep them."""
    name, runs, *folders = sys.argv[1:]
    target = TARGETS[name]
    folder = Path(folders[0] if folders else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(b"\xff" + seed[: target.size_max - 1])
    options = [f"-runs={runs}", f"-max_len={target.size_max}", "-rss_limit_mb=2048", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, str(folder)], target.make())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
