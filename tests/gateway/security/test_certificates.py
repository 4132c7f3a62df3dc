from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from gateway.security.certificates import distinguished_name, user_of
from tests.support.certificates import Authority, make_name

CN, O, C = NameOID.COMMON_NAME, NameOID.ORGANIZATION_NAME, NameOID.COUNTRY_NAME  # noqa: E741


@pytest.mark.parametrize(
    ("parts", "text"),
    [
        ([(C, "DE"), (O, "Shop"), (CN, "client")], "CN=client,O=Shop,C=DE"),
        ([(NameOID.DOMAIN_COMPONENT, "org"), (NameOID.USER_ID, "u")], "UID=u,DC=org"),
        ([(NameOID.EMAIL_ADDRESS, "a@b.c"), (NameOID.STREET_ADDRESS, "x")],
         "STREET=x,EMAILADDRESS=a@b.c"),
        ([(x509.ObjectIdentifier("1.2.3.4"), "x")], "1.2.3.4=x"),
        ([(CN, 'a,b+c"d\\e<f>g;h')], 'CN=a\\,b\\+c\\"d\\\\e\\<f\\>g\\;h'),
        ([(CN, " # ")], "CN=\\ #\\ "),
        ([(CN, "#1")], "CN=\\#1"),
        ([(CN, " ")], "CN=\\ "),
        ([(CN, "Käthe~\n")], "CN=K\\C3\\A4the\\7E\\0A"),
        ([], ""),
    ],
)  # fmt: skip
def test_distinguished_names_as_rabbitmq_writes_them(
    parts: list[tuple[x509.ObjectIdentifier, str]], text: str
) -> None:
    assert distinguished_name(make_name(*parts)) == text


def test_a_part_of_several() -> None:
    both = x509.RelativeDistinguishedName([x509.NameAttribute(CN, "a"), x509.NameAttribute(O, "b")])
    assert distinguished_name(x509.Name([both])) == "CN=a+O=b"


@pytest.mark.parametrize(
    ("subject", "names"),
    [
        (make_name((O, "Shop"), (CN, "a")), ("CN=a,O=Shop", "a")),
        (make_name((CN, "a"), (CN, "b, c")), ("CN=b\\, c,CN=a", "a,b, c")),
        (make_name((O, "Shop")), ("O=Shop", None)),
        (make_name(), (None, None)),
    ],
)
def test_the_user_of_a_certificate(
    tmp_path: Path, subject: x509.Name, names: tuple[str | None, str | None]
) -> None:
    path, _key = Authority(tmp_path).issue("client", subject)
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    assert user_of(certificate, "distinguished_name") == names[0]
    assert user_of(certificate, "common_name") == names[1]
