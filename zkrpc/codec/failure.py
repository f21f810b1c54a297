"""``TApplicationException``: how Thrift reports that a call failed outside of its interface, such as an unknown method.

Its struct is fixed (1: string message, 2: i32 type), the same in every language, so it is written down here and not
taken from an IDL.
"""

from __future__ import annotations

import enum

from zkrpc.codec.structs import Payload, StructCodec


class FailureKind(enum.IntEnum):
    """Thrift's numbers for kinds of failures. A peer may send others."""

    UNKNOWN = 0
    UNKNOWN_METHOD = 1
    INVALID_MESSAGE_TYPE = 2
    WRONG_METHOD_NAME = 3
    BAD_SEQUENCE_ID = 4
    MISSING_RESULT = 5
    INTERNAL_ERROR = 6
    PROTOCOL_ERROR = 7
    INVALID_TRANSFORM = 8
    INVALID_PROTOCOL = 9
    UNSUPPORTED_CLIENT_TYPE = 10


class _Failure:
    """The struct on the wire."""

    thrift_spec = {1: (11, "message", False), 2: (8, "kind", False)}

    def __init__(self, message: str = "", kind: int = FailureKind.UNKNOWN) -> None:
        self.message = message
        self.kind = kind


_codec = StructCodec(_Failure)


def encode_failure(message: str, kind: int, payload: Payload = Payload.BINARY) -> bytes:
    """The body of a reply of kind EXCEPTION. What UTF-8 cannot encode is replaced, so that reporting a failure never
    fails."""
    return _codec.encode(_Failure(message.encode(errors="replace").decode(), int(kind)), payload)


def decode_failure(buffer: bytes, offset: int, payload: Payload = Payload.BINARY) -> tuple[str, int]:
    """Message and kind. RemoteProtocolError if the body is not what it should be."""
    failure: _Failure = _codec.decode(buffer, offset, payload)
    return failure.message, failure.kind
