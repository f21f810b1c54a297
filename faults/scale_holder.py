"""Holds idle connections to one server. ``python -m faults.scale_holder HOST:PORT KIND COUNT``.

Each connection introduces itself as its kind does, a ``zkrpc`` peer with its hello, a ``framed`` one with one call;
then it says nothing, but for what it is asked. The process ends with its standard input.
"""

from __future__ import annotations

import resource
import selectors
import socket
import sys
import time

from faults import scale_target
from zkrpc.codec import Payload
from zkrpc.config import WireLimits
from zkrpc.endpoint import Endpoint
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Dialect

_LIMITS = WireLimits()
_AT_ONCE = 200
"""Connections opened before it is looked at what came back; less than what a server's kernel keeps."""


class IdlePeer:
    """One connection, and the machine that answers for it."""

    __slots__ = ("answered", "protocol", "sock")

    def __init__(self, endpoint: Endpoint, kind: str) -> None:
        zkrpc = kind == "zkrpc"
        self.sock = socket.create_connection((endpoint.host, endpoint.port))
        dialect = Dialect.HEADER_BINARY if zkrpc else Dialect.FRAMED_BINARY
        self.protocol = ClientProtocol(dialect, _LIMITS, time.monotonic(), zkrpc=zkrpc)
        self.answered = zkrpc
        if not zkrpc:
            self._call()
        self._flush()

    def _call(self) -> None:
        echo = scale_target.idl.Scale.methods["echo"]
        body = echo.encode_arguments(echo.bind(("hello",), {}), Payload.BINARY)
        now = time.monotonic()
        self.protocol.send_call(echo.wire_name, body, self, deadline_at=now + 60, now=now)

    def receive(self) -> bool:
        """Takes what came; False if that is the end."""
        chunk = self.sock.recv(65536)
        if self.protocol.receive_data(chunk, time.monotonic()):
            self.answered = True
        self._flush()
        return bool(chunk)

    def _flush(self) -> None:
        self.sock.sendall(self.protocol.data_to_send())


def main(endpoint: Endpoint, kind: str, count: int) -> None:
    """Opens them, says ``ready``, and holds them."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    selector = selectors.DefaultSelector()
    selector.register(sys.stdin, selectors.EVENT_READ)
    peers: list[IdlePeer] = []
    while len(peers) < count:
        for _ in range(min(_AT_ONCE, count - len(peers))):
            peer = IdlePeer(endpoint, kind)
            peers.append(peer)
            selector.register(peer.sock, selectors.EVENT_READ, peer)
        while not all(peer.answered for peer in peers[-_AT_ONCE:]):
            _serve(selector)
    print("ready", flush=True)
    while _serve(selector):
        pass


def _serve(selector: selectors.BaseSelector) -> bool:
    """Takes what came to whomever; False once we are to end. Raises ConnectionError if the server closed one."""
    for key, _ in selector.select():
        if key.data is None:
            return False
        if not key.data.receive():
            raise ConnectionError("the server closed an idle connection")
    return True


if __name__ == "__main__":
    main(Endpoint.parse(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
