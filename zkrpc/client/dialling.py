"""Opening a TCP connection from a greenlet: resolve, connect, within a bound, and say plainly what went wrong."""

from __future__ import annotations

import errno
import os
import socket
import time
from typing import Any

import gevent
import gevent.monkey
import gevent.socket

from zkrpc.endpoint import Endpoint

# The system's own class: a monkey-patched one would wrap each recv of the hot path in a loop that we do not need.
_Socket: Any = gevent.monkey.get_original("socket", "socket")
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)


def open_socket(endpoint: Endpoint, timeout: float) -> Any:
    """A connected non-blocking socket; each address of the host is tried in turn.

    Raises OSError (TimeoutError after ``timeout`` seconds over all) with a message that names the reason.
    """
    give_up_at = time.monotonic() + timeout
    failure = OSError(f"{endpoint.host} has no address")
    for family, kind, protocol, _, address in _addresses(endpoint, timeout):
        sock = _Socket(family, kind, protocol)
        try:
            _connect(sock, address, give_up_at - time.monotonic())
        except OSError as error:
            sock.close()
            failure = error
        except BaseException:
            sock.close()
            raise
        else:
            return sock
    raise failure


def _addresses(endpoint: Endpoint, timeout: float) -> list[Any]:
    # A literal address needs no look-up, and a look-up costs a native thread.
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, endpoint.host)
        except OSError:
            continue
        return [(family, socket.SOCK_STREAM, 0, "", (endpoint.host, endpoint.port))]
    timer = gevent.Timeout(timeout)
    try:
        with timer:
            found: list[Any] = gevent.socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
            return found
    except gevent.Timeout as expired:
        if expired is not timer:
            raise
        raise TimeoutError(f"looking up {endpoint.host} took longer than {timeout:.3g} s") from None


def _connect(sock: Any, address: Any, timeout: float) -> None:
    sock.setblocking(False)
    code = sock.connect_ex(address)
    if code in _UNDER_WAY:
        try:
            gevent.socket.wait_write(sock.fileno(), timeout=max(0.0, timeout))
        except TimeoutError:
            raise TimeoutError("no answer to the connection attempt in time") from None
        code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    if code:
        raise OSError(code, os.strerror(code))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
