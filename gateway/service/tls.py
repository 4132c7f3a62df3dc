"""TLS for the listeners: the certificate files as one context, which can be read again.

Imports pyOpenSSL and, through it, cryptography: so it is imported only when TLS is configured.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from OpenSSL import SSL
from twisted.internet.interfaces import (
    IAddress,
    IOpenSSLServerConnectionCreator,
    IProtocolFactory,
    IReactorTime,
)
from twisted.internet.protocol import connectionDone
from twisted.protocols.tls import TLSMemoryBIOFactory, TLSMemoryBIOProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from gateway.config import ConfigError, TlsConfig
from gateway.security.certificates import user_of
from gateway.service.doorway import DoorwayFactory, HandshakeDoorway

_VERSIONS = {"1.2": SSL.TLS1_2_VERSION, "1.3": SSL.TLS1_3_VERSION}
_VERIFY = {
    "none": SSL.VERIFY_NONE,
    "optional": SSL.VERIFY_PEER,
    "required": SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT,
}


@implementer(IOpenSSLServerConnectionCreator)
class Tls:
    """Our side of every TLS connection; connections keep the certificate they began with."""

    def __init__(self, config: TlsConfig) -> None:
        """Read the files. Raises `ConfigError`."""
        self._config = config
        self._context = _make_context(config)

    def reload(self) -> None:
        """Read the files again, for new connections. Raises `ConfigError`; then nothing changes."""
        self._context = _make_context(self._config)

    def wrap(
        self, factory: IProtocolFactory, clock: IReactorTime, timeout_s: float
    ) -> IProtocolFactory:
        """`factory`, for peers that finish a handshake within `timeout_s`."""

        def make_doorway(address: IAddress | None) -> HandshakeDoorway:
            return HandshakeDoorway(factory, self._user_of, clock, timeout_s)

        return _TlsFactory(self, False, DoorwayFactory(factory, make_doorway), clock)

    def serverConnectionForTLS(self, protocol: TLSMemoryBIOProtocol) -> SSL.Connection:  # noqa: N802
        """Twisted: somebody connects."""
        return SSL.Connection(self._context)

    def _user_of(self, transport: Any) -> str | None:
        # Whatever certificate is here was verified: unverified ones end the handshake.
        certificate = transport.getHandle().get_peer_certificate(as_cryptography=True)
        return None if certificate is None else user_of(certificate, self._config.user_from)


class _TlsTransport(TLSMemoryBIOProtocol):
    """Not Twisted's buffering one: a connection's output comes in one piece a turn already.

    And Twisted's go in circles when they are lost: all that the peer has sent would be kept until
    the garbage collector comes, which it seldom does.
    """

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: N802
        """Twisted: the socket is closed."""
        super().connectionLost(reason)  # type: ignore[no-untyped-call]
        self._producer = None  # It knows us.

    def _tlsShutdownFinished(self, reason: Failure | None) -> None:  # noqa: N802
        """Twisted: TLS is over; `reason` is why, where the peer did not say goodbye."""
        super()._tlsShutdownFinished(reason)  # type: ignore[no-untyped-call]
        if reason is not None:
            reason.cleanFailure()  # It knows the call that made it, which knows it.


class _TlsFactory(TLSMemoryBIOFactory):
    protocol = _TlsTransport


def _make_context(config: TlsConfig) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(_VERSIONS[config.minimum_version])
    # Nobody resumes a session: connections are long, and each is to show its certificate.
    context.set_options(SSL.OP_NO_RENEGOTIATION | SSL.OP_NO_COMPRESSION | SSL.OP_NO_TICKET)
    context.set_session_cache_mode(SSL.SESS_CACHE_OFF)
    _try("tls.ciphers", lambda: context.set_cipher_list(config.ciphers.encode()))
    _load_certificate(context, config)
    context.set_verify(_VERIFY[config.verify])
    if config.ca:
        _read("tls.ca", config.ca)
        _try(f"tls.ca: {config.ca}", lambda: context.load_verify_locations(config.ca))
        context.load_client_ca(config.ca.encode())
    return context


def _load_certificate(context: SSL.Context, config: TlsConfig) -> None:
    pem = _read("tls.certificate", config.certificate)
    try:
        first, *others = x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise ConfigError(f"tls.certificate: {config.certificate} is no PEM certificate") from None
    key_path = config.key or config.certificate
    password = config.key_password.encode() or None
    try:
        key: Any = load_pem_private_key(_read("tls.key", key_path), password)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        reason = str(error).partition("\n")[0].partition(". ")[0]
        raise ConfigError(f"tls.key: cannot use {key_path}: {reason}") from None
    if key.public_key() != first.public_key():
        raise ConfigError(f"tls.key: {key_path} is not the key of {config.certificate}")
    _try(f"tls.certificate: {config.certificate}", lambda: context.use_certificate(first))
    for certificate in others:
        context.add_extra_chain_cert(certificate)
    _try(f"tls.key: {key_path}", lambda: context.use_privatekey(key))


def _read(name: str, path: str) -> bytes:
    try:
        return Path(path).read_bytes()
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {path}: {error.strerror}") from None


def _try(name: str, action: Callable[[], object]) -> None:
    try:
        action()
    except SSL.Error as error:
        reasons = error.args[0] if error.args and error.args[0] else [("", "", "unusable")]
        raise ConfigError(f"{name}: {reasons[0][2]}") from None
