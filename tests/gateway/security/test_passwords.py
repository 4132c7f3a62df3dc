from __future__ import annotations

from base64 import b64encode
from hashlib import sha256

import pytest

from gateway.security.passwords import SCRYPT, PasswordHash, hash_password, parse_hash

SHA256 = "rabbit_password_hashing_sha256"
SHA512 = "rabbit_password_hashing_sha512"


@pytest.mark.parametrize("algorithm", [SHA256, SHA512, SCRYPT])
def test_a_hash_fits_its_password_only(algorithm: str) -> None:
    hashed = hash_password(b"secret", algorithm)
    assert parse_hash(hashed.text, hashed.algorithm) == hashed
    assert hashed.fits(b"secret")
    assert not hashed.fits(b"Secret")
    assert not hashed.fits(b"")
    assert hash_password(b"secret", algorithm) != hashed, "each has a salt of its own"


def test_rabbitmqs_documented_hash() -> None:
    """The worked example of RabbitMQ's guide to passwords: test12 with the salt 908D C60A."""
    hashed = parse_hash("kI3GCqW5JLMJa4iX1lo7X4D6XbYqlLgxIs30+P6tENUV2POR", SHA256)
    assert hashed.fits(b"test12")
    salted = bytes.fromhex("908DC60A") + b"test12"
    expected = bytes.fromhex("908DC60A") + sha256(salted).digest()
    assert hashed.text == b64encode(expected).decode()


def test_an_empty_hash_fits_nothing() -> None:
    assert not parse_hash("", SHA256).fits(b"")
    assert not PasswordHash("", SCRYPT).fits(b"x")


@pytest.mark.parametrize(
    ("text", "algorithm", "reason"),
    [
        ("AAAA", "rabbit_password_hashing_md5", "unknown hashing_algorithm"),
        ("!", SHA256, "not base64"),
        ("AAAA", SHA256, "not one of"),
        (b64encode(b"\x1f" + bytes(48)).decode(), SCRYPT, "not one of"),
    ],
)
def test_a_hash_that_cannot_be_checked(text: str, algorithm: str, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_hash(text, algorithm)
