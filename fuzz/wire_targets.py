"""What reads the wire, as machines without I/O: detection, frames, headers, the server's and the client's end.

Each takes one input and raises only what it says of bytes that a peer sent; what else must hold is asserted.
"""

from __future__ import annotations

import random

from faults.hostile_frames import METHODS
from fuzz.mutation import chunks
from tests.support.wire_frames import split_messages
from zkrpc.client.replies import failure_of
from zkrpc.config import WireLimits
from zkrpc.errors import CallError, LocalProtocolError, RemoteProtocolError
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.detection import MOST, detect
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.hello import hello_frame
from zkrpc.wire.message import Dialect, ProtocolState, Request, open_frame
from zkrpc.wire.server import ServerProtocol
from zkrpc.wire.unframed import buffer_of

LIMITS = WireLimits(accept_zlib=True, max_frame=1 << 15, max_elements=4096, max_in_flight=8)
"""Small, so that the limits are met."""
_DEADLINE = 60.0


def detection(data: bytes, rng: random.Random) -> None:
    """With ``MOST`` bytes it is known what comes, and it is the same for each longer beginning."""
    known = None
    for size in range(min(len(data), MOST + 3) + 1):
        try:
            found = detect(data[:size], LIMITS.max_frame)
        except RemoteProtocolError:
            assert known is None, "refused after it was known"
            return
        assert found is not None or size < MOST, "still not known"
        assert known is None or found is known, "another answer for more bytes"
        known = found


def frames(data: bytes, rng: random.Random) -> None:
    """Messages end at the same places however the bytes come."""
    dialect = rng.choice((None, Dialect.BINARY, Dialect.COMPACT, Dialect.OLD_BINARY))
    whole, parts = _messages(dialect, [data]), _messages(dialect, chunks(data, rng))
    assert whole == parts, f"{whole} at once, {parts} in pieces"


def _messages(dialect: Dialect | None, pieces: list[bytes]) -> tuple[list[bytes], bool]:
    """The messages that come whole and within their limit, and whether the stream was refused."""
    buffer = buffer_of(dialect, LIMITS)
    found: list[bytes] = []

    def take(chunk: bytes, start: int) -> None:
        while start != len(chunk):
            stop = buffer.end_of_frame(chunk, start)
            if stop < 0:
                return
            assert stop > start, "a message without bytes"
            if not buffer.is_oversized:
                found.append(chunk[start + buffer.lead : stop])
            start = stop

    try:
        for piece in pieces:
            start = 0
            if buffer:
                joined, start = buffer.join(piece)
                take(joined, 0)
                start = buffer.skip(piece, start)
            take(piece, start)
            assert len(buffer) <= LIMITS.max_frame + LIMITS.max_header + 64, "more is held than a message"
    except RemoteProtocolError:
        return found, True
    return found, False


def header(data: bytes, rng: random.Random) -> None:
    """A frame's metadata is read, or refused."""
    if len(data) < MOST:
        return
    try:
        opening = open_frame(data[4:], LIMITS)
        opening.envelope()
    except RemoteProtocolError:
        return
    assert sum(map(len, opening.headers)) <= LIMITS.max_header, "more headers than may be"
    assert len(opening.frame) <= max(len(data), LIMITS.max_frame), "more was inflated than may be"


def server(data: bytes, rng: random.Random) -> None:
    """Nothing is raised; each request is answered once; what is sent is messages that its peer can read."""
    protocol = ServerProtocol(LIMITS, 0.0)
    out, running, dialects = b"", [], set()
    for piece in chunks(data, rng):
        protocol.receive_data(piece, 0.0)
        running += protocol.aside
        protocol.aside = []
        while (request := protocol.next_request()) is not None:
            running.append(request)
            dialects.add(request.dialect)
            if rng.random() < 0.7:
                _answer(protocol, running.pop(rng.randrange(len(running))), rng)
        for request in protocol.take_cancelled():
            protocol.finish(request)
            running = [one for one in running if one is not request]
        out += protocol.data_to_send()
        assert len(running) <= LIMITS.max_in_flight, "more in flight than may be"
        assert protocol.held_bytes <= 2 * (LIMITS.max_frame + LIMITS.max_header) + len(data), "more is held than came"
    for request in running:
        _answer(protocol, request, rng)
    protocol.receive_eof(1.0)
    assert protocol.state is ProtocolState.CLOSED
    _check_stream(out, dialects)


def _answer(protocol: ServerProtocol, request: Request, rng: random.Random) -> None:
    if request.kind is MessageKind.ONEWAY:
        protocol.finish(request)
        return
    body = METHODS["echo"].encode_result("an answer", request.dialect.payload)
    headers = {"tenant": "blue"} if rng.random() < 0.2 else None
    try:
        protocol.send_reply(request, body, headers=headers)
    except LocalProtocolError as error:
        assert "over" in str(error), error
        protocol.finish(request)


def _check_stream(out: bytes, dialects: set[Dialect]) -> None:
    """What a server said to a peer whose calls were of these dialects can be cut into messages of the last of them."""
    if dialects and not out.startswith(b"\x78"):  # deflated, if the peer was
        split_messages(out, dialects.pop(), LIMITS)


def client(data: bytes, rng: random.Random) -> None:
    """Nothing is raised; each call is answered or given back, once; an answer is read, or refused in words."""
    dialect = rng.choice(list(Dialect))
    protocol = ClientProtocol(dialect, LIMITS, 0.0, zkrpc=dialect.has_header and rng.random() < 0.5)
    if protocol.is_zkrpc:
        protocol.receive_data(hello_frame(LIMITS), 0.0)
    sent = {}
    for name, argument in (("echo", "text"), ("count", []), ("blob", 3))[: rng.randrange(1, 4)]:
        method = METHODS[name]
        body = method.encode_arguments(method.bind((argument,), {}), dialect.payload)
        number = protocol.send_call(method.wire_name, body, name, deadline_at=_DEADLINE, now=0.0)
        sent[name] = number
    protocol.data_to_send()
    back: list[str] = []
    for piece in chunks(data, rng):
        for name, reply in protocol.receive_data(piece, 0.0):
            back.append(name)
            try:
                if reply.kind is MessageKind.EXCEPTION:
                    assert isinstance(failure_of(METHODS[name], reply), CallError)
                else:
                    METHODS[name].read_result(reply.frame, reply.offset, reply.dialect.payload)
            except RemoteProtocolError:
                pass
    back += [name for name, _ in protocol.receive_eof(1.0)]
    assert sorted(back) == sorted(sent), f"sent {sorted(sent)}, ended {sorted(back)}"
