"""What is remembered by its octets."""

import pytest

from protocols.amqp.memory import Memory

SIZE_MAX = 1 << 20


def key(number: int) -> bytes:
    return b"destination %d" % number


def found(memory: Memory[int], numbers: range) -> int:
    """Look each up, and add what is not there, as those who use it do; how many were there?"""
    count = 0
    for number in numbers:
        if memory.get(key(number)) is None:
            memory.add(key(number), number)
        else:
            count += 1
    return count


class TestMemory:
    @pytest.fixture
    def dropped(self) -> list[int]:
        return []

    @pytest.fixture
    def memory(self, dropped: list[int]) -> Memory[int]:
        return Memory(SIZE_MAX, dropped.append)

    def test_finds_all_while_there_is_room(self, memory: Memory[int], dropped: list[int]) -> None:
        assert found(memory, range(1500)) == 0
        assert found(memory, range(1500)) == 1500
        assert dropped == []

    @pytest.mark.parametrize("octets", [0, 20, 1000, 100_000])
    def test_is_bounded(self, memory: Memory[int], dropped: list[int], octets: int) -> None:
        added = 0
        for number in range(10_000):
            added += memory.add(b"%0*d" % (octets, number), number)
            assert memory.size <= SIZE_MAX
        assert len(memory) == added - len(dropped)
        assert len(memory) * octets * 2 <= memory.size
        assert dropped == sorted(dropped)  # The oldest first.
        assert dropped

    def test_going_around_more_than_fits_finds_much(self, memory: Memory[int]) -> None:
        for _ in range(3):
            found(memory, range(3000))
        assert len(memory) < 2000
        assert found(memory, range(3000)) > 1500

    def test_what_never_comes_again_displaces_little(self, memory: Memory[int]) -> None:
        found(memory, range(1000))
        found(memory, range(10_000, 12_000))
        assert found(memory, range(1000)) > 700

    def test_what_comes_often_is_remembered_soon(self, memory: Memory[int]) -> None:
        found(memory, range(10_000, 20_000))
        for _ in range(200):
            found(memory, range(10))
        assert found(memory, range(10)) == 10

    def test_clear(self, memory: Memory[int]) -> None:
        found(memory, range(5000))
        memory.clear()
        assert (len(memory), memory.size) == (0, 0)
        assert found(memory, range(1500)) == 0
        assert found(memory, range(1500)) == 1500
