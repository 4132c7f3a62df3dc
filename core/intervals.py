"""Numbers as intervals: of each its first one, and what comes behind its last one."""

from __future__ import annotations

from collections.abc import Sequence


def runs_of(numbers: Sequence[int]) -> list[tuple[int, int]]:
    """Ascending numbers as disjoint, never touching intervals."""
    if not numbers or numbers[-1] - numbers[0] == len(numbers) - 1:
        return [(numbers[0], numbers[-1] + 1)] if numbers else []
    runs: list[tuple[int, int]] = []
    start = end = numbers[0]
    for number in numbers:
        if number != end:
            runs.append((start, end))
            start = number
        end = number + 1
    return [*runs, (start, end)]
