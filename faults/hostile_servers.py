"""Servers of suite ``hostile`` that mean their callers ill: ``python -m faults.hostile_servers NAME SEED``.

It says its port in a line, and behaves as its name says to everybody who connects, until its standard input ends.
"""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable, Mapping

import gevent
from gevent import socket
from gevent.fileobject import FileObject
from gevent.server import StreamServer

import zkrpc
from faults import hostile_frames as frames
from fuzz.mutation import spoil
from zkrpc.endpoint import MAX_EPOCH
from zkrpc.wire.message import MessageKind, Request
from zkrpc.wire.server import ServerProtocol

_READ = 65536
_LATE = 1.0
"""Seconds after which a late answer comes."""
_LIMITS = zkrpc.WireLimits()


class Caller:
    """One connection of a client, which is read as an honest server would."""

    def __init__(self, sock: socket.socket, rng: random.Random) -> None:
        self.sock = sock
        self.rng = rng
        self.protocol = ServerProtocol(_LIMITS, time.monotonic())

    def requests(self) -> list[Request]:
        """What comes next; OSError at the end."""
        chunk = self.sock.recv(_READ)
        if not chunk:
            raise ConnectionResetError
        self.protocol.receive_data(chunk, time.monotonic())
        found = []
        while (request := self.protocol.next_request()) is not None:
            found.append(request)
        self.protocol.take_cancelled()
        self.protocol.data_to_send()
        return found

    def answer(
        self,
        request: Request,
        body: bytes,
        *,
        name: bytes | None = None,
        kind: MessageKind = MessageKind.REPLY,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        """A reply to a request, with anything for its body."""
        self.sock.sendall(frames.message(name or request.name, request.seqid, body, kind=kind, headers=headers))
        self.protocol.finish(request)


def mute(caller: Caller) -> None:
    """Takes everything and says nothing."""
    while True:
        caller.requests()


def deaf(caller: Caller) -> None:
    """Reads nothing, and asks for a sign of life again and again."""
    while True:
        caller.sock.sendall(frames.ping() * 100)
        gevent.sleep(0.01)


def late(caller: Caller) -> None:
    """Answers a second later, with the largest answers there may be."""
    body = frames.unknown_numbers(frames.MAX_FRAME - 256)
    while True:
        for request in caller.requests():
            gevent.spawn_later(_LATE, _suppressed, caller.answer, request, body)


def giant(caller: Caller) -> None:
    """Answers at once, with four million things that nobody asked for."""
    body = frames.unknown_numbers(frames.MAX_FRAME - 256)
    while True:
        for request in caller.requests():
            caller.answer(request, body)


def deflated(caller: Caller) -> None:
    """Answers with what inflates to that."""
    answer = frames.deflated(frames.unknown_map(2_000_000))
    while True:
        for request in caller.requests():
            caller.sock.sendall(answer)
            caller.protocol.finish(request)


def unsolicited(caller: Caller) -> None:
    """Answers to calls that nobody made, as fast as they go."""
    answers = b"".join(
        frames.message(b"echo", caller.rng.getrandbits(31), b"\x0b\0\0\0\0\0\x01x\0", kind=MessageKind.REPLY)
        for _ in range(1000)
    )
    while True:
        caller.sock.sendall(answers)


def other_method(caller: Caller) -> None:
    """Answers every call as if it had been another method's."""
    while True:
        for request in caller.requests():
            caller.answer(request, b"\x0b\0\0\0\0\0\x07another\0", name=b"blob")


def poison(caller: Caller) -> None:
    """Says with every answer that a primary of the last epoch there can be is here, and refuses everything."""
    place = "%s:%d" % caller.sock.getsockname()[:2]
    lie = {"zkrpc-epoch": str(MAX_EPOCH), "zkrpc-primary": place, "zkrpc-executed": "no", "zkrpc-error": "NotPrimary"}
    body = b"\x0b\0\x01\0\0\0\x02no\x08\0\x02\0\0\0\x06\0"
    while True:
        for request in caller.requests():
            caller.answer(request, body, kind=MessageKind.EXCEPTION, headers=lie)


def garbage(caller: Caller) -> None:
    """Answers that chance has spoilt."""
    while True:
        for request in caller.requests():
            good = bytearray(
                frames.message(request.name, request.seqid, b"\x0b\0\0\0\0\0\x01x\0", kind=MessageKind.REPLY)
            )
            spoil(good, caller.rng)
            caller.sock.sendall(good)
            caller.protocol.finish(request)


def hangs_up(caller: Caller) -> None:
    """Takes a call and hangs up."""
    caller.requests()


SERVERS: dict[str, Callable[[Caller], None]] = {
    one.__name__: one
    for one in (mute, deaf, late, giant, deflated, unsolicited, other_method, poison, garbage, hangs_up)
}


def _suppressed(act: Callable[..., None], *args: object) -> None:
    with contextlib.suppress(OSError):
        act(*args)


def main() -> None:
    """Serves until told to end."""
    behave, rng = SERVERS[sys.argv[1]], random.Random(int(sys.argv[2]))
    os.nice(10)

    def serve(sock: socket.socket, _: object) -> None:
        _suppressed(behave, Caller(sock, rng))

    server = StreamServer(("127.0.0.1", 0), serve)
    server.start()
    print(server.server_port, flush=True)
    FileObject(sys.stdin.buffer).read()
    server.stop(timeout=0)


if __name__ == "__main__":
    main()
