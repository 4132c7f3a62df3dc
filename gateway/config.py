"""The configuration: one TOML file and `--set section.key=value`, as frozen dataclasses.

One class per section; its defaults and limits stand there and nowhere else. A front end brings the
class of its own section. Whatever is unknown or wrong is a `ConfigError`, whose text is one line
that names the key: nobody should run a broker on a setting that was silently ignored.
"""

from __future__ import annotations

import math
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import msgspec

_PORT_MAX = 65_535


class ConfigError(Exception):
    """The configuration cannot be used; the text is one line that names the key."""


@dataclass(frozen=True, slots=True)
class ListenConfig:
    """Where and how every listener listens."""

    host: Annotated[str, msgspec.Meta(min_length=1)] = "127.0.0.1"
    # Every connection begins with HAProxy's PROXY header, version 1 or 2; its word is believed.
    proxy_protocol: bool = False
    # How long a peer may take for its TLS handshake, or a proxy to announce one.
    handshake_timeout_s: Annotated[float, msgspec.Meta(gt=0)] = 10.0
    # Users who may log in from this machine only.
    loopback_users: tuple[str, ...] = ("guest",)


@dataclass(frozen=True, slots=True)
class TlsConfig:
    """Certificates, as PEM files; without one, no TLS port is opened."""

    # Ours first, then those between it and the root.
    certificate: str = ""
    # Its key; "" means that the file of the certificate has it, too.
    key: str = ""
    key_password: str = ""
    # Whose client certificates are trusted, and whether a client must, may or need not have one.
    ca: str = ""
    verify: Literal["none", "optional", "required"] = "none"
    minimum_version: Literal["1.2", "1.3"] = "1.2"
    # For TLS 1.2, in OpenSSL's words: forward secrecy and authenticated encryption.
    ciphers: str = "ECDHE+AESGCM:ECDHE+CHACHA20"
    # What of a client's certificate is the user name.
    user_from: Literal["distinguished_name", "common_name"] = "distinguished_name"

    def __post_init__(self) -> None:
        if not self.certificate and (self.key or self.ca or self.verify != "none"):
            raise ValueError("certificate is missing")
        if self.verify != "none" and not self.ca:
            raise ValueError(f"verify = {self.verify} needs ca, the certificates to trust")


@dataclass(frozen=True, slots=True)
class StoreConfig:
    """The log on disk."""

    # The size of one file of the commit log; no message may be larger.
    segment_size_bytes: Annotated[int, msgspec.Meta(ge=1 << 20, le=1 << 40)] = 1 << 30
    # "sync": a confirm means that fdatasync returned; "async": that the message was written.
    flush: Literal["sync", "async"] = "sync"
    # How much of the transient messages stays in memory before they spill to a file.
    volatile_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 64 << 20
    # How much of what long queues hold is known in memory: 24 bytes for each message that was
    # published alone. The longest queues spill the rest to files.
    index_memory_bytes: Annotated[int, msgspec.Meta(ge=0)] = 6 << 20
    # A file of the log to which no queue refers any more goes after so many hours ...
    retention_hours: Annotated[float, msgspec.Meta(ge=0)] = 72.0
    # ... or as soon as the whole log is larger than this.
    retained_bytes: Annotated[int, msgspec.Meta(ge=0)] = 10 << 30


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration; `front_ends` holds each front end's own section by its name."""

    listen: ListenConfig
    tls: TlsConfig
    store: StoreConfig
    front_ends: Mapping[str, Any]


_PRODUCT_SECTIONS: dict[str, type[Any]] = {
    "listen": ListenConfig,
    "tls": TlsConfig,
    "store": StoreConfig,
}


def load_config(
    path: Path | None,
    settings: Sequence[str] = (),
    front_end_sections: Mapping[str, type[Any]] | None = None,
) -> Config:
    """Read the file, if any, then apply `settings` ("section.key=value") over it.

    Raises `ConfigError`.
    """
    front_ends = front_end_sections or {}
    sections = {**_PRODUCT_SECTIONS, **front_ends}
    values: dict[str, dict[str, Any]] = {name: {} for name in sections}
    if path is not None:
        _read_file(path, sections, values)
    for setting in settings:
        _apply_setting(setting, sections, values)
    built = {name: _build(name, sections[name], values[name]) for name in sections}
    return Config(
        built["listen"],
        built["tls"],
        built["store"],
        {name: built[name] for name in front_ends},
    )


def _read_file(
    path: Path, sections: Mapping[str, type[Any]], values: dict[str, dict[str, Any]]
) -> None:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid TOML: {error}") from None
    for section, content in document.items():
        if not isinstance(content, dict):
            raise ConfigError(f"{path}: {section} is no section: put it under one, as [section]")
        for key, value in content.items():
            kind = _find_type(f"{path}: ", section, key, sections)
            values[section][key] = _convert(f"{path}: {section}.{key}", value, kind, strict=True)
        if section not in sections:  # An empty one.
            _find_type(f"{path}: ", section, "", sections)


def _apply_setting(
    setting: str, sections: Mapping[str, type[Any]], values: dict[str, dict[str, Any]]
) -> None:
    name, equals, text = setting.partition("=")
    section, dot, key = name.strip().partition(".")
    if not (equals and dot and section and key):
        raise ConfigError(f"--set {setting}: expected section.key=value")
    if not _is_unicode(text):
        raise ConfigError(f"--set {section}.{key}: {text!r} is not UTF-8")
    kind = _find_type("--set ", section, key, sections)
    values[section][key] = _convert(f"--set {section}.{key}", _parse_text(text), kind, strict=False)


def _is_unicode(text: str) -> bool:
    """Python has surrogates for what it cannot decode of the command line."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def _parse_text(text: str) -> Any:
    """Arrays and tables are written as in TOML; anything else is converted from its text."""
    if text[:1] not in ("[", "{"):
        return text
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text


def _find_type(prefix: str, section: str, key: str, sections: Mapping[str, type[Any]]) -> Any:
    config_class = sections.get(section)
    if config_class is None:
        known = ", ".join(sorted(sections))
        raise ConfigError(f"{prefix}unknown section {section} (there are: {known})")
    types = get_type_hints(config_class, include_extras=True)
    known_keys = [field.name for field in fields(config_class)]
    if key not in known_keys:
        known = ", ".join(sorted(known_keys))
        raise ConfigError(f"{prefix}unknown key {section}.{key} (there are: {known})")
    return types[key]


def _convert(name: str, value: Any, kind: Any, strict: bool) -> Any:
    try:
        converted = msgspec.convert(value, kind, strict=strict)
    except msgspec.ValidationError as error:
        if get_origin(kind) is Literal:
            show = str if isinstance(value, str) else repr  # 1.2 is not "1.2".
            choices = ", ".join(show(choice) for choice in get_args(kind))
            raise ConfigError(f"{name}: must be one of {choices}, not {value!r}") from None
        reason = str(error).replace("`", "").replace("Expected", "expected", 1)
        raise ConfigError(f"{name}: {reason} ({value!r})") from None
    if isinstance(converted, float) and not math.isfinite(converted):
        raise ConfigError(f"{name}: must be finite, not {converted}")
    is_port = name.endswith((".port", "_port"))
    if is_port and isinstance(converted, int) and not 0 <= converted <= _PORT_MAX:
        raise ConfigError(f"{name}: a port is 0 to {_PORT_MAX}, not {converted}")
    return converted


def _build(name: str, config_class: type[Any], values: Mapping[str, Any]) -> Any:
    try:
        return config_class(**values)
    except ValueError as error:  # What the class itself checks, in its __post_init__.
        raise ConfigError(f"{name}: {error}") from None
