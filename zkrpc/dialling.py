"""Opens a TCP connection from a greenlet: looks the name up and connects within a bound, with errors that say what went
wrong.

A name may have several addresses, of both families, and any of them may belong to a machine that is switched off. So
they are tried in parallel, each a moment after the one before (RFC 8305): an address that drops packets costs that
moment, one that refuses costs nothing, and the last of many still has half of the time.
"""

from __future__ import annotations

import errno
import itertools
import os
import socket
import time
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import gevent
import gevent.monkey
import gevent.socket
from gevent.event import Event

from zkrpc.belonging import keep, release
from zkrpc.endpoint import Endpoint

# The system's own class: a monkey-patched one would wrap each recv of the hot path in a loop that we do not need.
_Socket: Any = gevent.monkey.get_original("socket", "socket")
_UNDER_WAY = (errno.EINPROGRESS, errno.EWOULDBLOCK, errno.EINTR)
_WRITE = 2
_HEAD_START = 0.25
"""Seconds that an address has before the next one is tried, too; the value is that of RFC 8305."""
_MOST_ADDRESSES = 16
"""The most addresses that are tried in parallel: of a name with more, some should answer."""


class Address(NamedTuple):
    """One address of a name, as arguments for ``socket()`` and ``connect()``."""

    family: int
    place: Any

    def __str__(self) -> str:
        """The address as text for messages."""
        host, port = self.place[:2]
        return str(Endpoint(host, port))


class UnknownName(OSError):
    """The host's name has no address, or cannot have one."""


class SlowName(TimeoutError):
    """Looking the host's name up took too long."""


def open_socket(endpoint: Endpoint, timeout: float) -> Any:
    """A connected non-blocking socket to one of the host's addresses.

    Raises OSError with a message that names the reason; among them are UnknownName, and TimeoutError after ``timeout``
    seconds in all.
    """
    give_up_at = time.monotonic() + timeout
    return connect_first(look_up(endpoint, timeout), give_up_at - time.monotonic())


def cooperative(sock: Any) -> Any:
    """The same connection as a socket whose waiting lets other greenlets run; the one that is given is empty then."""
    return gevent.socket.socket(sock.family, socket.SOCK_STREAM, fileno=sock.detach())


def look_up(endpoint: Endpoint, timeout: float) -> list[Address]:
    """The addresses of the host, at least one, alternating between the families.

    Raises UnknownName, and SlowName after ``timeout`` seconds.
    """
    # A literal address needs no look-up, and a look-up costs a native thread.
    for family in (socket.AF_INET, socket.AF_INET6):
        try:
            socket.inet_pton(family, endpoint.host)
        except (OSError, ValueError):
            continue
        return [Address(family, (endpoint.host, endpoint.port))]
    timer = gevent.Timeout(timeout)
    try:
        with timer:
            found = gevent.socket.getaddrinfo(endpoint.host, endpoint.port, type=socket.SOCK_STREAM)
    except gevent.Timeout as expired:
        if expired is not timer:
            raise
        raise SlowName(f"looking up {endpoint.host} took longer than {timeout:.3g} s") from None
    except OSError as error:
        raise UnknownName(error.errno, f"unknown name {endpoint.host!r}: {error.strerror or error}") from error
    except (ValueError, OverflowError) as error:
        # No host name at all: an empty label, one of more than 63 characters, a null in it.
        raise UnknownName(f"{endpoint.host!r} cannot be a host's name: {error}") from error
    if not found:
        raise UnknownName(f"{endpoint.host!r} has no address")
    return take_turns(Address(family, place) for family, _, _, _, place in found)[:_MOST_ADDRESSES]


def take_turns(addresses: Iterable[Address]) -> list[Address]:
    """The addresses without duplicates, alternating between the two families, so that a family that does not work here
    delays by one address only."""
    families: dict[int, list[Address]] = {}
    for address in dict.fromkeys(addresses):
        families.setdefault(address.family, []).append(address)
    rounds = itertools.zip_longest(*families.values())
    return [address for one in rounds for address in one if address is not None]


def connect_first(addresses: Sequence[Address], timeout: float) -> Any:
    """A connected non-blocking socket to whichever address answers first; the other attempts are ended.

    Raises OSError, which is TimeoutError after ``timeout`` seconds, and says how each address failed.
    """
    give_up_at = time.monotonic() + timeout
    head_start = min(_HEAD_START, timeout / (2 * len(addresses)))
    with _Attempts() as attempts:
        for left, address in zip(reversed(range(len(addresses))), addresses):
            attempts.begin(address)
            connected = attempts.wait(min(give_up_at, time.monotonic() + head_start) if left else give_up_at)
            if connected is not None:
                connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                return connected
        raise attempts.failure()


class _Attempts:
    """Connection attempts in parallel within one greenlet; owns the sockets until one is taken."""

    def __init__(self) -> None:
        self._open: dict[Any, tuple[Address, Any]] = {}
        self._ready: deque[Any] = deque()
        self._woken = Event()
        self._failures: dict[Address, OSError] = {}

    def __enter__(self) -> _Attempts:
        keep(self, gevent.get_hub())
        return self

    def __exit__(self, *_: object) -> None:
        for sock in tuple(self._open):
            self._forget(sock)
            sock.close()
        release(self)

    def forked(self) -> None:
        """In a forked child: drops the attempts, which are the parent's."""
        for sock in self._open:
            sock.close()

    cut = forked

    def begin(self, address: Address) -> None:
        try:
            sock = _Socket(address.family, socket.SOCK_STREAM)
        except OSError as error:
            self._failures[address] = error
            return
        watcher = gevent.get_hub().loop.io(sock.fileno(), _WRITE)
        self._open[sock] = address, watcher
        try:
            sock.setblocking(False)
            code = sock.connect_ex(address.place)
        except (OSError, OverflowError) as error:
            self._fail(sock, error if isinstance(error, OSError) else OSError(str(error)))
            return
        if code in _UNDER_WAY:
            watcher.start(self._on_ready, sock)
        elif code:
            self._fail(sock, OSError(code, os.strerror(code)))
        else:
            self._ready.append(sock)

    def wait(self, until: float) -> Any:
        """A connected socket, which belongs to the caller from now on; None at ``until``, or once no attempt is under
        way."""
        while self._open:
            while self._ready:
                sock = self._ready.popleft()
                code = sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if not code:
                    self._forget(sock)
                    return sock
                self._fail(sock, OSError(code, os.strerror(code)))
            if not self._open or (left := until - time.monotonic()) <= 0:
                return None
            self._woken.clear()
            self._woken.wait(left)
        return None

    def failure(self) -> OSError:
        """How all attempts failed, as one error, with the first one's number; a TimeoutError if any timed out."""
        for address, _ in self._open.values():
            self._failures[address] = TimeoutError("no answer to the connection attempt in time")
        failures = list(self._failures.items())
        if len(failures) == 1:
            return failures[0][1]
        text = "; ".join(f"{address}: {error.strerror or error}" for address, error in failures)
        if any(isinstance(error, TimeoutError) for _, error in failures):
            return TimeoutError(text)
        return OSError(failures[0][1].errno, text)

    def _on_ready(self, sock: Any) -> None:
        self._open[sock][1].stop()
        self._ready.append(sock)
        self._woken.set()

    def _fail(self, sock: Any, error: OSError) -> None:
        self._failures[self._open[sock][0]] = error
        self._forget(sock)
        sock.close()

    def _forget(self, sock: Any) -> None:
        _, watcher = self._open.pop(sock)
        watcher.stop()
        watcher.close()
