from __future__ import annotations

from importlib.metadata import EntryPoint

import pytest

from gateway.service import front_ends
from gateway.service.front_ends import GROUP, FrontEndLoadError, order


def entry_point(name: str, value: str = "nowhere:Nothing") -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_ours_come_first_and_others_by_name() -> None:
    found = [entry_point(name) for name in ("mqtt", "stomp", "coap", "name_server", "amqp")]
    assert [e.name for e in order(found)] == ["amqp", "stomp", "name_server", "coap", "mqtt"]


def test_the_same_name_twice_is_loaded_once_as_first_found() -> None:
    found = [entry_point("amqp", "first:X"), entry_point("amqp", "second:X")]
    assert [e.value for e in order(found)] == ["first:X"]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("no_such_module:X", r"cannot load the front end pigeon \(no_such_module:X\)"),
        ("json:NoSuchClass", r"cannot load the front end pigeon \(json:NoSuchClass\)"),
        ("json:JSONDecoder", "json:JSONDecoder is no front end: it has no section, config_class"),
    ],
)
def test_a_broken_plug_in_is_named(
    monkeypatch: pytest.MonkeyPatch, value: str, message: str
) -> None:
    monkeypatch.setattr(front_ends, "entry_points", lambda group: [entry_point("pigeon", value)])
    with pytest.raises(FrontEndLoadError, match=message):
        front_ends.load_front_ends()
