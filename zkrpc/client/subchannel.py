"""The way to one member of a service, made when it joins the list and retired when it leaves.

A subchannel knows one endpoint. Connecting is the subchannel's own business: a call that needs a connection takes the
one there is, joins a dial that is under way, or starts one. After a failed dial the endpoint is out at once: the picker
avoids it, a call that comes nevertheless fails without waiting, and the subchannel dials again in the background, with
backoff, while the endpoint is a member. What was away must prove that it is back, by answering a ping: the kernel of a
machine accepts connections for a process that is frozen.

==============  ============================================  =====================================================
subchannel            peers                                         connections
==============  ============================================  =====================================================
``SharedSubchannel``  zkrpc and other THeader servers               one, with many calls in flight
``PlainSubchannel``   plain framed Thrift servers                   a few, with one call at a time each
==============  ============================================  =====================================================

Bookkeeping never yields between look and change, so it needs no lock. Only ``acquire`` waits, and the background.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent.lock import BoundedSemaphore

from zkrpc.client.connection import Connection
from zkrpc.client.owner import ConnectionOwner
from zkrpc.config import ClientConfig, WireLimits
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import DeadlineExceeded, Executed, RpcError, Unavailable
from zkrpc.policies.backoff import Backoff
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import Dialect

_LONGEST_DOUBT = 60.0
"""Seconds for which a server that does not send a byte is left alone at most."""


class Dial(Protocol):
    """Opens a connection, as :meth:`zkrpc.client.connection.Connection.dial` does over TCP."""

    def __call__(
        self,
        endpoint: Endpoint,
        dialect: Dialect,
        limits: WireLimits,
        connect_timeout: float,
        owner: ConnectionOwner,
        *,
        zkrpc: bool,
        clock: Callable[[], float],
    ) -> Connection:
        """The connection; raises OSError."""


class SubchannelHost(Protocol):
    """What a subchannel needs of the channel."""

    config: ClientConfig
    backoff: Backoff
    rng: Callable[[], float]
    clock: Callable[[], float]
    closed: bool
    dial: Dial
    keepalive: KeepalivePolicy
    connections: set[Connection]
    """All that are open, those of retired subchannels and those that drain included."""

    def avoid(self, subchannel: Subchannel, /) -> None:
        """Pick others while you can: it takes no calls."""

    def readmit(self, subchannel: Subchannel, /) -> None:
        """It is as good as any again."""

    def suspect(self, subchannel: Subchannel, /) -> None:
        """It gives no sign of life, which may be its fault or ours."""

    def trust(self, subchannel: Subchannel, /) -> None:
        """It does again."""

    def may_leave_unheard(self, subchannel: Subchannel, /) -> bool:
        """Whether it has never answered a call, and another member looks well."""


class Subchannel:
    """The way to one endpoint: dials, and remembers whether dialling is any use at the moment."""

    dialect: Dialect
    zkrpc = False
    ready: Connection | None = None
    """A connection that any number of calls share, without ``acquire`` and ``release``; None if there is none now."""
    kept = False
    """True if the list of members does not have the endpoint any more, and it stays for as long as it answers."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost) -> None:
        self.endpoint = endpoint
        self.refused: str | None = None
        """Why the last dial failed; None when there is no reason to expect the next one to."""
        self.keepalive: KeepalivePolicy | None = host.keepalive
        self._host = host
        self._retired = False
        self._background: Any = None
        self._unheard = 0
        """Connections in a row that ended before a byte came."""

    def __repr__(self) -> str:
        """The test surface: place and condition."""
        return f"<{type(self).__name__} {self.endpoint} {self.refused or 'ok'}{' retired' if self._retired else ''}>"

    def acquire(self, deadline_at: float) -> Connection:
        """A connection for one call, until ``release``.

        Raises Unavailable if there is none to be had, DeadlineExceeded if it took too long; neither sent anything.
        """
        raise NotImplementedError

    def release(self, connection: Connection) -> None:
        """The call that had it is over, whatever became of it."""
        raise NotImplementedError

    def retire(self) -> None:
        """The endpoint is no member any more: no more dialling, and connections close once idle."""
        self._retired = True
        self._stop_background()

    def connection_draining(self, connection: Connection) -> None:
        """The server is about to stop, or wants its connections renewed: others first, for a while."""
        self._drop(connection)
        connection.close_when_idle()
        if not self._retired:
            self._host.avoid(self)
            self._start_background(self._rest)

    def connection_silent(self, connection: Connection) -> None:
        """Others first, until it is heard again."""
        if not self._retired:
            self._host.suspect(self)

    def may_leave_unheard(self, connection: Connection) -> bool:
        """Yes, if the endpoint has never answered a call and somebody else looks well."""
        return self._host.may_leave_unheard(self)

    def connection_heard(self, connection: Connection) -> None:
        """It was only late."""
        self._unheard = 0
        if not self._retired:
            self._host.trust(self)

    def connection_closed(self, connection: Connection) -> None:
        """It is of no more use. The next call dials again, unless the endpoint was silent or is to be verified."""
        self._host.connections.discard(connection)
        self._drop(connection)
        if self._retired or self._host.closed:
            return
        if connection.silent and not self.zkrpc:
            # To connect again would prove nothing. It stays a suspect for a while, and then gets another call.
            self._unheard += 1
            self._start_background(self._doubt)
        elif connection.silent:
            self.refused = "it gave no sign of life"
            self._host.avoid(self)
            self._start_background(self._redial)
        elif self.kept:
            self.verify()

    def verify(self) -> None:
        """Finds out in the background whether the endpoint takes calls, if nothing tells that already."""
        if not self._is_connected() and self.refused is None and self._background is None:
            self._start_background(self._redial)

    # -- for the subchannels

    def _is_connected(self) -> bool:
        raise NotImplementedError

    def _adopt(self, connection: Connection) -> None:
        """Keeps an idle connection for the calls to come."""
        raise NotImplementedError

    def _drop(self, connection: Connection) -> None:
        """Forgets a connection."""
        raise NotImplementedError

    def _dial(self, timeout: float) -> Connection:
        """Connects. Raises Unavailable; the endpoint is out then, and dialled again in the background."""
        try:
            connection = self._connect(timeout)
        except OSError as error:
            self.refused = _reason(error)
            if not self._retired:
                self._host.avoid(self)
                self._start_background(self._redial)
            raise self._unavailable() from error
        self._recover()
        return connection

    def _connect(self, timeout: float) -> Connection:
        host = self._host
        try:
            connection = host.dial(
                self.endpoint, self.dialect, host.config.wire, timeout, self, zkrpc=self.zkrpc, clock=host.clock
            )
        except (OSError, RpcError):
            raise
        except Exception as error:
            # Whatever a member's record says that the system has no use for is this member's failure.
            raise OSError(f"{type(error).__name__}: {error}") from error
        if host.closed:
            connection.close()
            raise ConnectionAbortedError("the client was closed meanwhile")
        host.connections.add(connection)
        return connection

    def _recover(self) -> None:
        self.refused = None
        self._stop_background()
        if not self._retired:
            self._host.trust(self)
            self._host.readmit(self)

    def _unavailable(self) -> Unavailable:
        return Unavailable(
            f"cannot connect to {self.endpoint}: {self.refused or 'it left the list of instances meanwhile'}; "
            "is the server running there, and reachable from here?",
            endpoint=self.endpoint,
        )

    def _late(self, what: str) -> DeadlineExceeded:
        return DeadlineExceeded(what, executed=Executed.NO, endpoint=self.endpoint)

    def _start_background(self, job: Callable[[], None]) -> None:
        self._stop_background()
        self._background = gevent.spawn(job)

    def _stop_background(self) -> None:
        background, self._background = self._background, None
        if background is not None and background is not gevent.getcurrent():
            background.kill(block=False)

    def _redial(self) -> None:
        """In the background: dials until it works; ends by being killed when the endpoint leaves."""
        host = self._host
        for failures in itertools.count():
            gevent.sleep(host.backoff.pause(failures, host.rng))
            try:
                connection = self._connect_for_sure()
            except OSError as error:
                self.refused = _reason(error)
                host.avoid(self)
                if self._retired:  # it only stayed for as long as it answered
                    return
                continue
            self._recover()
            self._adopt(connection)
            return

    def _connect_for_sure(self) -> Connection:
        timeout = self._host.config.connect_timeout
        connection = self._connect(timeout)
        try:
            if self.zkrpc and not connection.prove(timeout):
                raise TimeoutError("it accepts connections and gives no sign of life")
        except BaseException:
            connection.close()
            raise
        return connection

    def _rest(self) -> None:
        """In the background: a draining server that is still a member after this pause is here to stay."""
        gevent.sleep(self._host.backoff.longest)
        self._background = None
        self._host.readmit(self)

    def _doubt(self) -> None:
        """In the background: a server that was mute is worth another call after this pause, a longer one each time."""
        gevent.sleep(min(_LONGEST_DOUBT, self._host.backoff.longest * 2**self._unheard))
        self._background = None
        self._host.trust(self)


