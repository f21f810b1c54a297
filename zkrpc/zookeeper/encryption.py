"""TLS to ZooKeeper servers: contexts from the settings, with certificates and names always checked.

kazoo has TLS of its own, which checks no name unless told to and looks every name up again; nothing of it is used. The
caller brings the socket, Python's or gevent's, and the class of contexts that fits it.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from typing import Any

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import ConfigError

_log = logging.getLogger("zkrpc.zookeeper.session")


class Encryption:
    """Puts connections into TLS, each with the files as they are then: certificates are replaced without a restart."""

    def __init__(self, security: ZooKeeperSecurity, kind: type[ssl.SSLContext] = ssl.SSLContext) -> None:
        """Raises ConfigError, which names the file, if one of them cannot be used."""
        self._security = security
        self._kind = kind
        self._context = make_context(security, kind)
        self._told = ""

    @classmethod
    def of(cls, security: ZooKeeperSecurity, kind: type[ssl.SSLContext] = ssl.SSLContext) -> Encryption | None:
        """None if the settings want no TLS."""
        return cls(security, kind) if security.uses_tls else None

    def wrap(self, sock: Any, host: str) -> Any:
        """The connection to ``host`` in TLS, after the handshake, each step of which may take as long as the socket's
        timeout. Raises OSError, ssl.SSLCertVerificationError if it is not who it should be; the socket is closed then.

        Files that cannot be used now, as when they are being replaced, leave those of before in use.
        """
        try:
            self._context = make_context(self._security, self._kind)
            self._told = ""
        except ConfigError as error:
            if str(error) != self._told:
                self._told = str(error)
                _log.warning("%s; what was read before is used on", error)
        name = self._security.server_name or host
        try:
            sock = self._context.wrap_socket(sock, server_hostname=name, do_handshake_on_connect=False)
            sock.do_handshake()
        except BaseException:  # a gevent.Timeout is none of Exception
            sock.close()
            raise
        return sock


def make_context(security: ZooKeeperSecurity, kind: type[ssl.SSLContext] = ssl.SSLContext) -> ssl.SSLContext:
    """A context with the files of this moment. Raises ConfigError, which names the file that is wrong."""
    context = kind(ssl.PROTOCOL_TLS_CLIENT)  # TLS 1.2 and later; certificates and names are checked
    if security.ca:
        with _naming("the certificates of those who may vouch for it", security.ca):
            context.load_verify_locations(security.ca)
    else:
        context.load_default_certs(ssl.Purpose.SERVER_AUTH)
    if security.certificate:
        files = security.certificate if not security.key else f"{security.certificate} and {security.key}"
        with _naming("our certificate and its key", files):
            # Without a password OpenSSL would ask the terminal for one.
            password = security.key_password or ""
            context.load_cert_chain(security.certificate, security.key or None, lambda: password)
    return context


@contextlib.contextmanager
def _naming(what: str, path: str) -> Any:
    try:
        yield
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise ConfigError(f"TLS to ZooKeeper: cannot use {what} in {path}: {reason}") from error
