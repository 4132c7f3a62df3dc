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
from pathlib import Path
from typing import NamedTuple

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
    from tests.fuzz import amqp
    from tests.support.amqp_peer import AmqpBroker

_SEED_COUNT = 200
_LIFE = 20_000  # A broker serves so many conversations; then its folder has become large.
_FRAME_MAX = 8192
_HEADER_SIZE_MIN = 14  # A content header with flags; a channel refuses a smaller one.


def amqp_frames(data: bytes) -> None:
    """Frames, methods, properties and tables: each is read, or refused in AMQP's own words."""
    position = 0
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


class AmqpConnections:
    """Whole connections: what comes after the opening is mutated, and cut anywhere."""

    def __init__(self) -> None:
        self._folder = tempfile.mkdtemp()
        self._fuzzer = amqp.Fuzzer(AmqpBroker(Path(self._folder)), 0)
        self._count = 0

    def __call__(self, data: bytes) -> None:
        """One conversation; its first octet says how it is cut."""
        size, octets = (data[0] if data else 0) * 16 + 1, data[1:]
        parts = [octets[start : start + size] for start in range(0, len(octets), size)]
        self._fuzzer.talk([b"".join(amqp.OPENING), *parts])
        self._count += 1
        if self._count % 100 == 0:
            self._fuzzer.tidy()
        if self._count % _LIFE == 0:
            self._fuzzer.broker.stop()
            shutil.rmtree(self._folder)
            self.__init__()  # type: ignore[misc]


def amqp_seeds() -> list[bytes]:
    """Conversations that make sense, for a beginning."""
    seeds = []
    for number in range(_SEED_COUNT):
        conversation = amqp.frames(random.Random(number))[len(amqp.OPENING) :]
        seeds.append(b"\xff" + b"".join(conversation))
    return seeds


class Target(NamedTuple):
    """What is given octets, what to begin with, and how long an input may be."""

    make: Callable[[], Callable[[bytes], None]]
    seeds: Callable[[], list[bytes]]
    size_max: int


TARGETS = {
    "amqp-frames": Target(lambda: amqp_frames, lambda: [seed[1:] for seed in amqp_seeds()], 256),
    "amqp-connections": Target(AmqpConnections, amqp_seeds, 4096),
}


def main() -> None:
    """The command line: a target, how many inputs, and where to keep them."""
    name, runs, *folders = sys.argv[1:]
    target = TARGETS[name]
    folder = Path(folders[0] if folders else tempfile.mkdtemp())
    folder.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(target.seeds()):
        (folder / f"seed-{number}").write_bytes(seed[: target.size_max])
    options = [f"-runs={runs}", f"-max_len={target.size_max}", "-rss_limit_mb=2048", "-timeout=20"]
    atheris.Setup([sys.argv[0], *options, str(folder)], target.make())
    atheris.Fuzz()


if __name__ == "__main__":
    main()
