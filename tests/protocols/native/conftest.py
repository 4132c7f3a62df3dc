from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.native_peer import NativeBroker, Peer


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[NativeBroker]:
    broker = NativeBroker(tmp_path / "data")
    yield broker
    broker.stop()


@pytest.fixture
def peer(broker: NativeBroker) -> Peer:
    return broker.connect()
