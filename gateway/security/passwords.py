"""How passwords are kept: salted hashes in RabbitMQ's formats, and scrypt for new ones.

RabbitMQ's: base64(salt, 4 bytes; digest of salt and password). Ours: base64(the exponent of
scrypt's cost, 1 byte; salt, 16 bytes; key, 32 bytes). The cost is modest, because a login is
checked in the reactor: about 15 ms and 4 MiB; `gateway.security.users` remembers what it has
verified.
"""

from __future__ import annotations

import binascii
import hashlib
import hmac
import os
from base64 import b64decode, b64encode
from dataclasses import dataclass

SCRYPT = "rosettamq_password_hashing_scrypt"
_DIGESTS = {
    "rabbit_password_hashing_sha256": "sha256",
    "rabbit_password_hashing_sha512": "sha512",
}
DEFAULT_IMPORTED = "rabbit_password_hashing_sha256"  # What a hash without an algorithm is.
_SALT_SIZE = 4
_SCRYPT_SALT_SIZE = 16
_SCRYPT_COST_EXPONENT = 12
_SCRYPT_COST_EXPONENT_MAX = 14
_SCRYPT_KEY_SIZE = 32


@dataclass(frozen=True, slots=True)
class PasswordHash:
    """A password that cannot be read. An empty one fits no password."""

    text: str
    algorithm: str

    def fits(self, password: bytes) -> bool:
        """Is it this password's hash? Takes as long whatever the answer is."""
        data = b64decode(self.text)
        if not data or not password:
            return False
        if self.algorithm == SCRYPT:
            salt_end = 1 + _SCRYPT_SALT_SIZE
            expected = _scrypt(password, data[1:salt_end], data[0])
            return hmac.compare_digest(expected, data[salt_end:])
        expected = _digest(self.algorithm, data[:_SALT_SIZE], password)
        return hmac.compare_digest(expected, data[_SALT_SIZE:])


NO_PASSWORD = PasswordHash("", DEFAULT_IMPORTED)


def hash_password(password: bytes, algorithm: str = SCRYPT) -> PasswordHash:
    """A new hash, with a salt of its own."""
    if algorithm == SCRYPT:
        salt = os.urandom(_SCRYPT_SALT_SIZE)
        key = _scrypt(password, salt, _SCRYPT_COST_EXPONENT)
        data = bytes((_SCRYPT_COST_EXPONENT,)) + salt + key
    else:
        salt = os.urandom(_SALT_SIZE)
        data = salt + _digest(algorithm, salt, password)
    return PasswordHash(b64encode(data).decode(), algorithm)


def parse_hash(text: str, algorithm: str) -> PasswordHash:
    """A hash that somebody brings along. Raises `ValueError` if it is none that we can check."""
    if algorithm != SCRYPT and algorithm not in _DIGESTS:
        known = ", ".join([*_DIGESTS, SCRYPT])
        raise ValueError(f"unknown hashing_algorithm '{algorithm}' (there are: {known})")
    if not text:
        return PasswordHash("", algorithm)
    try:
        data = b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise ValueError("password_hash is not base64") from None
    if algorithm == SCRYPT:
        size = 1 + _SCRYPT_SALT_SIZE + _SCRYPT_KEY_SIZE
        is_cheap = bool(data) and 1 <= data[0] <= _SCRYPT_COST_EXPONENT_MAX
    else:
        size = _SALT_SIZE + hashlib.new(_DIGESTS[algorithm]).digest_size
        is_cheap = True
    if len(data) != size or not is_cheap:
        raise ValueError(f"password_hash is not one of {algorithm}")
    return PasswordHash(text, algorithm)


def _digest(algorithm: str, salt: bytes, password: bytes) -> bytes:
    return hashlib.new(_DIGESTS[algorithm], salt + password).digest()


def _scrypt(password: bytes, salt: bytes, cost_exponent: int) -> bytes:
    return hashlib.scrypt(password, salt=salt, n=1 << cost_exponent, r=8, p=1, dklen=32)
