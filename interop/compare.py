"""What differs between the message that was sent and the one that arrived, in words."""

from __future__ import annotations

from dataclasses import fields

from gateway.demo.sample import Sample

_SHOWN_MAX = 60


def differences(sent: Sample, arrived: Sample) -> list[str]:
    """One line per field that is not the same; none if the messages are equal."""
    return [
        f"{name}: sent {_show(expected)}, arrived {_show(actual)}"
        for name in (field.name for field in fields(Sample))
        if (expected := getattr(sent, name)) != (actual := getattr(arrived, name))
    ]


def _show(value: object) -> str:
    text = repr(value)
    return text if len(text) <= _SHOWN_MAX else f"{text[:_SHOWN_MAX]}... ({len(text)} characters)"
