"""How a server and a client do TLS: values, which name files and open none."""

from __future__ import annotations

import dataclasses

from zkrpc.errors import ConfigError

HANDSHAKE = 22
"""The first byte of a connection with TLS."""
NO_TLS_HERE = b"\x15\x03\x01\x00\x02\x02\x46"
"""A fatal alert of TLS, ``protocol_version``: what a peer is told that does TLS where it is not done, or does not where
it is. Clients of zkrpc name it."""

TLS_CLIENTS = ("required", "asked", "none")
"""What a server with TLS may want of its clients: a certificate, one if they have it, or nothing."""


def _check(holder: object, name: str, accepted: bool, expected: str) -> None:
    if not accepted:
        raise ConfigError(f"{type(holder).__name__}.{name} must be {expected}, got {getattr(holder, name)!r}")


def _check_paths(holder: ServerTls | ClientTls) -> None:
    """Checks what both sides have in common: texts everywhere, and no key or authority without its use."""
    for name in ("certificate", "key", "ca", "crl", *(("pinned",) if isinstance(holder, ClientTls) else ())):
        _check(holder, name, isinstance(getattr(holder, name), str), "a file's path")
    if holder.key and not holder.certificate:
        raise ConfigError(f"{type(holder).__name__}.key belongs to a certificate: give .certificate, too")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServerTls:
    """How a server does TLS. All files are PEM; when they change, new connections get what is in them then."""

    certificate: str
    """The file with the server's certificate, and after it those between it and an authority."""
    key: str = ""
    """The file with its key; empty: the certificate's file has it."""
    ca: str = ""
    """The file with the authorities whose certificates clients may show."""
    crl: str = ""
    """The file with the authorities' lists of revoked certificates; empty: nobody looks. If there is one, only
    clients get in whose authority has a list in it that has not expired."""
    clients: str | None = None
    """``"required"``: only clients with a certificate get in; ``"asked"``: others do, too, without an identity;
    ``"none"``: nobody is asked. None: required if there is a ``ca``, else none."""
    handshake_timeout: float = 5.0
    """Seconds that a handshake may take: a few round trips, on a bad network."""
    max_handshakes: int = 512
    """Handshakes that may have begun, half of them of one address, and a quarter of those that may be open altogether.
    Beyond it the one that has lasted longest ends, of the address that has most."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _check_paths(self)
        if not self.certificate:
            raise ConfigError("ServerTls.certificate must name the file of the server's certificate")
        _check(self, "clients", self.clients in (None, *TLS_CLIENTS), f"one of {', '.join(TLS_CLIENTS)}")
        clients = self.clients or ("required" if self.ca else "none")
        if (clients == "none") is bool(self.ca):
            raise ConfigError(
                "ServerTls.ca names the authorities of clients' certificates: give it if clients are required or asked "
                f"to show one, and only then; got ca={self.ca!r} and clients={clients!r}"
            )
        _check(self, "crl", not self.crl or bool(self.ca), "given with a ca only: it is about clients' certificates")
        object.__setattr__(self, "clients", clients)
        timeout, most = self.handshake_timeout, self.max_handshakes
        is_time = isinstance(timeout, (int, float)) and not isinstance(timeout, bool) and 0 < timeout <= 3600
        _check(self, "handshake_timeout", is_time, "seconds, more than 0 and at most 3600")
        _check(self, "max_handshakes", type(most) is int and most > 0, "a whole number from 1")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClientTls:
    """How a client does TLS. All files are PEM; when they change, new connections get what is in them then."""

    ca: str = ""
    """The file with the authorities whose certificates servers may show; empty: those that the system trusts."""
    crl: str = ""
    """The file with the authorities' lists of revoked certificates; empty: nobody looks. If there is one, servers are
    accepted only whose authority has a list in it that has not expired."""
    certificate: str = ""
    """The file with the client's own certificate, for servers that ask for one; empty: none is shown."""
    key: str = ""
    """The file with its key; empty: the certificate's file has it."""
    pinned: str = ""
    """A file with certificates that are trusted as they stand, beside those of the authorities: a server's own, whoever
    has issued it, or that of an intermediate authority. Names are checked all the same."""
    server_name: str = ""
    """The name that servers' certificates must have, and that servers are told (SNI); empty: the host at which each is
    found. For members that are registered by their address while certificates have the service's name."""
    check_name: bool = True
    """Whether the certificate must have that name. If not, whoever has any certificate of these authorities can stand
    for the server."""

    def __post_init__(self) -> None:
        """Checks every field."""
        _check_paths(self)
        _check(self, "server_name", isinstance(self.server_name, str), "a host's name")
        _check(self, "check_name", isinstance(self.check_name, bool), "True or False")


_asking: dict[str, str] = {}


def ask_with(**fields: str) -> None:
    """From now on this process does TLS when it asks instances by itself, as commands and the dashboard do: with these
    fields of a ClientTls, beside those that were given before. It says nothing of the clients that programs make."""
    _asking.update(fields)


def asking() -> ClientTls | None:
    """What was said by ``ask_with``; None if nothing was. Raises ConfigError if it does not go together."""
    return ClientTls(**{name: value for name, value in _asking.items() if value}) if _asking else None  # type: ignore
