"""Bytes that cost who receives them more than they cost who sends them. Pure: makes them, and sends nothing."""

from __future__ import annotations

import random
import zlib
from collections.abc import Callable
from pathlib import Path

import zkrpc
from fuzz.mutation import spoil
from tests.support.wire_frames import message, theader
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import CANCEL, HELLO, PING, Dialect, control_frame
from zkrpc.wire.varint import write_varint

idl = zkrpc.load(Path(__file__).with_name("hostile.thrift"))
METHODS = idl.Target.methods
MAX_FRAME = zkrpc.WireLimits().max_frame
_COMPACT_OF_THEADER, _ZLIB = 2, 1


def call(name: str, *args: object, seqid: int = 1, dialect: Dialect = Dialect.HEADER_BINARY) -> bytes:
    """An honest call."""
    method = METHODS[name]
    body = method.encode_arguments(method.bind(args, {}), dialect.payload)
    kind = MessageKind.ONEWAY if method.oneway else MessageKind.CALL
    return message(name.encode(), seqid, body, kind=kind, dialect=dialect)


def unknown_map(pairs: int) -> bytes:
    """A compact struct with a field that nobody knows: a map of so many pairs of bools."""
    return b"\x0b" + write_varint(99 * 2) + write_varint(pairs) + b"\x11" + b"\x01\x01" * pairs + b"\0"


def unknown_structs(count: int) -> bytes:
    """A compact struct with a list of so many empty structs in a field that nobody knows."""
    return b"\x09" + write_varint(99 * 2) + b"\xfc" + write_varint(count) + bytes(count) + b"\0"


def unknown_numbers(count: int) -> bytes:
    """A binary struct with a list of so many numbers of one byte in a field that nobody knows."""
    return b"\x0f\x00\x63\x03" + count.to_bytes(4) + bytes(count) + b"\0"


def many_pairs(count: int) -> bytes:
    """A binary argument that is known: a list of so many structs, each with an empty name and an empty map."""
    pair = b"\x0b\x00\x01\x00\x00\x00\x00\x0d\x00\x02\x08\x08\x00\x00\x00\x00\x00"
    return b"\x0f\x00\x01\x0c" + count.to_bytes(4) + pair * count + b"\0"


def compact(body: bytes, name: bytes = b"echo", seqid: int = 1) -> bytes:
    """A plain framed compact call with that body."""
    return message(name, seqid, body, dialect=Dialect.FRAMED_COMPACT)


def deflated(body: bytes, *, times: int = 1, name: bytes = b"echo") -> bytes:
    """A THeader call with a compact body, deflated once or more often."""
    payload = compact(body, name)[4:]
    for _ in range(times):
        payload = zlib.compress(payload, 9)
    return theader(bytes([_COMPACT_OF_THEADER, times]) + bytes([_ZLIB]) * times, payload)


def ping() -> bytes:
    """A control message that wants an answer."""
    return control_frame(PING)


def cancel(seqid: int) -> bytes:
    """A control message that takes a call back."""
    return control_frame(CANCEL, seqid)


def hello() -> bytes:
    """What a zkrpc peer begins with."""
    return control_frame(HELLO)


def mangled(rng: random.Random) -> bytes:
    """An honest call that chance has spoilt."""
    dialect = rng.choice(list(Dialect))
    good = bytearray(rng.choice(_GOOD)(dialect))
    spoil(good, rng)
    return bytes(good)


_GOOD: tuple[Callable[[Dialect], bytes], ...] = (
    lambda dialect: call("echo", "honest", dialect=dialect),
    lambda dialect: call("count", [idl.Pair(name="a", numbers={1: 2}), idl.Pair(name="b")], dialect=dialect),
    lambda dialect: call("blob", 100, dialect=dialect),
    lambda dialect: call("note", "x", dialect=dialect),
    lambda dialect: deflated(unknown_map(3)),
)
