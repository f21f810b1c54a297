"""A TCP proxy that fails on demand, for tests with a bad network.

It knows no protocol. One thread serves all connections, so that it works beside a gevent hub, monkey-patched or not.
"""

from __future__ import annotations

import contextlib
import enum
import selectors
import socket
import threading
import time
from collections import deque
from collections.abc import Callable
from types import TracebackType

_CHUNK = 65536
# A sink that does not read stops its source being read, as TCP itself would do.
_MOST_HELD = 1024 * 1024
_REDIAL_INTERVAL = 0.05


class ProxyMode(enum.Enum):
    """What happens to bytes."""

    FORWARD = "forward"
    """Bytes pass both ways."""
    HOLE = "hole"
    """Nothing passes, and neither side notices. What was sent meanwhile arrives when the mode ends, as TCP would resend
    it."""
    DROP_REPLIES = "drop replies"
    """Requests pass, answers vanish. Leaving this mode cuts the connections, since their answers have a gap."""
    REFUSE = "refuse"
    """Connections are cut as soon as they are made."""


class _Link:
    """One proxied connection: both sockets, and the bytes that are held back or delayed on the way to each."""

    __slots__ = ("client", "server", "held", "late")

    def __init__(self, client: socket.socket, server: socket.socket) -> None:
        self.client = client
        self.server = server
        self.held = {client: bytearray(), server: bytearray()}
        self.late: dict[socket.socket, deque[tuple[float, bytes]]] = {client: deque(), server: deque()}

    def other(self, end: socket.socket) -> socket.socket:
        """The socket at the other end."""
        return self.server if end is self.client else self.client

    def is_full(self, sink: socket.socket) -> bool:
        """Whether no more may be taken for that end."""
        return len(self.held[sink]) + sum(len(chunk) for _, chunk in self.late[sink]) >= _MOST_HELD

    def next_due(self) -> float:
        """When the next delayed bytes are due, in monotonic seconds; infinity if there are none."""
        return min((queue[0][0] for queue in self.late.values() if queue), default=float("inf"))

    def arrive(self, now: float) -> None:
        """Passes on the bytes whose delay is over."""
        for sink, queue in self.late.items():
            while queue and queue[0][0] <= now:
                self.held[sink] += queue.popleft()[1]

    def close(self) -> None:
        """Closes both ends."""
        self.client.close()
        self.server.close()


