"""What OpenSSL has to know for a server or a client, made from the files that a config names.

TLS 1.2 and 1.3, without compression, renegotiation and resumption: a connection that is resumed is not checked anew
when authorities or certificates change. A shell in so far as it reads files.
"""

from __future__ import annotations

import ssl
from collections.abc import Iterator

from zkrpc.errors import ConfigError
from zkrpc.tls.settings import ClientTls, ServerTls

PROTOCOL = "zkrpc"
"""The name in ALPN: offered by clients, accepted by servers, wanted by nobody."""
_CIPHERS = "ECDHE+AESGCM:ECDHE+CHACHA20"
"""Of TLS 1.2: those of RFC 9325, with forward secrecy. TLS 1.3 has only such."""
_NO_LISTS = "no lists of revoked certificates, as PEM"
_MODES = {"required": ssl.CERT_REQUIRED, "asked": ssl.CERT_OPTIONAL, "none": ssl.CERT_NONE}


def server_context(tls: ServerTls) -> ssl.SSLContext:
    """A server's. Raises ConfigError with the file that cannot be used, and why."""
    context = _context(ssl.PROTOCOL_TLS_SERVER)
    context.num_tickets = 0
    _load_own(context, tls.certificate, tls.key)
    if tls.ca:
        _load_authorities(context, tls.ca)
    _load_revoked(context, tls.crl)
    context.verify_mode = _MODES[tls.clients or "none"]
    return context


def client_context(tls: ClientTls) -> ssl.SSLContext:
    """A client's. Raises ConfigError with the file that cannot be used, and why."""
    context = _context(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = tls.check_name
    if tls.ca:
        _load_authorities(context, tls.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    _load_revoked(context, tls.crl)
    if tls.pinned:
        _load_authorities(context, tls.pinned)
        context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    if tls.certificate:
        _load_own(context, tls.certificate, tls.key)
    return context


def files_of(tls: ServerTls | ClientTls) -> Iterator[str]:
    """The files that it is made from."""
    for path in (tls.certificate, tls.key, tls.ca, tls.crl, *((tls.pinned,) if isinstance(tls, ClientTls) else ())):
        if path:
            yield path


def _context(protocol: int) -> ssl.SSLContext:
    context = ssl.SSLContext(protocol)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_COMPRESSION | ssl.OP_NO_RENEGOTIATION | ssl.OP_NO_TICKET
    context.set_ciphers(_CIPHERS)
    context.set_alpn_protocols([PROTOCOL])
    return context


def _load_own(context: ssl.SSLContext, certificate: str, key: str) -> None:
    """Loads a certificate with its key."""

    def ask() -> str:
        raise ConfigError(f"the key in {key or certificate} is encrypted; give one that is not, which only we may read")

    try:
        context.load_cert_chain(certificate, key or None, password=ask)
    except ssl.SSLError as error:
        where = f"{certificate} and {key}" if key else certificate
        if error.reason == "KEY_VALUES_MISMATCH":
            raise ConfigError(
                f"the key in {key or certificate} is not that of the certificate in {certificate}"
            ) from error
        raise ConfigError(f"{where}: not a certificate and its key, as PEM") from error
    except OSError as error:
        raise ConfigError(f"{_missing(certificate, key)}: {error.strerror or error}") from error


def _missing(*paths: str) -> str:
    """Which of the files cannot be read: OpenSSL does not tell."""
    for path in filter(None, paths):
        try:
            with open(path, "rb"):
                pass
        except OSError:
            return path
    return " and ".join(filter(None, paths))


def _load_revoked(context: ssl.SSLContext, path: str) -> None:
    if path:
        known = context.cert_store_stats()["crl"]
        _load_authorities(context, path, _NO_LISTS)
        if context.cert_store_stats()["crl"] == known:  # certificates are taken without a word
            raise ConfigError(f"{path}: {_NO_LISTS}")
        context.verify_flags |= ssl.VERIFY_CRL_CHECK_LEAF


def _load_authorities(
    context: ssl.SSLContext, path: str, nothing: str = "no certificates of authorities, as PEM"
) -> None:
    try:
        context.load_verify_locations(path)
    except ssl.SSLError as error:
        raise ConfigError(f"{path}: {nothing}") from error
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror or error}") from error
