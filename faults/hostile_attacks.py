"""Attackers of suite ``hostile``, one process an attack: cheap, anonymous traffic against one endpoint.

``python -m faults.hostile_attacks NAME HOST PORT SECONDS SEED`` says ``ready`` in a line, attacks at the next one
it hears, for that many seconds, and then says as JSON what it has seen. It comes from an address of its own, so that it
is another peer than the honest callers; and it is the last to get the processor, as it would not share one in life.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import sys
import time
from collections.abc import Callable

import gevent
from gevent import socket

from faults import hostile_frames as frames
from faults.hostile_honest import CANARY
from zkrpc.wire.message import Dialect

ADDRESS = "127.0.0.66"
MANGLED = 100_000
_READ = 65536
_PATIENCE = 5.0
_BREATH = 0.001

Seen = dict[str, float]


class Attack:
    """Where to, until when, and what was seen."""

    def __init__(self, place: tuple[str, int], seconds: float, rng: random.Random) -> None:
        self.rng = rng
        self.until = time.monotonic() + seconds
        self.sent = 0
        """Bytes."""
        self.answers = 0
        """Bytes."""
        self.leaked = 0
        """Answers with something of another caller's."""
        self._place = place

    @property
    def goes_on(self) -> bool:
        """Whether there is time left."""
        return time.monotonic() < self.until

    def send(self, sock: socket.socket, stream: bytes) -> None:
        """Sends it all."""
        sock.sendall(stream)
        self.sent += len(stream)

    def read(self, sock: socket.socket) -> bool:
        """Reads once; False at the end."""
        chunk = sock.recv(_READ)
        self.answers += len(chunk)
        self.leaked += CANARY.encode() in chunk
        return bool(chunk)

    def drain(self, sock: socket.socket) -> None:
        """Reads until nothing more comes."""
        while self.read(sock):
            pass

    def on_each_of(self, count: int, part: Callable[[socket.socket], None]) -> None:
        """So many greenlets that each do their part on a connection, and again on a new one, until the time is over.

        What goes wrong with a connection ends the part and nothing else.
        """

        def again() -> None:
            while self.goes_on:
                with contextlib.suppress(OSError):
                    with socket.create_connection(self._place, _PATIENCE, source_address=(ADDRESS, 0)) as sock:
                        part(sock)
                gevent.sleep(_BREATH)

        crowd = [gevent.spawn(again) for _ in range(count)]
        while self.goes_on:
            gevent.sleep(0.1)
        gevent.joinall(crowd, timeout=1.0)
        gevent.killall(crowd)

    def rest(self) -> None:
        """Waits until the time is over."""
        while self.goes_on:
            gevent.sleep(0.1)


def nested_zlib(attack: Attack) -> None:
    """Ten compact calls of a hundred bytes, deflated twice: two million pairs in a field that nobody knows."""
    stream = frames.deflated(frames.unknown_map(2_000_000), times=2) * 10
    _repeatedly(attack, stream)