class Proxy:
    """A proxy on a loopback port of its own; a context manager. ``target`` is (host, port), and may be set.

    ``rewrite`` changes what clients send, chunk by chunk as it was read: good enough for an address in a greeting. A
    target that refuses is dialled ``tries`` times before its client is cut: some clients try again after a refusal and
    not after a cut. ``delay`` is how many seconds bytes take from one end to the other, each way; it may be set, and
    counts for what comes from then on. Bytes stay in their order.
    """

    def __init__(
        self, target: tuple[str, int], *, tries: int = 1, rewrite: Callable[[bytes], bytes] | None = None
    ) -> None:
        """Listens at once and serves until :meth:`close`."""
        self.target = target
        self._tries = tries
        self._rewrite = rewrite
        self.delay = 0.0
        self._mode = ProxyMode.FORWARD
        self._lock = threading.Lock()
        self._links: list[_Link] = []
        self._cut_wanted = False
        self._closed = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._listener.setblocking(False)
        self._wake_in, self._wake_out = socket.socketpair()
        self._wake_in.setblocking(False)
        self._thread = threading.Thread(target=self._serve, name="zkrpc test proxy", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        """The port to connect to instead of the target's."""
        return int(self._listener.getsockname()[1])

    @property
    def hosts(self) -> str:
        """``127.0.0.1:port``."""
        return f"127.0.0.1:{self.port}"

    @property
    def connections(self) -> int:
        """How many connections are open; one that was closed during HOLE counts until the mode is left."""
        return len(self._links)

    @property
    def mode(self) -> ProxyMode:
        """What happens to bytes from now on; may be set."""
        return self._mode

    @mode.setter
    def mode(self, mode: ProxyMode) -> None:
        with self._lock:
            self._cut_wanted = self._cut_wanted or mode is ProxyMode.REFUSE or self._mode is ProxyMode.DROP_REPLIES
            self._mode = mode
        self._wake()

    def cut(self) -> None:
        """Closes the connections there are; new ones are served."""
        with self._lock:
            self._cut_wanted = True
        self._wake()

    def close(self) -> None:
        """Closes everything and waits for the thread. May be called more than once."""
        self._closed.set()
        self._wake()
        self._thread.join(10)

    def __enter__(self) -> Proxy:
        """The proxy itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes it."""
        self.close()

    def _wake(self) -> None:
        with contextlib.suppress(OSError):
            self._wake_out.send(b"\0")

    def _serve(self) -> None:
        try:
            while not self._closed.is_set():
                self._obey()
                with selectors.DefaultSelector() as selector:
                    self._watch(selector)
                    ready = selector.select(self._patience())
                for key, events in ready:
                    self._handle(key, events)
        finally:
            self._drop_links()
            for end in (self._listener, self._wake_in, self._wake_out):
                end.close()

    def _obey(self) -> None:
        with self._lock:
            cut_wanted, self._cut_wanted = self._cut_wanted, False
        if cut_wanted:
            self._drop_links()

    def _drop_links(self) -> None:
        for link in self._links:
            link.close()
        self._links = []

    def _patience(self) -> float | None:
        """Seconds until the next delayed bytes are due, for which the thread has to wake up."""
        due = min((link.next_due() for link in self._links), default=float("inf"))
        if due == float("inf") or self._mode is ProxyMode.HOLE:
            return None
        return max(0.0, due - time.monotonic())

    def _watch(self, selector: selectors.BaseSelector) -> None:
        selector.register(self._wake_in, selectors.EVENT_READ)
        if self._mode is ProxyMode.HOLE:
            return
        selector.register(self._listener, selectors.EVENT_READ)
        for link in self._links:
            link.arrive(time.monotonic())
            for end in (link.client, link.server):
                events = 0 if link.is_full(link.other(end)) else selectors.EVENT_READ
                events |= selectors.EVENT_WRITE if link.held[end] else 0
                if events:
                    selector.register(end, events, link)

    def _handle(self, key: selectors.SelectorKey, events: int) -> None:
        end = key.fileobj
        assert isinstance(end, socket.socket)
        if end is self._wake_in:
            end.recv(_CHUNK)
        elif end is self._listener:
            self._accept()
        elif end.fileno() >= 0:
            self._move(key.data, end, events)

    def _accept(self) -> None:
        client, _ = self._listener.accept()
        if self._mode is ProxyMode.REFUSE:
            client.close()
            return
        server = self._dial()
        if server is None:
            client.close()
            return
        client.setblocking(False)
        server.setblocking(False)
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._links.append(_Link(client, server))

    def _dial(self) -> socket.socket | None:
        for _ in range(self._tries):
            with contextlib.suppress(OSError):
                return socket.create_connection(self.target, 2)
            if self._tries > 1:
                self._closed.wait(_REDIAL_INTERVAL)
        return None

    def _move(self, link: _Link, end: socket.socket, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE:
                del link.held[end][: end.send(link.held[end])]
            if events & selectors.EVENT_READ:
                self._take(link, end)
        except BlockingIOError:
            return
        except OSError:
            link.close()
            self._links.remove(link)

    def _take(self, link: _Link, end: socket.socket) -> None:
        chunk = end.recv(_CHUNK)
        if not chunk:
            # Half-closed connections are not kept: both protocols spoken here end with a full close.
            raise ConnectionResetError
        if end is link.server and self._mode is ProxyMode.DROP_REPLIES:
            return
        if end is link.client and self._rewrite is not None:
            chunk = self._rewrite(chunk)
        sink = link.other(end)
        if self.delay or link.late[sink]:
            link.late[sink].append((time.monotonic() + self.delay, chunk))
            return
        link.held[sink] += chunk
        if self._mode is not ProxyMode.HOLE:
            # At once, as a network does; what does not fit waits until there is room.
            del link.held[sink][: sink.send(link.held[sink])]
