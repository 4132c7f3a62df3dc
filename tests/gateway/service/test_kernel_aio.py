from __future__ import annotations

import os
import platform
import select
from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.service.kernel_aio import KernelAio


@pytest.fixture
def aio() -> Iterator[KernelAio]:
    aio = KernelAio.open()
    if aio is None:
        pytest.skip("this kernel offers none")
    yield aio
    aio.close()


def results(aio: KernelAio, count: int) -> list[OSError | None]:
    found: list[OSError | None] = []
    while len(found) < count:
        select.select([aio.descriptor], [], [])
        found += aio.results()
    return found


def test_files_and_folders_are_flushed(aio: KernelAio, tmp_path: Path) -> None:
    assert aio.results() == []
    for round in range(3):
        with (tmp_path / "file").open("ab") as file:
            file.write(b"x" * round)
            file.flush()
            folder = os.open(tmp_path, os.O_RDONLY)
            assert aio.submit([file.fileno(), folder]) == 2
            os.close(folder)  # The kernel has its own hold on it.
        assert results(aio, 2) == [None, None]
    assert aio.results() == []


def test_what_the_kernel_cannot_flush_is_left(aio: KernelAio, tmp_path: Path) -> None:
    reading, writing = os.pipe()
    with (tmp_path / "file").open("wb") as file:
        assert aio.submit([reading]) == 0
        assert aio.submit([file.fileno(), reading, file.fileno()]) == 1
        assert results(aio, 1) == [None]
        assert aio.submit([file.fileno()] * 99) < 99
    os.close(reading)
    os.close(writing)


def test_a_machine_that_is_not_known_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "pdp11")
    assert KernelAio.open() is None


def test_who_is_not_allowed_has_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*arguments: object) -> None:
        raise PermissionError("seccomp says no")

    monkeypatch.setattr(KernelAio, "_check", refuse)
    assert KernelAio.open() is None
