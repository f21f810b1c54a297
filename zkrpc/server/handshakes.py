"""The TLS handshakes of a server: a connection is served when its own is over.

They run in the hub, a step at a time, and never while connections are accepted. Steps are made in the hub's spare time:
one when nothing else is to be done, and beside all other work one in each ``PATIENCE``. So however many peers begin
handshakes, those that are served go between. :class:`~zkrpc.tls.steps.Steps` says whose step it is, and
:class:`~zkrpc.tls.pending.Pending` bounds how many there are, and for how long. One that has begun holds some fifty
kilobytes, one in which nothing came yet next to nothing: of all together there may be ``SILENT`` times as many as may
have begun.

Who speaks no TLS is told so, in its own protocol as far as that is known, and named in the log.
"""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Callable
from typing import Any, Protocol

from gevent import get_hub

from zkrpc.config import ServerConfig, WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.identity import identity_of
from zkrpc.server.complaints import ComplaintKind, PeerLog
from zkrpc.server.connection import ServerConnection
from zkrpc.server.shares import host_of, network_of
from zkrpc.server.turns import NOTABLE, Turns
from zkrpc.telemetry.events import CertificateRejected, CertificateReloaded, HandshakeFailed
from zkrpc.telemetry.observer import Observers
from zkrpc.tls.layer import TlsLayer, TlsState
from zkrpc.tls.pending import Pending
from zkrpc.tls.settings import HANDSHAKE, NO_TLS_HERE, ServerTls
from zkrpc.tls.source import ContextSource, Reload
from zkrpc.tls.steps import Steps
from zkrpc.tls.stream import TlsSocket
from zkrpc.wire.detection import MOST, Stranger, Stream, detect

PATIENCE = 0.001
"""Seconds after which a step is made although the hub has other work: a server under full load still lets some hundred
new peers in each second."""
SILENT = 4
"""How many there may be for each one that may have begun. To end those early that say nothing would only have their
peers connect again at once, which costs more than they do."""
FAREWELL = 1.0
"""Seconds that a peer whose handshake failed has to read why, and to stop sending. A socket that is closed while it has
unread bytes, or gets more, is reset, and the peer may never see what it was told: so it takes some round trips, and no
more."""
_AT_ONCE = 4
"""Handshakes that are ended in one round of the event loop because they have lasted too long: a crowd that came
together would take some milliseconds."""
_MOST_IGNORED = 64 * 1024
"""Bytes that such a peer may still send: what was on its way."""
_READ = 1
_READ_SIZE = 16 * 1024


class HandshakeHost(Protocol):
    """A server, as its handshakes see it."""

    name: str
    config: ServerConfig
    observers: Observers
    turns: Turns
    complaints: PeerLog

    def clock(self) -> float:
        """Monotonic seconds."""

    def adopt(self, sock: Any, peer: str) -> ServerConnection:
        """Serves a connection from now on."""


class _Handshake:
    """One connection until it is served."""

    __slots__ = ("address", "ignored", "layer", "peer", "sock", "watcher")

    def __init__(self, sock: socket.socket, peer: str, watcher: Any) -> None:
        self.sock = sock
        self.peer = peer
        self.address = network_of(host_of(peer))
        self.layer: TlsLayer | None = None
        """None until something came: it takes some kilobytes, which a peer that says nothing is not worth."""
        self.watcher = watcher
        self.ignored = 0
        """Bytes that came after it had failed."""


class SpareTime:
    """Calls back once: when the event loop has nothing else to do, or ``PATIENCE`` has passed, or after a pause."""

    def __init__(self, loop: Any, callback: Callable[[], object]) -> None:
        self._callback = callback
        self._loop = loop
        # Of everybody's priority: an idle watcher is called in a round without any other event.
        self._idle, self._timer = loop.idle(), loop.timer(PATIENCE, PATIENCE)
        self._pause: Any = None

    def wait(self) -> None:
        """Waits for spare time."""
        self._end_pause()
        if not self._idle.active:
            self._idle.start(self._fire)
            # Without an update: the loop's time is what tells one round from the next.
            self._timer.again(self._fire, update=False)

    def pause(self, seconds: float) -> None:
        """Waits for so long, unless ``wait`` is called before."""
        self._end_pause()
        self._pause = self._loop.timer(max(PATIENCE, seconds))
        self._pause.start(self._fire)

    def close(self) -> None:
        """Calls back no more."""
        self._stop()
        self._idle.close()
        self._timer.close()

    def _fire(self) -> None:
        self._stop()
        self._callback()

    def _stop(self) -> None:
        self._end_pause()
        self._idle.stop()
        self._timer.stop()

    def _end_pause(self) -> None:
        pause, self._pause = self._pause, None
        if pause is not None:
            pause.stop()
            pause.close()


