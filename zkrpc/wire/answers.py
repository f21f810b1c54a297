"""Writes the bytes before an answer's body, and whole answers to messages that never become a request. Functions
without state."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from zkrpc.codec import encode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Opening, Reply, Request, bare_name, write_head
from zkrpc.wire.status import REPLY_TOO_LARGE, Status
from zkrpc.wire.theader import deflate, write_block

SMALL = 128 * 1024
"""Bytes up to which a frame is not counted against ``max_in_flight_bytes``."""


def write_reply_head(
    request: Request, limits: WireLimits, kind: MessageKind, headers: Mapping[str, str] | None, size: int
) -> bytes:
    """The bytes before an answer's body of ``size`` bytes. Raises LocalProtocolError if no answer is due or headers are
    too long."""
    if request.kind is MessageKind.ONEWAY:
        raise LocalProtocolError(f"{request!r} is oneway and takes no answer")
    dialect = request.dialect
    block = None
    if headers and dialect.has_header:
        entries = limits.max_header_entries
        block = write_block(dialect.payload, headers, max_size=limits.max_header, max_entries=entries)
    return write_head(
        dialect,
        kind,
        bare_name(request.name),
        request.seqid,
        size,
        block=block,
        flags=request.flags,
        header_seqid=request.header_seqid,
    )


def write_refusal(
    opening: Opening, name: bytes, seqid: int, message: str, status: Status, limits: WireLimits
) -> tuple[bytes, bytes]:
    """Head and body of the exception that answers a frame in its own dialect."""
    dialect, _, _, _, flags, header_seqid, _ = opening
    body = encode_failure(message, status.kind, dialect.payload)
    block = write_block(dialect.payload, status.headers) if status.headers and dialect.has_header else None
    kind, name = MessageKind.EXCEPTION, bare_name(name)
    head = write_head(dialect, kind, name, seqid, len(body), block=block, flags=flags, header_seqid=header_seqid)
    return deflate(head, body, limits) if dialect.is_deflated else (head, body)


def reply_in_place_of(size: int, limit: int, dialect: Dialect) -> Reply:
    """The error that a caller gets in place of a reply that was too large to be read: the handler did run."""
    message = f"the reply of {size} bytes is over this client's max_frame {limit}"
    body = encode_failure(message, REPLY_TOO_LARGE.kind, dialect.payload)
    return Reply(MessageKind.EXCEPTION, REPLY_TOO_LARGE.headers, body, 0, dialect)


def is_too_heavy(frame: bytes, waiting: Iterable[Request], limits: WireLimits) -> bool:
    """Whether a large frame would take a peer over its share of memory, together with the requests in ``waiting``.

    Small frames are bounded by their number instead.
    """
    size = len(frame)
    return size > SMALL and size + sum(len(request.frame) for request in waiting) > limits.max_in_flight_bytes
