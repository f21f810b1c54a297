"""What the tests of the wire say to the machines: frames by hand, and streams cut into chunks."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping

from zkrpc.codec import Payload
from zkrpc.config import WireLimits
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Opening, open_frame, write_head
from zkrpc.wire.theader import deflate, write_block
from zkrpc.wire.unframed import MessageBuffer

BODY = b"\x0b\x00\x01\x00\x00\x00\x02hi\x00"
"""A struct with one string: the machines never look inside."""


BODIES = {Payload.BINARY: BODY, Payload.COMPACT: b"\x18\x02hi\x00"}
"""The same struct in each encoding: without frames the machines look for its end."""
FRAMED = [dialect for dialect in Dialect if dialect.is_framed and not dialect.is_deflated]
"""Those whose frames can be read from their beginning."""
TAKEN = [dialect for dialect in Dialect if not dialect.is_deflated]
"""Those that a server takes unless it is told otherwise."""
UNFRAMED = [dialect for dialect in Dialect if not dialect.is_framed]


def message(
    name: bytes = b"echo",
    seqid: int = 1,
    body: bytes = BODY,
    *,
    kind: int = MessageKind.CALL,
    dialect: Dialect = Dialect.HEADER_BINARY,
    headers: Mapping[str, str] | None = None,
    flags: int = 0,
    header_seqid: int | None = None,
) -> bytes:
    """A whole message, its length in front if there are frames."""
    if body is BODY and not dialect.is_framed:
        body = BODIES[dialect.payload]
    block = write_block(dialect.payload, headers) if headers else None
    head = write_head(dialect, kind, name, seqid, len(body), block=block, flags=flags, header_seqid=header_seqid)
    return b"".join(deflate(head, body, WireLimits(max_inflation=1000))) if dialect.is_deflated else head + body


def framed(contents: bytes) -> bytes:
    """Any bytes as a frame."""
    return struct.pack("!I", len(contents)) + contents


def theader(block: bytes, payload: bytes = b"", *, words: int | None = None) -> bytes:
    """A THeader frame around a hand-made block, padded here."""
    block += bytes(-len(block) % 4)
    fixed = struct.pack("!HHiH", 0x0FFF, 0, 7, len(block) // 4 if words is None else words)
    return framed(fixed + block + payload)


def split_frames(stream: bytes) -> list[bytes]:
    """The frames of what a machine sent, their lengths in front."""
    frames = []
    while stream:
        stop = 4 + struct.unpack_from("!I", stream)[0]
        frames.append(stream[:stop])
        stream = stream[stop:]
    return frames


def split_messages(stream: bytes, dialect: Dialect, limits: WireLimits = WireLimits(accept_zlib=True)) -> list[Opening]:
    """The messages of what a machine sent to a peer of this dialect."""
    if dialect.is_framed:
        return [open_frame(frame[4:], limits) for frame in split_frames(stream)]
    found, start = [], 0
    buffer = MessageBuffer(dialect, limits.max_frame, limits.max_elements)
    while start != len(stream):
        stop = buffer.end_of_frame(stream, start)
        assert stop > start, "a message that is cut short"
        found.append(Opening(dialect, stream[start:stop], 0))
        start = stop
    return found


def cut(stream: bytes, sizes: list[int]) -> Iterator[bytes]:
    """The stream in chunks of these sizes, the last one being the rest."""
    start = 0
    for size in sizes:
        yield stream[start : start + size]
        start += size
    yield stream[start:]
