"""A remoting command and its two header forms: JSON (type 0) and binary (type 1).

Written strictly, read leniently: clients in several languages put numbers, booleans and null where
text belongs, and Java's fastjson has always taken it. Nothing but `ProtocolError` is raised for
bytes that are no command.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from enum import IntEnum
from struct import Struct

from rosettamq.errors import ProtocolError
from rosettamq.remoting.codes import VERSION, CommandFlag, Language


class HeaderForm(IntEnum):
    """How the header of a frame is written; every frame says its own."""

    JSON = 0
    BINARY = 1


# Plain numbers: the operators of an IntFlag cost more than the rest of reading a header.
_RESPONSE = int(CommandFlag.RESPONSE)
_ONE_WAY = int(CommandFlag.ONE_WAY)


@dataclass(slots=True)
class RemotingCommand:
    """One request or response: `ext_fields` are its typed header as text, `body` is opaque."""

    code: int
    ext_fields: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    remark: str | None = None
    opaque: int = 0
    flag: int = 0
    version: int = VERSION
    language: Language = Language.PYTHON
    form: HeaderForm = HeaderForm.JSON

    @property
    def is_response(self) -> bool:
        """Whether this answers the request with the same `opaque`."""
        return bool(self.flag & _RESPONSE)

    @property
    def is_one_way(self) -> bool:
        """Whether the sender wants no answer."""
        return bool(self.flag & _ONE_WAY)


_INT32 = range(-(1 << 31), 1 << 31)
_INTEGER = re.compile(r"\s*[+-]?[0-9]{1,19}\s*", re.ASCII)
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")

# code 2, language 1, version 2, opaque 4, flag 4; then remark length 4, remark, map length 4, map.
_BINARY_START = Struct(">hBhii")
_INT = Struct(">i")
_SHORT = Struct(">h")


def parse_integer(text: str) -> int:
    """Read a decimal integer of 64 bits; raises `ProtocolError` for anything else."""
    if _INTEGER.fullmatch(text) is None or not -(1 << 63) <= (number := int(text)) < 1 << 63:
        raise ProtocolError(f"not an integer of 64 bits: {text[:40]!r}")
    return number


def encode_header(command: RemotingCommand) -> bytes:
    """Write the header in the form that `command.form` says."""
    if command.form is HeaderForm.BINARY:
        return _encode_binary(command)
    header: dict[str, object] = {
        "code": command.code,
        "flag": command.flag,
        "language": command.language.name,
        "opaque": command.opaque,
        "version": command.version,
    }
    if command.remark is not None:
        header["remark"] = command.remark
    if command.ext_fields:
        header["extFields"] = command.ext_fields
    return _json_bytes(header)


def decode_header(form: int, header: bytes, body: bytes) -> RemotingCommand:
    """Read a header of either form; raises `ProtocolError` if it is not one."""
    if form == HeaderForm.JSON:
        return _decode_json(header, body)
    if form == HeaderForm.BINARY:
        return _decode_binary(header, body)
    raise ProtocolError(f"unknown header form {form}")


def _json_bytes(value: object) -> bytes:
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    return text.encode("utf-8", "replace")


def _decode_json(header: bytes, body: bytes) -> RemotingCommand:
    try:
        value = json.loads(header.decode("utf-8"))
    except (ValueError, RecursionError) as error:
        raise ProtocolError("the header is not JSON") from error
    if not isinstance(value, dict):
        raise ProtocolError("the header is not a JSON object")
    ext = value.get("extFields")
    remark = value.get("remark")
    return RemotingCommand(
        code=_integer_member(value, "code", required=True),
        ext_fields=_ext_fields(ext) if isinstance(ext, dict) else {},
        body=body,
        remark=None if remark is None else _text(remark),
        opaque=_integer_member(value, "opaque"),
        flag=_integer_member(value, "flag"),
        version=_integer_member(value, "version"),
        language=_language(value.get("language")),
        form=HeaderForm.JSON,
    )


def _integer_member(header: dict[str, object], name: str, required: bool = False) -> int:
    value = header.get(name)
    if isinstance(value, str):
        number = parse_integer(value)
    elif isinstance(value, int):
        number = int(value)
    elif value is None and not required:
        number = 0
    else:
        raise ProtocolError(f"the header's {name} is not an integer")
    if number not in _INT32:
        raise ProtocolError(f"the header's {name} is out of range")
    return number


def _ext_fields(ext: dict[str, object]) -> dict[str, str]:
    return {
        name if name.isascii() else _text(name): (
            value if type(value) is str and value.isascii() else _text(value)
        )
        for name, value in ext.items()
        if value is not None
    }


def _text(value: object) -> str:
    """Give a JSON value as the text that Java would have seen."""
    if isinstance(value, str):
        return value if value.isascii() else _LONE_SURROGATE.sub("?", value)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int):
        return str(value) if -(1 << 63) <= value < 1 << 63 else "0"
    return _LONE_SURROGATE.sub("?", json.dumps(value, ensure_ascii=False, separators=(",", ":")))


def _language(value: object) -> Language:
    """An unknown language must not fail a request."""
    if isinstance(value, str):
        return Language.__members__.get(value, Language.OTHER)
    if isinstance(value, int) and 0 <= value <= max(Language):
        return Language(value)
    return Language.OTHER


def _encode_binary(command: RemotingCommand) -> bytes:
    remark = (command.remark or "").encode("utf-8", "replace")
    entries = bytearray()
    for name, value in command.ext_fields.items():
        name_bytes = name.encode("utf-8", "replace")
        value_bytes = value.encode("utf-8", "replace")
        entries += _SHORT.pack(len(name_bytes)) + name_bytes
        entries += _INT.pack(len(value_bytes)) + value_bytes
    # The code has 16 bits; Java truncates larger ones, and so POP needs JSON (trap list, 3).
    code = (command.code + 0x8000) % 0x10000 - 0x8000
    start = _BINARY_START.pack(
        code, command.language, command.version, command.opaque, command.flag
    )
    return b"".join(
        (start, _INT.pack(len(remark)), remark, _INT.pack(len(entries)), bytes(entries))
    )


def _decode_binary(header: bytes, body: bytes) -> RemotingCommand:
    if len(header) < _BINARY_START.size + 8:
        raise ProtocolError("the binary header is too short")
    code, language, version, opaque, flag = _BINARY_START.unpack_from(header)
    remark, at = _sized(header, _BINARY_START.size, _INT)
    entries, at = _sized(header, at, _INT)
    if at != len(header):
        raise ProtocolError("the binary header is longer than what it holds")
    ext: dict[str, str] = {}
    at = 0
    while at < len(entries):
        name, at = _sized(entries, at, _SHORT)
        value, at = _sized(entries, at, _INT)
        ext[_utf8(name)] = _utf8(value)
    return RemotingCommand(
        code=code,
        ext_fields=ext,
        body=body,
        remark=_utf8(remark) if remark else None,
        opaque=opaque,
        flag=flag,
        version=version,
        language=_language(language),
        form=HeaderForm.BINARY,
    )


def _sized(data: bytes, at: int, length: Struct) -> tuple[bytes, int]:
    """Read a length and as many bytes; return them and where the next thing starts."""
    start = at + length.size
    if start > len(data):
        raise ProtocolError("the binary header ends inside a length")
    size: int = length.unpack_from(data, at)[0]
    if size < 0 or start + size > len(data):
        raise ProtocolError("the binary header ends inside a value")
    return data[start : start + size], start + size


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ProtocolError("the binary header is not UTF-8") from error