def single_zlib(attack: Attack) -> None:
    """Calls that inflate to a whole frame each, as many as come in one read."""
    frame = frames.deflated(frames.unknown_map(2_000_000))
    _repeatedly(attack, frame * max(1, _READ // len(frame)))


def unknown_pairs(attack: Attack) -> None:
    """A plain frame of four megabytes: two million pairs of bools in a field that nobody knows."""
    _repeatedly(attack, frames.compact(frames.unknown_map(frames.MAX_FRAME // 2 - 64)))


def unknown_structs(attack: Attack) -> None:
    """A plain frame of four megabytes: four million empty structs in a field that nobody knows."""
    _repeatedly(attack, frames.compact(frames.unknown_structs(frames.MAX_FRAME - 64)))


def quarter_megabyte(attack: Attack) -> None:
    """Frames of 250 KB for a method that knows their fields: as many small structs as fit, on four connections."""
    stream = frames.message(b"count", 1, frames.many_pairs(250_000 // 17), dialect=Dialect.FRAMED_BINARY)
    _repeatedly(attack, stream, connections=4)


def unread_replies(attack: Attack) -> None:
    """Small calls whose answers are a megabyte each, and nobody reads them."""
    stream = b"".join(frames.call("blob", 1 << 20, seqid=number + 1) for number in range(1000))

    def part(sock: socket.socket) -> None:
        attack.send(sock, stream)
        attack.rest()

    attack.on_each_of(4, part)


def slow_reader(attack: Attack) -> None:
    """The same, read at some kilobytes a second."""
    stream = b"".join(frames.call("blob", 1 << 20, seqid=number + 1) for number in range(100))

    def part(sock: socket.socket) -> None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        attack.send(sock, stream)
        while attack.goes_on and sock.recv(1024):
            gevent.sleep(0.15)

    attack.on_each_of(8, part)


def partial_frames(attack: Attack) -> None:
    """Three hundred connections that each send all of a large frame but its end."""
    stream = (frames.MAX_FRAME - 4).to_bytes(4) + b"\x80\x01\x00\x01" + bytes(frames.MAX_FRAME - 16)

    def part(sock: socket.socket) -> None:
        attack.send(sock, stream)
        attack.rest()

    attack.on_each_of(300, part)


def slow_senders(attack: Attack) -> None:
    """Two hundred connections that send a byte now and then."""
    stream = frames.call("echo", "x" * 1000)

    def part(sock: socket.socket) -> None:
        for byte in stream:
            if not attack.goes_on:
                break
            attack.send(sock, bytes((byte,)))
            gevent.sleep(0.5)

    attack.on_each_of(200, part)


def ping_flood(attack: Attack) -> None:
    """Pings, as fast as they go, on four connections."""
    _flood(attack, frames.ping() * 1000)


def cancel_flood(attack: Attack) -> None:
    """Calls that are taken back at once, as fast as they go, on four connections."""
    pairs = (frames.call("slow", 1000, seqid=number) + frames.cancel(number) for number in range(1, 501))
    _flood(attack, b"".join(pairs))


def late_cancel_flood(attack: Attack) -> None:
    """Five hundred calls, and then as many cancels in the other order: the ones that wait are looked for."""
    calls = b"".join(frames.call("slow", 1000, seqid=number) for number in range(1, 501))
    cancels = b"".join(frames.cancel(number) for number in range(500, 0, -1))
    _flood(attack, calls + cancels)


def oneway_flood(attack: Attack) -> None:
    """Oneway calls, as fast as they go, on four connections."""
    _flood(attack, frames.call("note", "x") * 1000)


def unknown_method_flood(attack: Attack) -> None:
    """Calls of methods with ever new names."""

    def part(sock: socket.socket) -> None:
        names = (b"m%d" % attack.rng.getrandbits(60) for _ in range(1000))
        attack.send(sock, b"".join(frames.message(name, 1, b"\0") for name in names))
        attack.drain(sock)

    attack.on_each_of(4, part)


def greedy_connections(attack: Attack) -> None:
    """Two connections that take every place there is with calls that wait."""
    stream = b"".join(frames.call("slow", 2000, seqid=number) for number in range(1, 1001))
    _repeatedly(attack, stream, connections=2)


def leaving_callers(attack: Attack) -> None:
    """Five hundred callers, one after another, whose calls wait and who leave at once."""

    def part(sock: socket.socket) -> None:
        attack.send(sock, frames.call("slow", 5000))
        gevent.sleep(0.01)

    attack.on_each_of(20, part)


def idle_connections(attack: Attack) -> None:
    """As many connections as there may be, which say one thing and then nothing."""

    def part(sock: socket.socket) -> None:
        attack.send(sock, frames.hello())
        while attack.goes_on and attack.read(sock):
            pass

    attack.on_each_of(600, part)


def connect_flood(attack: Attack) -> None:
    """Connections that are closed at once, some of them with a reset."""

    def part(sock: socket.socket) -> None:
        if attack.rng.random() < 0.5:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, (1).to_bytes(4, sys.byteorder) + bytes(4))

    attack.on_each_of(20, part)


def bad_log(attack: Attack) -> None:
    """What the log tells of, again and again: wrong lengths, other protocols, garbage."""
    garbage = (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00", b"\xff" * 64, b"\0\0\0\x01x", b"\x7f\xff\xff\xff")

    def part(sock: socket.socket) -> None:
        attack.send(sock, attack.rng.choice(garbage))
        attack.drain(sock)

    attack.on_each_of(20, part)


def mangled(attack: Attack) -> None:
    """A hundred thousand calls that chance has spoilt; the connection is a new one when the old one has had enough."""
    left = [MANGLED]
    attack.until += 600.0

    def part(sock: socket.socket) -> None:
        reader = gevent.spawn(_read_all, attack, sock)
        try:
            while left[0] > 0 and not reader.dead:
                left[0] -= 1
                attack.send(sock, frames.mangled(attack.rng))
                gevent.sleep(0)
        finally:
            reader.kill()
        if left[0] <= 0:
            attack.until = 0.0

    attack.on_each_of(8, part)


def _read_all(attack: Attack, sock: socket.socket) -> None:
    with contextlib.suppress(OSError):
        attack.drain(sock)


def _repeatedly(attack: Attack, stream: bytes, *, connections: int = 1) -> None:
    """The same again and again, each time on a new connection, waiting for what comes of it."""

    def part(sock: socket.socket) -> None:
        attack.send(sock, stream)
        sock.settimeout(1.0)
        attack.drain(sock)

    attack.on_each_of(connections, part)


def _flood(attack: Attack, stream: bytes) -> None:
    """The same without a pause, on four connections that are read."""

    def part(sock: socket.socket) -> None:
        attack.send(sock, frames.hello())
        reader = gevent.spawn(_read_all, attack, sock)
        try:
            while attack.goes_on and not reader.dead:
                attack.send(sock, stream)
        finally:
            reader.kill()

    attack.on_each_of(4, part)


ATTACKS: dict[str, Callable[[Attack], None]] = {
    one.__name__: one
    for one in (
        nested_zlib,
        single_zlib,
        unknown_pairs,
        unknown_structs,
        quarter_megabyte,
        unread_replies,
        slow_reader,
        partial_frames,
        slow_senders,
        ping_flood,
        cancel_flood,
        late_cancel_flood,
        oneway_flood,
        unknown_method_flood,
        greedy_connections,
        leaving_callers,
        idle_connections,
        connect_flood,
        bad_log,
        mangled,
    )
}


def main() -> None:
    """One attack, when told to begin."""
    name, host, port, seconds, seed = sys.argv[1:]
    os.nice(10)
    print("ready", flush=True)
    sys.stdin.readline()
    attack = Attack((host, int(port)), float(seconds), random.Random(int(seed)))
    ATTACKS[name](attack)
    print(json.dumps({"sent": attack.sent, "answers": attack.answers, "leaked": attack.leaked}), flush=True)
    sys.stdin.readline()


if __name__ == "__main__":
    main()
