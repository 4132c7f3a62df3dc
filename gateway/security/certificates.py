"""The name of a user as a client's certificate has it, written as RabbitMQ writes it.

Users are looked up by this text, so a list of users made for RabbitMQ must fit. Imports
`cryptography`, so only `gateway.service.tls` may import it.
"""

from __future__ import annotations

from typing import Literal

from cryptography.x509 import Certificate, Name, NameAttribute
from cryptography.x509.oid import NameOID, ObjectIdentifier

UserFrom = Literal["distinguished_name", "common_name"]

_SHORT_NAMES: dict[ObjectIdentifier, str] = {
    NameOID.SURNAME: "SN",
    NameOID.GIVEN_NAME: "GIVENNAME",
    NameOID.INITIALS: "INITIALS",
    NameOID.GENERATION_QUALIFIER: "GENERATIONQUALIFIER",
    NameOID.COMMON_NAME: "CN",
    NameOID.LOCALITY_NAME: "L",
    NameOID.STATE_OR_PROVINCE_NAME: "ST",
    NameOID.ORGANIZATION_NAME: "O",
    NameOID.ORGANIZATIONAL_UNIT_NAME: "OU",
    NameOID.TITLE: "TITLE",
    NameOID.COUNTRY_NAME: "C",
    NameOID.SERIAL_NUMBER: "SERIALNUMBER",
    NameOID.PSEUDONYM: "PSEUDONYM",
    NameOID.DOMAIN_COMPONENT: "DC",
    NameOID.EMAIL_ADDRESS: "EMAILADDRESS",
    NameOID.STREET_ADDRESS: "STREET",
    NameOID.USER_ID: "UID",
}


def user_of(certificate: Certificate, user_from: UserFrom) -> str | None:
    """The user that a certificate names; None if it names none."""
    if user_from == "distinguished_name":
        return distinguished_name(certificate.subject) or None
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return ",".join(_text(name) for name in names) or None


def distinguished_name(name: Name) -> str:
    """RFC 4514: the last part first, `CN=...,O=...`; every octet beyond ASCII is escaped."""
    return ",".join(
        "+".join(f"{_type(part)}={_escape(_text(part))}" for part in parts)
        for parts in reversed(name.rdns)
    )


def _type(part: NameAttribute[str | bytes]) -> str:
    return _SHORT_NAMES.get(part.oid, part.oid.dotted_string)


def _text(part: NameAttribute[str | bytes]) -> str:
    return part.value if isinstance(part.value, str) else part.value.hex()


def _escape(value: str) -> str:
    octets = value.encode()
    last_index = len(octets) - 1
    escaped = []
    for index, octet in enumerate(octets):
        character = chr(octet)
        # RFC 4514, 2.4; RabbitMQ also escapes "~".
        special = character in '"+,;<>\\' or (
            (index == 0 and character in " #") or (index == last_index and character == " ")
        )
        if octet < 32 or octet >= 126:
            escaped.append(f"\\{octet:02X}")
        else:
            escaped.append(f"\\{character}" if special else character)
    return "".join(escaped)
