"""Opens and closes a ZooKeeper session at one server, without kazoo.

There are two uses. A supervisor closes the session of a worker that has died, without gevent; and a session that
servers do not accept finds out whether they would grant a new one. Both bring their own socket, so this module waits in
whichever way that socket does. It knows no other messages of ZooKeeper's protocol.
"""

from __future__ import annotations

import contextlib
import secrets
import struct
from collections.abc import Callable
from typing import Any

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.authentication import introduce

_CONNECT = struct.Struct("!iqiqi")  # protocol version, last zxid seen, timeout in ms, session id, password length
_CONNECTED = struct.Struct("!iiq")  # protocol version, timeout in ms, session id
_REQUEST = struct.Struct("!ii")  # request number, request type
_ANSWER = struct.Struct("!iqi")  # request number, zxid, error
_LENGTH = struct.Struct("!i")
_CLOSE_SESSION = -11
_MOST_BYTES = 4096


def connect_request(session_id: int = 0, password: bytes = bytes(16), *, timeout_ms: int = 10_000) -> bytes:
    """The frame that asks for a session: a new one, or one that exists. The last seen transaction in it is 0."""
    return framed(_CONNECT.pack(0, 0, timeout_ms, session_id, len(password)) + password + b"\0")


def close_request() -> bytes:
    """The frame that ends the session of this connection."""
    return framed(_REQUEST.pack(1, _CLOSE_SESSION))


def read_length(head: bytes) -> int:
    """The number of bytes that follow. Raises RemoteProtocolError if they cannot be an answer."""
    (size,) = _LENGTH.unpack(head)
    if not 0 <= size <= _MOST_BYTES:
        raise RemoteProtocolError(f"a ZooKeeper answer of {size} bytes")
    return int(size)


def is_granted(body: bytes) -> bool:
    """Whether the answer to ``connect_request`` grants the session; it does not if there is no such session."""
    if len(body) < _CONNECTED.size:
        raise RemoteProtocolError(f"a ZooKeeper greeting of {len(body)} bytes")
    return bool(_CONNECTED.unpack_from(body)[1] > 0)


def is_closed(body: bytes) -> bool:
    """Whether the answer to ``close_request`` reports success, which means that a quorum has committed it."""
    if len(body) < _ANSWER.size:
        raise RemoteProtocolError(f"a ZooKeeper answer of {len(body)} bytes")
    return bool(_ANSWER.unpack_from(body)[2] == 0)


class Exchange:
    """One connection to one server, with one deadline for all requests together.

    All methods raise OSError (TimeoutError is a subclass) and RemoteProtocolError.
    """

    def __init__(self, sock: Any, give_up_at: float, clock: Callable[[], float]) -> None:
        """``sock`` is a connected socket, Python's or gevent's, which the caller closes."""
        self._socket = sock
        self._give_up_at = give_up_at
        self._clock = clock

    def open_session(self, session_id: int = 0, password: bytes = bytes(16), *, timeout_ms: int = 10_000) -> bool:
        """Asks for a new session, or for one that exists; False if there is no such session, or another password."""
        self._send(connect_request(session_id, password, timeout_ms=timeout_ms))
        return is_granted(self._receive())

    def introduce(self, security: ZooKeeperSecurity) -> None:
        """Shows who we are, which servers may demand before they do anything else. Raises Unauthorized, too."""
        introduction = introduce(security, lambda: secrets.token_hex(16))
        with contextlib.suppress(StopIteration):
            body = next(introduction)
            while True:
                self._send(framed(body))
                body = introduction.send(self._receive())

    def close_session(self) -> bool:
        """Ends the session; True once a quorum has committed that."""
        self._send(close_request())
        return is_closed(self._receive())

    def _send(self, frame: bytes) -> None:
        self._arm()
        self._socket.sendall(frame)

    def _receive(self) -> bytes:
        return self._read(read_length(self._read(_LENGTH.size)))

    def _read(self, size: int) -> bytes:
        received = b""
        while len(received) < size:
            self._arm()
            chunk = self._socket.recv(size - len(received))
            if not chunk:
                raise ConnectionError("the ZooKeeper server hung up")
            received += chunk
        return received

    def _arm(self) -> None:
        left = self._give_up_at - self._clock()
        if left <= 0:
            raise TimeoutError("the ZooKeeper server took too long")
        self._socket.settimeout(left)


def framed(body: bytes) -> bytes:
    """A message as it is sent."""
    return _LENGTH.pack(len(body)) + body