class SharedSubchannel(Subchannel):
    """One connection with many calls in flight; dialled once for all who wait for it."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost, *, dialect: Dialect, zkrpc: bool) -> None:
        self.dialect = dialect
        self.zkrpc = zkrpc
        super().__init__(endpoint, host)
        self._dialling: Any = None

    def acquire(self, deadline_at: float) -> Connection:
        """The connection, dialled if need be."""
        return self.ready or self._join_dial(deadline_at)

    def release(self, connection: Connection) -> None:
        """Nothing to give back: others are using it too."""

    def retire(self) -> None:
        """As for every subchannel. Those who wait for a dial are answered at once, and may ask another instance."""
        super().retire()
        if self._dialling is not None:
            self._dialling.kill(block=False)
        if self.ready is not None:
            self.ready.close_when_idle()

    def _is_connected(self) -> bool:
        return self.ready is not None

    def _adopt(self, connection: Connection) -> None:
        self.ready = connection

    def _drop(self, connection: Connection) -> None:
        if self.ready is connection:
            self.ready = None

    def _join_dial(self, deadline_at: float) -> Connection:
        if self.refused is not None:
            raise self._unavailable()
        dialling = self._dialling
        if dialling is None:
            dialling = self._dialling = gevent.spawn(self._dial_for_all)
        dialling.join(max(0.0, deadline_at - self._host.clock()))
        if not dialling.dead:
            raise self._late(f"still connecting to {self.endpoint}")
        connection = dialling.value
        if isinstance(connection, Connection):
            return connection
        raise self._unavailable()

    def _dial_for_all(self) -> Connection | None:
        try:
            self.ready = self._dial(self._host.config.connect_timeout)
            return self.ready
        except Unavailable:
            return None
        finally:
            self._dialling = None


class PlainSubchannel(Subchannel):
    """Up to ``plain_connections`` connections with one call at a time each; further calls wait their turn."""

    dialect = Dialect.FRAMED_BINARY

    def __init__(self, endpoint: Endpoint, host: SubchannelHost) -> None:
        super().__init__(endpoint, host)
        self._slots = BoundedSemaphore(host.config.plain_connections)
        self._idle: list[Connection] = []
        self._busy: set[Connection] = set()

    def acquire(self, deadline_at: float) -> Connection:
        """An idle connection, the one used last first, or a new one."""
        if self.refused is not None:
            raise self._unavailable()
        if not self._slots.acquire(timeout=max(0.0, deadline_at - self._host.clock())):
            raise self._late(f"all {self._host.config.plain_connections} connections to {self.endpoint} are busy")
        try:
            connection = self._take_idle() or self._dial_in_time(deadline_at)
        except BaseException:
            self._slots.release()
            raise
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Keeps it for the next call, unless it was closed or the endpoint left."""
        self._busy.discard(connection)
        self._slots.release()
        if self._retired:
            connection.close()
        elif not connection.closed:
            self._adopt(connection)

    def retire(self) -> None:
        """As for every subchannel; busy connections are closed by their release."""
        super().retire()
        for connection in list(self._idle):
            connection.close()

    def _take_idle(self) -> Connection | None:
        # A server may have closed one long ago; better to look now than to lose a call that cannot be repeated.
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
        return None

    def _dial_in_time(self, deadline_at: float) -> Connection:
        """Dials for one caller, who may have less time than a dial may take: then it says nothing of the endpoint."""
        remaining, patience = deadline_at - self._host.clock(), self._host.config.connect_timeout
        if remaining >= patience:
            return self._dial(patience)
        timer = gevent.Timeout(max(0.0, remaining))
        try:
            with timer:
                return self._dial(patience)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            raise self._late(f"still connecting to {self.endpoint}") from None

    def _is_connected(self) -> bool:
        return bool(self._idle or self._busy)

    def _adopt(self, connection: Connection) -> None:
        # One dialled in the background may be one too many.
        if len(self._idle) + len(self._busy) < self._host.config.plain_connections:
            self._idle.append(connection)
        else:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)


def make_subchannel(instance: Instance, host: SubchannelHost) -> Subchannel:
    """For what the instance says that it speaks. Nothing said means plain framed Thrift, which all servers know."""
    if "zkrpc" in instance.protocols:
        return SharedSubchannel(instance.endpoint, host, dialect=Dialect.HEADER_BINARY, zkrpc=True)
    if "theader" in instance.protocols:
        return SharedSubchannel(instance.endpoint, host, dialect=Dialect.HEADER_BINARY, zkrpc=False)
    return PlainSubchannel(instance.endpoint, host)


def _reason(error: OSError) -> str:
    return error.strerror or str(error) or type(error).__name__
