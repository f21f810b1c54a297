"""The parts of kazoo's waiting and dialling that zkrpc replaces.

kazoo would resolve all names in advance, blocking the hub for the slowest of them, give one dead address a whole
session timeout, and not report what went wrong. So each name is looked up when its turn comes, in gevent's thread pool.
Its addresses are tried concurrently, each time beginning with another one, since one that accepts connections and does
not answer would otherwise be chosen for ever. A :class:`~zkrpc.zookeeper.diagnosis.Diagnosis` takes in each step and
its outcome.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import ssl
import time
from collections import Counter
from select import POLLIN, POLLOUT
from typing import Any

import gevent
import gevent.monkey
import gevent.socket
from kazoo.exceptions import AuthFailedError, ConnectionDropped, SessionClosedRequireSaslError
from kazoo.handlers.gevent import SequentialGeventHandler

from zkrpc.dialling import SlowName, UnknownName, connect_first, cooperative, look_up
from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.diagnosis import Diagnosis, Trouble
from zkrpc.zookeeper.encryption import Encryption

# The original poll, even if a launcher has monkey-patched the module with gevent's.
_Poll: Any = gevent.monkey.get_original("select", "poll")
# Errors of a connection that the server closed before it was used.
_HUNG_UP = (errno.EPIPE, errno.ECONNRESET, errno.ECONNABORTED)
_READ_SIZE = 64 * 1024
_NO_ROUTE = (errno.EHOSTUNREACH, errno.ENETUNREACH, errno.EHOSTDOWN, errno.ENETDOWN, errno.EADDRNOTAVAIL)


class Handler(SequentialGeventHandler):  # type: ignore[misc]  # kazoo is untyped
    """kazoo's gevent handler, with a bound on each connect so that one dead server does not cost the session.

    In the middle of a message it polls the kernel before it waits in the hub: kazoo waits three times for each request,
    mostly for a socket that is ready, and gevent would make and close a selector with watchers each time. Between
    messages it waits in the hub, so that other greenlets run.
    """

    def __init__(self, connect_timeout: float, diagnosis: Diagnosis, encryption: Encryption | None = None) -> None:
        """``connect_timeout`` bounds one dial, including the name's lookup: the name of a dead container may take a
        resolver 10 s (measured). ``encryption`` is of gevent's kind; None for plain connections."""
        super().__init__()
        self.connect_timeout = connect_timeout
        self.server: Endpoint | None = None
        """The server that was dialled last."""
        self.address: Endpoint | None = None
        """The address at which it was reached last."""
        self._diagnosis = diagnosis
        self._encryption = encryption
        self._dialled = Counter[Endpoint]()

    def start(self) -> None:
        """Starts the workers, and removes kazoo's exit handler: it would wait for them at the end of the program, when
        there may be no hub to run them."""
        super().start()
        atexit.unregister(self.stop)

    def select(self, rlist: Any, wlist: Any, xlist: Any, timeout: float | None = None) -> Any:
        """As ``select.select``, for sockets that greenlets wait for."""
        if self._encryption is not None and (waiting := [sock for sock in rlist if _holds_bytes(sock)]):
            # Decrypted already, so the descriptor need not become readable for them, and kazoo would wait for that.
            return waiting, [], []
        socks = (*rlist, *wlist)
        if len(socks) == 1 and _is_ready(socks[0], POLLIN if rlist else POLLOUT):
            return rlist, wlist, []
        return super().select(rlist, wlist, xlist, timeout)

    def create_connection(self, address: tuple[str, int], *, timeout: float, **_: Any) -> Any:
        """A connected socket to one server. Raises OSError."""
        server = self.server = Endpoint(*address)
        give_up_at = time.monotonic() + min(timeout, self.connect_timeout)
        try:
            return self._dial(server, give_up_at)
        except OSError as error:
            trouble = _trouble_of(error)
            self._diagnosis.receive_failure(server, trouble, time.monotonic(), _detail(trouble, error))
            raise

    def _dial(self, server: Endpoint, give_up_at: float) -> Any:
        began = time.monotonic()
        self._diagnosis.begin(server, Trouble.SLOW_NAME, began)
        addresses = look_up(server, give_up_at - began)
        first = self._dialled[server] % len(addresses)
        self._dialled[server] += 1
        self._diagnosis.begin(server, Trouble.SILENT, time.monotonic())
        sock = connect_first([*addresses[first:], *addresses[:first]], give_up_at - time.monotonic())
        self._diagnosis.begin(server, Trouble.MUTE, time.monotonic())
        self.address = None
        with contextlib.suppress(OSError):  # it has hung up already, which the handshake will find out
            self.address = Endpoint(*sock.getpeername()[:2])
        return self._encrypted(cooperative(sock), server, give_up_at)

    def _encrypted(self, sock: Any, server: Endpoint, give_up_at: float) -> Any:
        if self._encryption is None:
            return sock
        timer = gevent.Timeout(max(0.001, give_up_at - time.monotonic()))
        try:
            with timer:
                return self._encryption.wrap(sock, server.host)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            raise _SlowHandshake("the TLS handshake took too long") from None

    def receive_greeting_failed(self, error: BaseException, *, seen_anything: bool) -> None:
        """The handshake with the server that was dialled last has failed; ``seen_anything`` if it named a last seen
        transaction."""
        if self.server is None:
            return
        hangs_up = Trouble.HANGS_UP_ON_US if seen_anything else Trouble.HANGS_UP
        if isinstance(error, (AuthFailedError, SessionClosedRequireSaslError)):
            trouble, detail = Trouble.UNAUTHORIZED, ""
        elif isinstance(error, self.timeout_exception):
            trouble, detail = Trouble.MUTE, ""
        elif self._encryption is not None and _refuses_us(error):
            # In TLS 1.3 a server looks at our certificate after the handshake has ended for us.
            trouble, detail = Trouble.REFUSES_US, str(error)
        elif isinstance(error, ConnectionDropped) and "invalid" not in str(error):
            trouble, detail = hangs_up, ""
        else:
            trouble, detail = Trouble.OTHER, f"{type(error).__name__}: {error}"
        self._diagnosis.receive_failure(self.server, trouble, time.monotonic(), detail)


