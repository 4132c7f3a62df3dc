"""Certificates made on the spot, by an authority that only a test trusts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import NameOID

DAY = timedelta(days=1)


def make_name(*parts: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    return x509.Name([x509.NameAttribute(kind, value) for kind, value in parts])


class Authority:
    """Signs certificates and puts them, with their keys, into a folder."""

    def __init__(self, folder: Path, name: str = "authority") -> None:
        self._folder = folder
        self._key = generate_private_key(SECP256R1())
        self._name = make_name((NameOID.COMMON_NAME, name))
        key = self._key.public_key()
        builder = _builder(self._name, self._name, key).add_extension(
            x509.BasicConstraints(ca=True, path_length=None), critical=True
        )
        self.path = folder / f"{name}.pem"
        self.path.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))

    def issue(
        self, file_name: str, subject: x509.Name | str = "localhost", password: str = ""
    ) -> tuple[Path, Path]:
        """The files of a new certificate and of its key."""
        if isinstance(subject, str):
            subject = make_name((NameOID.COMMON_NAME, subject))
        key = generate_private_key(SECP256R1())
        names = [x509.DNSName("localhost"), x509.IPAddress(ip_address("127.0.0.1"))]
        builder = _builder(subject, self._name, key.public_key()).add_extension(
            x509.SubjectAlternativeName(names), critical=False
        )
        certificate_path = self._folder / f"{file_name}.pem"
        key_path = self._folder / f"{file_name}.key"
        certificate_path.write_bytes(builder.sign(self._key, SHA256()).public_bytes(Encoding.PEM))
        protection = BestAvailableEncryption(password.encode()) if password else NoEncryption()
        key_path.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, protection))
        return certificate_path, key_path


def _builder(subject: x509.Name, issuer: x509.Name, key: object) -> x509.CertificateBuilder:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - DAY)
        .not_valid_after(now + DAY)
    )
