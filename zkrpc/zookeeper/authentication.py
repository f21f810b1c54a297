"""Shows a ZooKeeper server who we are, in the messages that follow the greeting: pure, as frames to send and answers to
read.

``digest`` is one message with name and password. ``sasl`` is DIGEST-MD5 (RFC 2831): the server sends a challenge, we
answer with a hash over it and the password, and the server proves that it knows the password, too. A client certificate
needs nothing of this, as TLS has shown it.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import struct
from collections.abc import Callable, Generator

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import RemoteProtocolError

_LENGTH = struct.Struct("!i")
_REQUEST = struct.Struct("!ii")  # request number, request type
_ANSWER = struct.Struct("!iqi")  # request number, zxid, error
_AUTH, _SASL = 100, 102
_AUTH_NUMBER = -4
_SERVICE, _HOST = "zookeeper", "zk-sasl-md5"
"""ZooKeeper's servers use this name in place of their own."""
_FIELD = re.compile(r'\s*([a-z-]+)\s*=\s*("(?:[^"\\]|\\.)*"|[^\s,"]*)\s*(?:,|$)')
_MOST_FIELDS = 32


class Unauthorized(RemoteProtocolError):
    """The server does not take us for who we say we are, or has not proved that it knows the password."""


Introduction = Generator[bytes, bytes, None]
"""Yields bodies of frames to send, and is sent the body of each answer."""


def introduce(security: ZooKeeperSecurity, nonce: Callable[[], str]) -> Introduction:
    """What to say to a server after its greeting; nothing without a username. ``nonce`` returns a text that nobody can
    guess. Raises Unauthorized, and RemoteProtocolError for answers that are none."""
    if security.username is not None and security.password is not None:
        if security.mechanism == "sasl":
            yield from _prove(security.username, security.password, nonce())
        else:
            pair = f"{security.username}:{security.password}".encode()
            body = _REQUEST.pack(_AUTH_NUMBER, _AUTH) + _LENGTH.pack(0) + _text(b"digest") + _text(pair)
            _accepted((yield body), "the digest credentials")


def _prove(username: str, password: str, nonce: str) -> Introduction:
    what = f"the SASL credentials of {username}"
    challenge = _token(_accepted((yield _REQUEST.pack(1, _SASL) + _text(b"")), what))
    response, proof = respond(challenge, username, password, nonce)
    last = _token(_accepted((yield _REQUEST.pack(2, _SASL) + _text(response)), what))
    if not hmac.compare_digest(_fields(last).get("rspauth", ""), proof):
        raise Unauthorized(f"the server has not proved that it knows the password of {username}")


def respond(
    challenge: bytes, username: str, password: str, nonce: str, place: str = f"{_SERVICE}/{_HOST}"
) -> tuple[bytes, str]:
    """The answer to a challenge of DIGEST-MD5, and the proof that the server owes then."""
    fields = _fields(challenge)
    realm, theirs = fields.get("realm", ""), fields.get("nonce", "")
    if not theirs or "auth" not in fields.get("qop", "auth").split(","):
        raise RemoteProtocolError("the server's SASL challenge is none of DIGEST-MD5")
    secret = _md5(_octets(f"{username}:{realm}:{password}")).digest() + f":{theirs}:{nonce}".encode()

    def proof(method: str) -> str:
        what = _md5(f"{method}:{place}".encode()).hexdigest()
        return _md5(":".join((_md5(secret).hexdigest(), theirs, "00000001", nonce, "auth", what)).encode()).hexdigest()

    answer = (
        f"charset=utf-8,username={_quoted(username)},realm={_quoted(realm)},nonce={_quoted(theirs)},nc=00000001,"
        f'cnonce={_quoted(nonce)},digest-uri="{place}",response={proof("AUTHENTICATE")},qop=auth'
    )
    return answer.encode(), proof("")


def _md5(data: bytes) -> hashlib._Hash:
    return hashlib.md5(data, usedforsecurity=False)


def _octets(text: str) -> bytes:
    """As the RFC has it, and Java: in ISO 8859-1 what can be written so."""
    try:
        return text.encode("latin-1")
    except UnicodeEncodeError:
        return text.encode()


def _quoted(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _fields(challenge: bytes) -> dict[str, str]:
    try:
        text = challenge.decode()
    except UnicodeDecodeError as error:
        raise RemoteProtocolError("the server's SASL message is no text") from error
    fields: dict[str, str] = {}
    at = 0
    while at < len(text):
        found = _FIELD.match(text, at)
        if found is None or len(fields) == _MOST_FIELDS:
            raise RemoteProtocolError("the server's SASL message cannot be read")
        value = found[2]
        fields[found[1]] = re.sub(r"\\(.)", r"\1", value[1:-1]) if value.startswith('"') else value
        at = found.end()
    return fields


def _accepted(answer: bytes, what: str) -> bytes:
    """What follows an answer's head. Raises Unauthorized if the head reports an error."""
    if len(answer) < _ANSWER.size:
        raise RemoteProtocolError(f"a ZooKeeper answer of {len(answer)} bytes")
    if _ANSWER.unpack_from(answer)[2]:
        raise Unauthorized(f"the server does not accept {what}")
    return answer[_ANSWER.size :]


def _token(rest: bytes) -> bytes:
    if len(rest) < _LENGTH.size:
        raise RemoteProtocolError("a SASL answer without a message")
    (size,) = _LENGTH.unpack_from(rest)
    if size > len(rest) - _LENGTH.size:
        raise RemoteProtocolError("a SASL answer that is cut off")
    return rest[_LENGTH.size : _LENGTH.size + max(0, size)]


def _text(value: bytes) -> bytes:
    return _LENGTH.pack(len(value)) + value
