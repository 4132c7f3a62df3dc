"""Octets that are nearly what they were: for the fuzzers of all protocols."""

from __future__ import annotations

import random

INTERESTING = [0, 1, 2, 3, 7, 8, 10, 60, 85, 127, 128, 206, 255]


def mutate(choose: random.Random, octets: bytes) -> bytes:
    """Change it a little, or more than a little."""
    data = bytearray(octets)
    for _ in range(choose.choice([0, 1, 1, 1, 2, 5])):
        if not data:
            break
        at = choose.randrange(len(data))
        kind = choose.randrange(6)
        if kind == 0:
            data[at] = choose.choice(INTERESTING)
        elif kind == 1:
            data[at] ^= 1 << choose.randrange(8)
        elif kind == 2:
            del data[at : at + choose.randint(1, 20)]
        elif kind == 3:
            data[at:at] = choose.randbytes(choose.randint(1, 20))
        elif kind == 4:
            data[at : at + 4] = choose.choice(
                [b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff"]
            )
        else:
            start = choose.randrange(len(data))
            data[at:at] = data[start : start + choose.randint(1, 60)]
    return bytes(data)


def chunks(choose: random.Random, octets: bytes) -> list[bytes]:
    """The same octets in pieces."""
    size = choose.choice([1, 7, 100, 4096, len(octets) or 1])
    if size < 100 and len(octets) > 5000:
        size = 1000
    return [octets[start : start + size] for start in range(0, len(octets), size)]
