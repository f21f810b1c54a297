"""Connections with TLS, as a client opens them.

A client either does TLS with all that it calls or with nobody: there is no falling back, which whoever stands between
could bring about. One without it that finds a member whose record says TLS says so at once.
"""

from __future__ import annotations

import functools
import logging
import ssl
import time
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from gevent import get_hub
from gevent.timeout import Timeout

from zkrpc.caller import Caller
from zkrpc.client.connection import Connection
from zkrpc.client.pulse import ConnectionOwner
from zkrpc.client.resolver import ZKRPC
from zkrpc.config import WireLimits
from zkrpc.dialling import open_socket
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError
from zkrpc.legible import ago
from zkrpc.telemetry.events import CertificateRejected, CertificateReloaded
from zkrpc.telemetry.observer import NOBODY, Observer, Observers, gather
from zkrpc.tls.layer import TlsLayer, TlsState
from zkrpc.tls.settings import ClientTls, asking
from zkrpc.tls.source import ContextSource, Reload
from zkrpc.tls.stream import TlsSocket
from zkrpc.wire.message import Dialect

log = logging.getLogger(__name__)

_READ, _WRITE = 1, 2
_READ_SIZE = 16 * 1024

NEEDS_TLS = (
    "it takes TLS only, says its record, and this client does none: give connect(tls=zkrpc.ClientTls(...)), or the "
    "command --tls-ca"
)


class Dialler(Protocol):
    """Opens a connection, as :meth:`zkrpc.client.connection.Connection.dial` does over TCP."""

    def __call__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        limits: WireLimits,
        connect_timeout: float,
        owner: ConnectionOwner[Connection],
        *,
        zkrpc: bool,
        clock: Callable[[], float],
        caller: Caller,
    ) -> Connection:
        """The connection; raises OSError."""


class TlsDialler:
    """Opens connections with TLS. ``observers`` are told of changes of the certificate, for the calls to ``service``.

    Raises ConfigError if the files that ``tls`` names cannot be used.
    """

    def __init__(self, tls: ClientTls, observers: Observers = NOBODY, service: str = "") -> None:
        self._service = service
        self._observers = observers
        self._source = ContextSource(tls, time.monotonic, self._tell)
        self._server_name = tls.server_name
        self._told: float | None = None
        """The end of a certificate of which it was said that it has expired."""
        self._dial = functools.partial(Connection.dial, connect=self.connect)

    def __repr__(self) -> str:
        """The source of certificates."""
        return f"<TlsDialler {self._source!r}>"

    def __call__(self, *arguments: Any, **options: Any) -> Connection:
        """The connection, with its handshake done; raises OSError. The arguments are a Dialler's."""
        return self._dial(*arguments, **options)

    @property
    def certificate_expires_at(self) -> float | None:
        """When the client's own certificate ends, Unix time; None if it has none."""
        return self._source.expires_at

    def _tell(self, reload: Reload) -> None:
        if reload.failure:
            self._observers.tell(CertificateRejected(service=self._service, side="client", reason=reload.failure))
        else:
            self._observers.tell(CertificateReloaded(service=self._service, side="client"))

    def connect(self, endpoint: Endpoint, timeout: float) -> TlsSocket:
        """A connected socket whose handshake is done; raises OSError, which is TimeoutError after ``timeout``
        seconds."""
        context = self._source.current()
        self._tell_if_expired(time.time())
        return open_tls(context, self._server_name, endpoint, timeout)

    def _tell_if_expired(self, wall_now: float) -> None:
        """Says once of each certificate that it has expired: what a server says of it may be no more than that it is
        not accepted."""
        end = self._source.expires_at
        if end is not None and end <= wall_now and end != self._told:
            self._told = end
            log.error(
                "the client certificate in %s expired %s; servers that want one refuse it: write a new one into the "
                "file, which is read without a restart",
                self._source.tls.certificate,
                ago(end, wall_now),
            )


def open_tls(context: ssl.SSLContext, server_name: str, endpoint: Endpoint, timeout: float) -> TlsSocket:
    """A connected socket whose handshake is done, with a server that is told this name, or else its host. Raises
    OSError, which is TimeoutError after ``timeout`` seconds, and ValueError for a name that cannot be one."""
    give_up_at = time.monotonic() + timeout
    layer = TlsLayer(context, server_name or endpoint.host.removesuffix("."))
    sock = open_socket(endpoint, timeout)
    try:
        _shake_hands(sock, layer, give_up_at)
    except BaseException:
        sock.close()
        raise
    return TlsSocket(sock, layer)


def dialler_of(tls: ClientTls | None, observers: Iterable[Observer] = (), service: str = "") -> Dialler:
    """What opens connections for a client with these settings. Raises ConfigError if they are none."""
    if tls is None:
        return Connection.dial
    if not isinstance(tls, ClientTls):
        raise ConfigError(f"tls must be a zkrpc.ClientTls, got {tls!r}")
    return TlsDialler(tls, gather(observers), service)


@functools.lru_cache(maxsize=1)
def _own_dialler(tls: ClientTls) -> TlsDialler:
    return TlsDialler(tls)


def dialler_to(instance: Instance) -> Dialler:
    """What opens connections to an instance when this process asks it by itself. Raises ConfigError if the files that
    it was told to use cannot be used."""
    tls = asking()
    if tls is None or (not instance.tls and ZKRPC in instance.protocols):
        return Connection.dial
    return _own_dialler(tls)


def opener_to(instance: Instance) -> Callable[[Endpoint, float], Any]:
    """The same for whoever wants the socket."""
    dial = dialler_to(instance)
    return dial.connect if isinstance(dial, TlsDialler) else open_socket


def obstacle_of(dial: Dialler, takes_tls: bool) -> str:
    """Why this dialler need not try a member whose record says whether it takes TLS; empty if nothing is known."""
    return NEEDS_TLS if takes_tls and not isinstance(dial, TlsDialler) else ""


def expiry_of(dial: Dialler) -> float | None:
    """When the certificate ends that it shows, Unix time; None if it shows none."""
    return dial.certificate_expires_at if isinstance(dial, TlsDialler) else None


def _shake_hands(sock: Any, layer: TlsLayer, give_up_at: float) -> None:
    while True:
        state = layer.handshake()
        while data := layer.data_to_send():
            try:
                layer.sent(sock.send(data))
            except (BlockingIOError, InterruptedError):
                _wait(sock, _WRITE, give_up_at)
            except OSError:
                if state is not TlsState.CLOSED:
                    raise
                break
        if state is TlsState.OPEN:
            return
        if state is TlsState.CLOSED:
            raise ConnectionError(f"no TLS connection: {layer.failure}")
        _wait(sock, _READ, give_up_at)
        try:
            layer.receive_data(sock.recv(_READ_SIZE))
        except (BlockingIOError, InterruptedError):
            pass


def _wait(sock: Any, events: int, give_up_at: float) -> None:
    hub = get_hub()
    watcher = hub.loop.io(sock.fileno(), events)
    try:
        with Timeout(max(0.001, give_up_at - time.monotonic()), TimeoutError("the TLS handshake took too long")):
            hub.wait(watcher)
    finally:
        watcher.stop()
        watcher.close()
