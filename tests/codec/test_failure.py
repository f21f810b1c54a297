"""TApplicationException, as every Thrift library writes it."""

from __future__ import annotations

import pytest
from thrift.protocol.TBinaryProtocol import TBinaryProtocol
from thrift.protocol.TCompactProtocol import TCompactProtocol
from thrift.Thrift import TApplicationException
from thrift.transport.TTransport import TMemoryBuffer

from zkrpc.codec import FailureKind, Payload, decode_failure, encode_failure
from zkrpc.errors import RemoteProtocolError


@pytest.mark.parametrize(
    ("payload", "protocol"), [(Payload.BINARY, TBinaryProtocol), (Payload.COMPACT, TCompactProtocol)]
)
def test_failure_is_read_and_written_as_apache_thrift_does(payload: Payload, protocol: type) -> None:
    """The same bytes both ways."""
    theirs = TApplicationException(TApplicationException.INTERNAL_ERROR, "broken é")
    written = TMemoryBuffer()
    theirs.write(protocol(written))
    assert encode_failure("broken é", FailureKind.INTERNAL_ERROR, payload) == written.getvalue()
    assert decode_failure(b"head" + written.getvalue(), 4, payload) == ("broken é", FailureKind.INTERNAL_ERROR)


def test_failure_numbers_are_thrifts() -> None:
    """All that Apache's library knows, under the same names."""
    for kind in FailureKind:
        assert getattr(TApplicationException, kind.name) == kind


def test_failure_without_fields_has_defaults() -> None:
    """Other libraries leave out what is empty."""
    assert decode_failure(b"\0", 0) == ("", FailureKind.UNKNOWN)


def test_failure_message_never_fails_itself() -> None:
    """What UTF-8 cannot say is replaced; numbers that are not ours pass."""
    assert decode_failure(encode_failure("a\udcffb", 99), 0) == ("a?b", 99)


def test_broken_failure_is_a_protocol_error() -> None:
    """Like any other body."""
    with pytest.raises(RemoteProtocolError):
        decode_failure(encode_failure("text", 1)[:-2], 0)
