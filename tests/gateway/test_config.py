from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest

from gateway.config import ConfigError, ListenConfig, StoreConfig, load_config


@dataclass(frozen=True)
class CarrierPigeonConfig:
    port: int = 1149
    loft: str = "roof"
    pigeons: tuple[str, ...] = ()
    ringed: bool = False
    speed: float = 22.5

    def __post_init__(self) -> None:
        if self.loft == "cellar":
            raise ValueError("a loft is never a cellar")


SECTIONS = {"pigeon": CarrierPigeonConfig}


def test_defaults() -> None:
    config = load_config(None, front_end_sections=SECTIONS)
    assert config.listen == ListenConfig(host="127.0.0.1")
    assert config.store == StoreConfig(
        segment_size_bytes=1 << 30, flush="sync", volatile_memory_bytes=64 << 20
    )
    assert config.front_ends == {"pigeon": CarrierPigeonConfig()}


def test_settings_override_the_file(tmp_path: Path) -> None:
    path = tmp_path / "broker.toml"
    path.write_text('[pigeon]\nport = 1\nloft = "barn"\n[store]\nflush = "async"\n[listen]\n')
    config = load_config(path, ["pigeon.port=2", "listen.host=::1"], SECTIONS)
    assert config.front_ends["pigeon"] == CarrierPigeonConfig(port=2, loft="barn")
    assert config.store.flush == "async"
    assert config.listen.host == "::1"


@pytest.mark.parametrize(
    ("setting", "field", "value"),
    [
        ("pigeon.port=0", "port", 0),
        ("pigeon.loft=true", "loft", "true"),
        ("pigeon.loft=a=b", "loft", "a=b"),
        ("pigeon.loft=", "loft", ""),
        ("pigeon.loft=[x", "loft", "[x"),
        ("pigeon.ringed=true", "ringed", True),
        ("pigeon.speed=3", "speed", 3.0),
        ('pigeon.pigeons=["Ada", "Bo"]', "pigeons", ("Ada", "Bo")),
    ],
)
def test_a_setting_is_parsed_by_its_type(setting: str, field: str, value: object) -> None:
    config = load_config(None, [setting], SECTIONS)
    assert getattr(config.front_ends["pigeon"], field) == value


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("pigeon", "--set pigeon: expected section.key=value"),
        ("pigeon.port", "--set pigeon.port: expected section.key=value"),
        ("port=1", "--set port=1: expected section.key=value"),
        ("dove.port=1", "--set unknown section dove (there are: listen, pigeon, store, tls)"),
        (
            "store.fluhs=sync",
            "--set unknown key store.fluhs "
            "(there are: flush, index_memory_bytes, retained_bytes, retention_hours,"
            " segment_size_bytes,"
            " volatile_memory_bytes)",
        ),
        ("pigeon.port=many", "--set pigeon.port: expected int, got str ('many')"),
        ("pigeon.port=65536", "--set pigeon.port: a port is 0 to 65535, not 65536"),
        ("pigeon.port=-1", "--set pigeon.port: a port is 0 to 65535, not -1"),
        ("store.flush=maybe", "--set store.flush: must be one of sync, async, not 'maybe'"),
        (
            "store.segment_size_bytes=1",
            "--set store.segment_size_bytes: expected int >= 1048576 ('1')",
        ),
        ("listen.host=", "--set listen.host: expected str of length >= 1 ('')"),
        ("pigeon.speed=inf", "--set pigeon.speed: must be finite, not inf"),
        ("pigeon.speed=nan", "--set pigeon.speed: must be finite, not nan"),
        ("pigeon.loft=caf\udce9", "--set pigeon.loft: 'caf\\udce9' is not UTF-8"),
        ("pigeon.loft=cellar", "pigeon: a loft is never a cellar"),
    ],
)
def test_a_bad_setting_is_one_line_that_names_the_key(setting: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load_config(None, [setting], SECTIONS)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[pigeon]\nport = '1'\n", "pigeon.port: expected int, got str ('1')"),
        ("[pigeon]\nport = true\n", "pigeon.port: expected int, got bool (True)"),
        ("[pigeon]\nport = 70000\n", "pigeon.port: a port is 0 to 65535, not 70000"),
        ("[pigeon]\ncolour = 1\n", "unknown key pigeon.colour "),
        ("[dove]\n", "unknown section dove "),
        ("[dove]\nport = 1\n", "unknown section dove "),
        ("[pigeon]\nspeed = -inf\n", "pigeon.speed: must be finite, not -inf"),
        ("port = 1\n", "port is no section: put it under one, as [section]"),
        ("port = \n", "is not valid TOML: "),
    ],
)
def test_a_bad_file_is_one_line_that_names_file_and_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "broker.toml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path, front_end_sections=SECTIONS)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "missing.toml"
    with pytest.raises(ConfigError, match=r"cannot read .*missing\.toml: No such file"):
        load_config(missing)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="is not valid TOML"):
        load_config(binary)
