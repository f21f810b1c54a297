"""The first words between a client and a ZooKeeper server, as bytes: for those who speak them without kazoo.

Pure: it knows the four messages that opening and closing a session take, and nothing else of the protocol.
"""

from __future__ import annotations

import struct

from zkrpc.errors import RemoteProtocolError

_CONNECT = struct.Struct("!iqiqi")  # protocol version, last zxid seen, timeout in ms, session id, password length
_CONNECTED = struct.Struct("!iiq")  # protocol version, timeout in ms, session id
_REQUEST = struct.Struct("!ii")  # request number, request type
_ANSWER = struct.Struct("!iqi")  # request number, zxid, error
_LENGTH = struct.Struct("!i")
_CLOSE_SESSION = -11
_MOST_BYTES = 4096

LENGTH_SIZE = _LENGTH.size


def connect_request(session_id: int = 0, password: bytes = bytes(16), *, timeout_ms: int = 10_000) -> bytes:
    """The frame that asks for a session: a new one, or one that exists. It claims to have seen no transaction."""
    return _frame(_CONNECT.pack(0, 0, timeout_ms, session_id, len(password)) + password + b"\0")


def close() -> bytes:
    """The frame that ends the session of this connection."""
    return _frame(_REQUEST.pack(1, _CLOSE_SESSION))


def read_length(head: bytes) -> int:
    """How many bytes follow. RemoteProtocolError if they cannot be an answer."""
    (size,) = _LENGTH.unpack(head)
    if not 0 <= size <= _MOST_BYTES:
        raise RemoteProtocolError(f"a ZooKeeper answer of {size} bytes")
    return int(size)


def is_granted(body: bytes) -> bool:
    """Whether the answer to a greeting gives the session; a server that knows no such session says so."""
    if len(body) < _CONNECTED.size:
        raise RemoteProtocolError(f"a ZooKeeper greeting of {len(body)} bytes")
    return bool(_CONNECTED.unpack_from(body)[1] > 0)


def is_closed(body: bytes) -> bool:
    """Whether the answer to ``close`` says that a quorum has agreed."""
    if len(body) < _ANSWER.size:
        raise RemoteProtocolError(f"a ZooKeeper answer of {len(body)} bytes")
    return bool(_ANSWER.unpack_from(body)[2] == 0)


def _frame(body: bytes) -> bytes:
    return _LENGTH.pack(len(body)) + body