class Handshakes:
    """The handshakes of one server, from ``begin`` until the server adopts the connection, or it is closed."""

    def __init__(self, tls: ServerTls, source: ContextSource, host: HandshakeHost) -> None:
        self._source = source
        self._host = host
        self._loop = get_hub().loop
        # Half of the connections at most, so that those who have nothing to say cannot keep everybody else out.
        half, most = max(1, host.config.max_connections // 2), tls.max_handshakes
        self._pending: Pending[_Handshake] = Pending(min(SILENT * most, half), tls.handshake_timeout)
        self._begun: Pending[_Handshake] = Pending(min(most, half), tls.handshake_timeout)
        self._leaving: Pending[_Handshake] = Pending(min(most, half), FAREWELL)
        self._steps: Steps[_Handshake] = Steps()
        self._timer: Any = None
        self._due = 0.0
        """When the timer goes off; 0 if there is none."""
        self._timeout = tls.handshake_timeout
        self._spare = SpareTime(self._loop, self._make_a_step)

    def __len__(self) -> int:
        """How many there are, those that have failed and were not left yet among them."""
        return len(self._pending) + len(self._leaving)

    def __repr__(self) -> str:
        """How many there are."""
        return f"<Handshakes pending={len(self._pending)} begun={len(self._begun)} leaving={len(self._leaving)}>"

    @property
    def certificate_expires_at(self) -> float | None:
        """When the server's certificate ends, Unix time; None if that is not known."""
        return self._source.expires_at

    def begin(self, sock: socket.socket, peer: str) -> None:
        """A connection was accepted. Does not wait, and does nothing that takes long."""
        sock.setblocking(False)
        watcher = self._loop.io(sock.fileno(), _READ)
        handshake = _Handshake(sock, peer, watcher)
        self._enter(self._pending, handshake)
        watcher.start(self._on_readable, handshake)

    def give_way(self) -> bool:
        """Ends one to make room for a connection; False if there is none."""
        victim = self._leaving.greediest() or self._pending.greediest()
        if victim is None:
            return False
        self._free(victim)
        return True

    def look(self) -> None:
        """Now and then: whether the files of the certificate have changed."""
        self._source.look()

    def close(self) -> None:
        """Ends all of them."""
        for handshake in self._all():
            self._free(handshake)
        self._disarm()
        self._spare.close()

    def cut(self) -> None:
        """In a forked child: closes the descriptors, which are the parent's."""
        for handshake in self._all():
            handshake.sock.close()

    # -- the steps

    def _on_readable(self, handshake: _Handshake) -> None:
        handshake.watcher.stop()
        self._steps.wait(handshake, handshake.address)
        self._spare.wait()

    def _make_a_step(self) -> None:
        began = self._host.clock()
        handshake = self._steps.take(began)
        if handshake is None:
            due = self._steps.next_timer()
            if due is not None:  # all that wait are in debt
                self._spare.pause(due - began)
            return
        if self._steps:
            self._spare.wait()
        handshake.watcher.start(self._on_readable, handshake)
        self._step(handshake)
        used = self._host.clock() - began
        self._steps.charge(handshake.address, used, began)
        if used > NOTABLE:
            self._host.turns.charge(used)

    def _step(self, handshake: _Handshake) -> None:
        """Takes what came, and answers."""
        data = _receive(handshake.sock)
        if data is None:
            return
        layer = handshake.layer
        if layer is None:
            if not data:  # a check whether the port is open, which is no failure
                self._free(handshake)
                return
            if data[0] != HANDSHAKE:
                self._turn_away(handshake, data)
                return
            layer = handshake.layer = TlsLayer(self._source.current())
            self._enter(self._begun, handshake)
        layer.receive_data(data)
        layer.handshake()
        self._answer(handshake, layer)

    def _answer(self, handshake: _Handshake, layer: TlsLayer) -> None:
        left = self._send(handshake, layer.data_to_send())
        layer.sent(left)
        if layer.state is TlsState.CLOSED:
            self._fail(handshake, "certificate" if layer.distrusts else "tls", layer.failure)
        elif layer.data_to_send():
            # More than the socket takes: a peer that reads nothing, or a chain of certificates without end.
            self._fail(handshake, "tls", "it does not read what it is sent in the handshake")
        elif layer.state is TlsState.OPEN:
            self._leave(handshake)
            handshake.watcher.stop()
            handshake.watcher.close()
            connection = self._host.adopt(TlsSocket(handshake.sock, layer), handshake.peer)
            connection.identify(identity_of(layer.certificate()))

    @staticmethod
    def _send(handshake: _Handshake, data: bytes) -> int:
        try:
            return handshake.sock.send(data) if data else 0
        except OSError:
            return 0

    # -- failures

    def _turn_away(self, handshake: _Handshake, data: bytes) -> None:
        """The peer speaks something else."""
        what, answer = "something else", NO_TLS_HERE
        try:
            stream = detect(data[:MOST], WireLimits().max_frame)
        except Stranger as stranger:
            what, answer = str(stranger).partition(",")[0], stranger.answer or answer
        except RemoteProtocolError:
            pass
        else:
            if stream is not None:
                what = "Thrift in frames" if stream is Stream.FRAMED else f"Thrift ({stream.value})"
        self._send(handshake, answer)
        self._fail(handshake, "plain", f"it speaks {what} without TLS, and this port takes TLS only")

    def _fail(self, handshake: _Handshake, reason: str, text: str) -> None:
        """Tells of a failure, and leaves the connection to its peer until it has read what it was told."""
        self._tell(handshake, reason, text)
        with contextlib.suppress(OSError):
            handshake.sock.shutdown(socket.SHUT_WR)
        self._leave(handshake)
        handshake.layer = None
        self._enter(self._leaving, handshake)
        handshake.watcher.stop()
        handshake.watcher.start(self._on_ignored, handshake)

    def _on_ignored(self, handshake: _Handshake) -> None:
        data = _receive(handshake.sock)
        if data is None:
            return
        handshake.ignored += len(data)
        if not data or handshake.ignored > _MOST_IGNORED:
            self._free(handshake)

    def _tell(self, handshake: _Handshake, reason: str, text: str) -> None:
        host, peer = self._host, handshake.peer
        host.complaints.complain(ComplaintKind.CLOSED, handshake.address, host.clock(), "closed %s: %s", peer, text)
        host.observers.tell(HandshakeFailed(service=host.name, peer=peer, reason=reason))

    # -- coming and going

    def _all(self) -> list[_Handshake]:
        return [*self._pending, *self._leaving]

    def _enter(self, some: Pending[_Handshake], handshake: _Handshake) -> None:
        """One more of some; another may have to give way for it."""
        victim = some.begin(handshake, handshake.address, self._host.clock())
        if victim is not None:
            if some is not self._leaving:
                self._tell(victim, "crowded", "others began a TLS handshake, and it had not ended its own")
            self._free(victim)
        self._arm()

    def _leave(self, handshake: _Handshake) -> None:
        """It is over, one way or another."""
        for some in (self._pending, self._begun, self._leaving):
            some.end(handshake)
        self._steps.forget(handshake, handshake.address)

    def _free(self, handshake: _Handshake) -> None:
        self._leave(handshake)
        handshake.watcher.stop()
        handshake.watcher.close()
        handshake.sock.close()

    # -- time

    def _arm(self) -> None:
        """Has the timer go off when the next one is due; mostly it is set for that time already."""
        ends = (some.next_timer() for some in (self._pending, self._leaving))
        due = min((at for at in ends if at is not None), default=0.0)
        if due and not 0.0 < self._due <= due:
            self._disarm()
            self._due = due
            self._timer = self._loop.timer(max(0.0, due - self._host.clock()))
            self._timer.start(self._on_timer)

    def _disarm(self) -> None:
        self._due = 0.0
        timer, self._timer = self._timer, None
        if timer is not None:
            timer.stop()
            timer.close()

    def _on_timer(self) -> None:
        self._disarm()
        now = self._host.clock()
        for handshake in self._pending.expire(now, _AT_ONCE):
            self._tell(handshake, "slow", f"its TLS handshake was not over within {self._timeout:g} s")
            self._free(handshake)
        for handshake in self._leaving.expire(now, _AT_ONCE):
            self._free(handshake)
        self._arm()


def _receive(sock: socket.socket) -> bytes | None:
    """What came; None if nothing did, b"" at the end."""
    try:
        return sock.recv(_READ_SIZE)
    except (BlockingIOError, InterruptedError):
        return None
    except OSError:
        return b""


class NoHandshakes:
    """Of a server without TLS, which serves whatever was accepted."""

    certificate_expires_at = None

    def __len__(self) -> int:
        """None."""
        return 0

    def look(self) -> None:
        """Has no files to look at."""

    def close(self) -> None:
        """Has nothing to end."""

    cut = close

    def give_way(self) -> bool:
        """Has none."""
        return False


def make_welcome(
    tls: ServerTls | None, host: HandshakeHost, adopt: Callable[[Any, str], object]
) -> tuple[Handshakes | NoHandshakes, Callable[[Any, str], object]]:
    """What runs the handshakes, and what takes an accepted connection: settled once, so that a server without TLS asks
    for nothing of this. Raises ConfigError if files cannot be used."""
    if tls is None:
        return NoHandshakes(), adopt

    def tell(reload: Reload) -> None:
        if reload.failure:
            host.observers.tell(CertificateRejected(service=host.name, side="server", reason=reload.failure))
        else:
            host.observers.tell(CertificateReloaded(service=host.name, side="server"))

    handshakes = Handshakes(tls, ContextSource(tls, host.clock, tell), host)
    return handshakes, handshakes.begin