def say_goodbye(sock: Any, message: bytes, timeout: float) -> None:
    """Sends a last message without the hub, and waits until the server has closed the connection: if the client closed
    it first, the message could be lost. Raises OSError."""
    plain = sock._sock
    encrypted = getattr(sock, "_sslobj", None)
    (plain.send if encrypted is None else encrypted.write)(message)
    plain.shutdown(gevent.socket.SHUT_WR)
    poll, give_up_at = _Poll(), time.monotonic() + timeout
    poll.register(plain, POLLIN)
    while (left := give_up_at - time.monotonic()) > 0 and poll.poll(left * 1000):
        if not plain.recv(_READ_SIZE):
            break


def _refuses_us(error: BaseException) -> bool:
    """Whether a server's alert is about who we are."""
    text = str(error).lower().replace("_", " ")
    return "alert" in text and ("certificate" in text or "handshake failure" in text or "unknown ca" in text)


class _SlowHandshake(TimeoutError):
    """TLS could not be agreed upon in time."""


def _holds_bytes(sock: Any) -> bool:
    return hasattr(sock, "pending") and sock.pending() > 0


def _is_ready(sock: Any, events: int) -> bool:
    if sock.fileno() < 0:
        return False
    poll = _Poll()
    poll.register(sock, events)
    return bool(poll.poll(0))


def _trouble_of(error: OSError) -> Trouble:
    if isinstance(error, SlowName):
        return Trouble.SLOW_NAME
    if isinstance(error, UnknownName):
        return Trouble.UNKNOWN_NAME
    if isinstance(error, ssl.SSLCertVerificationError):
        return Trouble.UNTRUSTED
    if isinstance(error, ssl.SSLError) and _refuses_us(error):
        return Trouble.REFUSES_US
    if isinstance(error, (ssl.SSLError, _SlowHandshake)):
        return Trouble.NO_TLS
    if isinstance(error, TimeoutError):
        return Trouble.SILENT
    if isinstance(error, ConnectionRefusedError):
        return Trouble.REFUSED
    if error.errno in _HUNG_UP:
        return Trouble.HANGS_UP
    return Trouble.NO_ROUTE if error.errno in _NO_ROUTE else Trouble.OTHER


def _detail(trouble: Trouble, error: OSError) -> str:
    """The system's text for the error, where it says more than the trouble's own text."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    if trouble not in (Trouble.UNKNOWN_NAME, Trouble.NO_ROUTE, Trouble.NO_TLS, Trouble.REFUSES_US, Trouble.OTHER):
        return ""
    return str(getattr(error.__cause__, "strerror", None) or error.strerror or error)
