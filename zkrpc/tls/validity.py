"""When certificates end, read from their bytes. Pure.

OpenSSL tells this of a peer's certificate that it has verified, and not of our own: what it was given is in the
context, and does not come out again. So the one field is looked up in the DER encoding (X.690), of which a certificate
(RFC 5280) needs little: nested values, each a tag, a length and that many bytes.
"""

from __future__ import annotations

import binascii
import re
from datetime import datetime, timezone

_PEM = re.compile(rb"-----BEGIN (?:TRUSTED |X509 )?CERTIFICATE-----(.*?)-----END ", re.DOTALL)
_SEQUENCE, _VERSION, _UTC_TIME, _GENERALIZED_TIME = 0x30, 0xA0, 0x17, 0x18
_BEFORE_VALIDITY = 3
"""Serial number, algorithm and issuer stand between the version and the validity."""
_CENTURY_TURNS = 50
"""Two digits of a year below it are of this century."""


def earliest_end(pem: bytes) -> float | None:
    """When the first of the certificates in a PEM file ends, as Unix time; None if none can be read."""
    ends = (_end_of_block(block) for block in _PEM.findall(pem))
    return min((end for end in ends if end is not None), default=None)


def _end_of_block(block: bytes) -> float | None:
    try:
        return end_of(binascii.a2b_base64(block))
    except binascii.Error:
        return None


def end_of(der: bytes) -> float | None:
    """When a certificate in DER ends, as Unix time; None if it cannot be read."""
    try:
        return _end_of(der)
    except (IndexError, ValueError):
        return None


def _end_of(der: bytes) -> float:
    at = _enter(der, _enter(der, 0))  # the certificate, and in it what is signed
    if der[at] == _VERSION:
        at = _skip(der, at)
    for _ in range(_BEFORE_VALIDITY):
        at = _skip(der, at)
    at = _skip(der, _enter(der, at))  # from when on it is valid
    tag, start, end = _value(der, at)
    text = der[start:end].decode("ascii")
    if tag == _UTC_TIME:
        text = ("20" if int(text[:2]) < _CENTURY_TURNS else "19") + text
    elif tag != _GENERALIZED_TIME:
        raise ValueError("no time")
    return datetime.strptime(text, "%Y%m%d%H%M%SZ").replace(tzinfo=timezone.utc).timestamp()


def _value(der: bytes, at: int) -> tuple[int, int, int]:
    """The tag of the value that begins at ``at``, and where its bytes begin and end."""
    tag, size, start = der[at], der[at + 1], at + 2
    if size & 0x80:  # so many bytes have the length
        start += size & 0x7F
        size = int.from_bytes(der[at + 2 : start], "big")
    if start + size > len(der):
        raise ValueError("cut off")
    return tag, start, start + size


def _enter(der: bytes, at: int) -> int:
    """Where the first value inside a sequence begins."""
    tag, start, _ = _value(der, at)
    if tag != _SEQUENCE:
        raise ValueError("no sequence")
    return start


def _skip(der: bytes, at: int) -> int:
    """Where the value behind one begins."""
    return _value(der, at)[2]
