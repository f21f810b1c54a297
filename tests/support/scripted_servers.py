"""Servers that do as a test says: the real wire machine behind a real socket, and a script instead of a dispatcher."""

from __future__ import annotations

import gc
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import gevent.socket
from gevent.event import Event
from gevent.server import StreamServer

from tests.support.waiting import eventually
from zkrpc.config import WireLimits
from zkrpc.dev.zookeeper import free_ports
from zkrpc.endpoint import Endpoint
from zkrpc.server.greenlet_pool import Worker
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol

Script = Callable[["Link", Request], Any]


def echo(link: Link, request: Request) -> None:
    """Answers with the argument struct itself."""
    link.reply(request, request.frame[request.offset :])


def silent(link: Link, request: Request) -> None:
    """Never answers."""


class Link:
    """One accepted connection."""

    def __init__(self, peer: Peer, sock: Any) -> None:
        self.peer = peer
        self.sock = sock
        self.protocol = ServerProtocol(WireLimits(), time.monotonic())
        self.held: list[Request] = []

    def serve(self) -> None:
        """Reads until the end."""
        try:
            while chunk := self.sock.recv(65536):
                self.peer.awake.wait()
                self.protocol.receive_data(chunk, time.monotonic())
                while (request := self.protocol.next_request()) is not None:
                    self.peer.requests.append(request)
                    self.peer.script(self, request)
                self.flush()
                if self.protocol.wants_close:
                    break
        except OSError:
            pass
        finally:
            self.sock.close()
            self.peer.links.remove(self)

    def reply(self, request: Request, body: bytes, **options: Any) -> None:
        """Answers one request."""
        self.protocol.send_reply(request, body, **options)

    def flush(self) -> None:
        """Sends what was answered."""
        self.sock.sendall(self.protocol.data_to_send())

    def drain(self) -> None:
        """Asks for no more calls."""
        self.protocol.send_draining()
        self.flush()

    def reset(self) -> None:
        """Ends the connection with a RST."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Peer:
    """A listening server; ``script`` is called with the link and each request."""

    def __init__(self, script: Script = echo, port: int = 0) -> None:
        self.script = script
        self.requests: list[Request] = []
        self.links: list[Link] = []
        self.accepted = 0
        self.awake = Event()
        self.awake.set()
        self._server = StreamServer(("127.0.0.1", port), self._accept)
        self._server.start()
        self.endpoint = Endpoint("127.0.0.1", self._server.server_port)

    def _accept(self, sock: Any, _: Any) -> None:
        self.accepted += 1
        link = Link(self, sock)
        self.links.append(link)
        link.serve()

    def freeze(self) -> None:
        """Does nothing from now on, as a stopped process; its machine goes on accepting connections and bytes."""
        self.awake.clear()

    def thaw(self) -> None:
        """Goes on."""
        self.awake.set()

    def cut(self) -> None:
        """Closes every connection; goes on listening."""
        for link in list(self.links):
            try:
                link.sock.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def close(self) -> None:
        """Stops listening and closes every connection."""
        self.thaw()
        self._server.stop(timeout=0)
        self.cut()

    def __enter__(self) -> Peer:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def closed_port() -> Endpoint:
    """An endpoint where nobody listens, and where nobody is put who asks for any port, as all who connect do."""
    return Endpoint("127.0.0.1", *free_ports(1))


def live_greenlets() -> int:
    """Greenlets that have not ended, but for those that a server in this process keeps for its next calls."""
    living = [one for one in gc.get_objects() if isinstance(one, gevent.Greenlet) and not one.dead]
    return sum(1 for one in living if not isinstance(one, Worker))


@contextmanager
def nothing_left() -> Iterator[None]:
    """Proves that no greenlet and no watcher of the loop outlives the block."""
    loop = gevent.get_hub().loop
    gevent.sleep(0)
    greenlets, watchers = live_greenlets(), loop.activecnt
    yield
    eventually(lambda: live_greenlets() <= greenlets and loop.activecnt <= watchers)
