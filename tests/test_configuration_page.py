"""The page of all settings says what there is, and the defaults that hold."""

from __future__ import annotations

import re
import tomllib
from dataclasses import fields
from pathlib import Path

from gateway.config import load_config
from gateway.service.front_ends import load_front_ends

PAGE = Path(__file__).parent.parent / "docs" / "configuration.md"


def test_every_setting_is_there_with_its_default() -> None:
    sections = {front_end.section: front_end.config_class for front_end in load_front_ends()}
    config = load_config(None, (), sections)
    built = {"listen": config.listen, "tls": config.tls, "store": config.store}
    there = {
        (section, field.name): getattr(values, field.name)
        for section, values in {**built, **config.front_ends}.items()
        for field in fields(values)
    }
    assert described() == {
        key: list(value) if isinstance(value, tuple) else value for key, value in there.items()
    }


def described() -> dict[tuple[str, str], object]:
    rows = {}
    for part in re.split(r"^## ", PAGE.read_text(), flags=re.M)[1:]:
        section = part.split("\n", 1)[0]
        for key, default in re.findall(r"^\| `(\w+)` \| `(.*?)` \|", part, re.M):
            rows[section, key] = tomllib.loads(f"value = {default}")["value"]
    return rows
