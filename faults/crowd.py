"""Crowds of connections that come to nothing: ``python -m faults.crowd HOW HOST PORT COUNT SECONDS``.

It says ``ready`` in a line, and at each line that it hears opens so many connections at a time for so many seconds,
from an address of its own. It then waits until the last one was cut, and says as JSON what it has seen.

========== =========================================================================================================
``silent`` say nothing
``half``   begin a TLS handshake and say no more
``slow``   send a byte of a call now and then
========== =========================================================================================================
"""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import sys
import time

import gevent
from gevent import socket

from faults import hostile_frames as frames
from faults.hostile_attacks import ADDRESS

_BETWEEN_BYTES = 0.5
_DIAL = 30.0
"""Seconds that a connection may take to be made: while a server accepts none, the kernel lets them wait."""


def hello() -> bytes:
    """What a client of TLS says first."""
    context = ssl.create_default_context()
    outgoing = ssl.MemoryBIO()
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="localhost")
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def main() -> None:
    """Opens them when told to."""
    how, host, port, count, seconds = sys.argv[1:]
    os.nice(10)
    said = hello() if how == "half" else frames.call("echo", "x" * 1000) if how == "slow" else b""
    print("ready", flush=True)
    for _ in sys.stdin:
        print(json.dumps(come((host, int(port)), int(count), float(seconds), said, slowly=how == "slow")), flush=True)


def come(place: tuple[str, int], count: int, seconds: float, said: bytes, *, slowly: bool) -> dict[str, float]:
    """One crowd, from its first connection to the end of its last."""
    until, begun, lives = time.monotonic() + seconds, list[float](), list[float]()

    def say(sock: socket.socket) -> None:
        if not slowly:
            sock.sendall(said)
            return
        for byte in said:
            sock.sendall(bytes((byte,)))
            with contextlib.suppress(TimeoutError), gevent.Timeout(_BETWEEN_BYTES, TimeoutError):
                if not sock.recv(4096):
                    return

    def again() -> None:
        while time.monotonic() < until:
            with contextlib.suppress(OSError):
                with socket.create_connection(place, _DIAL, source_address=(ADDRESS, 0)) as sock:
                    begun.append(began := time.monotonic())
                    # One that the kernel has not handed on to the server times out here, and says nothing of it.
                    with contextlib.suppress(ConnectionError):
                        say(sock)
                        while sock.recv(4096):
                            pass
                    lives.append(time.monotonic() - began)

    gevent.joinall([gevent.spawn(again) for _ in range(count)])
    return {"begun": len(begun), "longest": max(lives, default=0.0)}


if __name__ == "__main__":
    main()
