"""The way to one member of a service, made when it joins the list and retired when it leaves.

A shell: it passes the outcomes of dials and connections to the machine of :mod:`zkrpc.client.connectivity`, and carries
out the machine's effects. A call that needs a connection takes the one that is open, joins a dial that is under way, or
starts one; in TRANSIENT_FAILURE it fails at once.

``SharedSubchannel`` is the one to zkrpc and other THeader servers: one connection, with many calls in flight. That to
plain Thrift servers is :mod:`zkrpc.client.plain_subchannel`'s.

The bookkeeping never switches greenlets between a check and the change that follows from it, so it needs no lock. Only
``acquire`` waits, and the greenlet of a dial.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, assert_never

import gevent

from zkrpc.caller import Caller
from zkrpc.client.connection import Connection
from zkrpc.client.connectivity import CancelDial, Close, ConnectivityMachine, ConnectivityState, Dial, Effect, Report
from zkrpc.client.member_observing import MemberObserver
from zkrpc.client.naming import Names, Naming
from zkrpc.client.pulse import ConnectionOwner
from zkrpc.client.resolver import name_of
from zkrpc.client.secured import Dialler
from zkrpc.client.waiting import Alarm
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Endpoint
from zkrpc.errors import DeadlineExceeded, Executed, RpcError, Unavailable
from zkrpc.policies.backoff import Backoff
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import Dialect


class SubchannelHost(Protocol):
    """The part of a channel that its subchannels use."""

    config: ClientConfig
    backoff: Backoff
    rng: Callable[[], float]
    clock: Callable[[], float]
    closed: bool
    dialect: str | None
    """What members speak whose records do not say; None if that is to be found out."""
    found: str
    """What the last such member was found to speak."""
    naming: Naming
    """What methods are called at each member."""
    dial: Dialler
    keepalive: KeepalivePolicy
    observer: MemberObserver | None
    """Emits the events of connections; None without observers."""
    connections: set[Connection]
    """All open connections, including those of retired subchannels and those that drain."""

    @property
    def caller(self) -> Caller:
        """Who calls, as servers are told."""

    def receive_report(self, subchannel: Subchannel, report: Report, /) -> None:
        """The state or the standing of a subchannel has changed."""

    def may_leave_unheard(self, subchannel: Subchannel, /) -> bool:
        """Whether the subchannel's member has never answered a call, and another member looks well."""


class Subchannel:
    """The way to one endpoint: dials when its machine orders that, and keeps the connections."""

    dialect: Dialect
    zkrpc = False
    obstacle = ""
    """Why it need not be dialled, as its record says so; empty if nothing speaks against it."""
    ready: Connection | None = None
    """A connection that any number of calls share, without ``acquire`` and ``release``; None if there is none now."""
    names: Names | None = None
    """What methods are called there; None if that is their own names."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost) -> None:
        self.endpoint = endpoint
        self.keepalive: KeepalivePolicy | None = host.keepalive
        self.connectivity = ConnectivityMachine(host.backoff, asks=self.zkrpc, rng=host.rng)
        """The state of the endpoint, which others may read; only this subchannel passes it inputs."""
        self._host = host
        self._alarm = Alarm(gevent.get_hub().loop, host.clock, self._on_timer)
        self._was_heard: bool | None = None
        """Whether anything came on the last connection on which a call had left; None if there was none."""
        self._dialling: Any = None
        """The greenlet of the dial that the machine ordered; its value is the connection."""

    def __repr__(self) -> str:
        """Endpoint, and why it cannot be connected to."""
        retired = " retired" if self.connectivity.state is ConnectivityState.SHUTDOWN else ""
        return f"<{type(self).__name__} {self.endpoint} {self.connectivity.failure or 'ok'}{retired}>"

    @property
    def speaks(self) -> str:
        """The name of the dialect that the endpoint is called in."""
        return name_of(self.dialect, zkrpc=self.zkrpc)

    @property
    def is_heard(self) -> bool | None:
        """Whether the endpoint has sent anything at all since calls leave to it; None if none has left."""
        heard = {one.is_heard for one in self._mine()} - {None}
        return any(heard) if heard else self._was_heard

    def acquire(self, deadline_at: float) -> Connection:
        """A connection for one call, until ``release``.

        Raises Unavailable if there is none, DeadlineExceeded if it took too long. In both cases nothing was sent.
        """
        raise NotImplementedError

    def release(self, connection: Connection) -> None:
        """The call that had acquired the connection is over, whatever its outcome."""
        raise NotImplementedError

    def retire(self) -> None:
        """The endpoint is no longer a member: it is not dialled any more, and its connections close once idle."""
        self.connectivity.retire(self._host.clock())
        self._obey()

    def verify(self) -> None:
        """Finds out in the background whether the endpoint takes calls, unless a connection or a dial shows that
        already."""
        self.connectivity.verify(self._host.clock())
        self._obey()

    # -- what connections tell

    def connection_draining(self, connection: Connection) -> None:
        """The server is about to stop, or wants its connections renewed."""
        self._drop(connection)
        connection.close_when_idle()
        self.connectivity.receive_draining(self._host.clock())
        self._obey()

    def connection_silent(self, connection: Connection) -> None:
        """The server gives no sign of life; other members are preferred until it does."""
        self.connectivity.receive_silent(self._host.clock())
        self._obey()

    def may_leave_unheard(self, connection: Connection) -> bool:
        """True if the endpoint has never answered a call, and another member looks well."""
        return self._host.may_leave_unheard(self)

    def connection_heard(self, connection: Connection) -> None:
        """The server gives signs of life again."""
        self.connectivity.receive_heard(self._host.clock())
        self._obey()

    def connection_closed(self, connection: Connection) -> None:
        """The connection has ended; nothing refers to it any more."""
        self._host.connections.discard(connection)
        if connection.is_heard is not None:
            self._was_heard = connection.is_heard
        if self._host.observer is not None:
            self._host.observer.closed(connection)
        self._drop(connection)
        self.connectivity.receive_closed(self._host.clock(), silent=connection.silent, connected=bool(self._mine()))
        self._obey()

    # -- what the machine orders

    def _obey(self) -> None:
        """After each input of the machine: carries out its effects, and sets its timer. Never switches greenlets."""
        for effect in self.connectivity.effects():
            self._do(effect)
        due = self.connectivity.next_timer()
        if due is None:
            self._alarm.clear()
        elif due != self._alarm.at:
            self._alarm.set(due)

    def _do(self, effect: Effect) -> None:
        if isinstance(effect, Dial):
            if self._dialling is None:  # else the outcome of the dial under way answers this effect, too
                self._dialling = gevent.spawn(self._dial, effect.prove)
        elif isinstance(effect, CancelDial):
            dialling, self._dialling = self._dialling, None
            if dialling is not None:
                dialling.kill(block=False)
        elif isinstance(effect, Close):
            self._let_go()
        elif isinstance(effect, Report):
            self._host.receive_report(self, effect)
        else:
            assert_never(effect)

    def _on_timer(self) -> None:
        self.connectivity.handle_timer(self._host.clock())
        self._obey()

    def _dial(self, prove: bool) -> Connection | None:
        """In a greenlet of its own: opens the connection that the machine ordered, and reports the outcome."""
        connection = failure = None
        try:
            connection = self._connect(self._host.config.connect_timeout, prove)
        except (OSError, RpcError) as error:
            failure = reason_of(error)
        if self._dialling is not gevent.getcurrent():  # cancelled a moment ago
            if connection is not None:
                connection.close()
            return None
        self._dialling = None
        if connection is None:
            self.connectivity.receive_refused(failure or "", self._host.clock())
        else:
            self._adopt(connection)
            self.connectivity.receive_connected(self._host.clock())
        self._obey()
        return connection

    def _connect(self, timeout: float, prove: bool = False) -> Connection:
        """Opens a connection, and waits for a ping's answer on it if ``prove``. Raises OSError."""
        observer = self._host.observer
        if observer is None:
            return self._open(timeout, prove)
        began = self._host.clock()
        try:
            connection = self._open(timeout, prove)
        except (OSError, RpcError) as error:
            observer.failed(self.endpoint, reason_of(error), began)
            raise
        observer.opened(connection, began)
        return connection

    def _open(self, timeout: float, prove: bool) -> Connection:
        connection = self._reach(self.dialect, self, timeout)
        try:
            if prove and not connection.prove(timeout):
                raise TimeoutError("it accepts connections and gives no sign of life")
        except BaseException:
            connection.close()
            raise
        return connection

    def _reach(self, dialect: Dialect, owner: ConnectionOwner[Connection], timeout: float) -> Connection:
        host = self._host
        if self.obstacle:
            raise OSError(self.obstacle)
        try:
            connection = host.dial(
                self.endpoint,
                dialect,
                host.config.wire,
                timeout,
                owner,
                zkrpc=self.zkrpc,
                clock=host.clock,
                caller=host.caller,
            )
        except (OSError, RpcError):
            raise
        except Exception as error:
            # A record with an address that the system cannot use counts as a failure of this member alone.
            raise OSError(f"{type(error).__name__}: {error}") from error
        host.connections.add(connection)
        if host.closed:
            connection.close()
            raise ConnectionAbortedError("the client was closed meanwhile")
        return connection

    # -- for the subchannels

    def _mine(self) -> Sequence[Connection]:
        """The open connections that calls take."""
        raise NotImplementedError

    def _adopt(self, connection: Connection) -> None:
        """Keeps an idle connection for later calls."""
        raise NotImplementedError

    def _drop(self, connection: Connection) -> None:
        """Removes a connection from those that calls can take."""
        raise NotImplementedError

    def _let_go(self) -> None:
        """Takes all connections out of use for new calls, and closes each as soon as it is idle."""
        raise NotImplementedError

    def _unavailable(self) -> Unavailable:
        reason = self.connectivity.failure or "it left the list of instances meanwhile"
        lasting = bool(self.obstacle)
        hint = "" if lasting else "; is the server running there, and reachable from here?"
        return Unavailable(
            f"cannot connect to {self.endpoint}: {reason}{hint}", lasting=lasting, endpoint=self.endpoint
        )

    def _late(self, what: str) -> DeadlineExceeded:
        return DeadlineExceeded(what, executed=Executed.NO, endpoint=self.endpoint)


class SharedSubchannel(Subchannel):
    """One connection with many calls in flight; one dial serves all calls that wait for it."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost, *, dialect: Dialect, zkrpc: bool) -> None:
        self.dialect = dialect
        self.zkrpc = zkrpc
        super().__init__(endpoint, host)

    def acquire(self, deadline_at: float) -> Connection:
        """The connection, dialled if need be."""
        return self.ready or self._join_dial(deadline_at)

    def release(self, connection: Connection) -> None:
        """Does nothing, as other calls use the connection, too."""

    def _mine(self) -> Sequence[Connection]:
        return () if self.ready is None else (self.ready,)

    def _adopt(self, connection: Connection) -> None:
        self.ready = connection

    def _drop(self, connection: Connection) -> None:
        if self.ready is connection:
            self.ready = None

    def _let_go(self) -> None:
        connection, self.ready = self.ready, None
        if connection is not None:
            connection.close_when_idle()

    def _join_dial(self, deadline_at: float) -> Connection:
        """Waits for the dial under way, or for a new one. If it is cancelled, its waiters fail at once, and may try
        another instance."""
        if self.connectivity.failure is not None:
            raise self._unavailable()
        self.connectivity.connect(self._host.clock())
        self._obey()
        dialling = self._dialling
        if dialling is None:
            raise self._unavailable()
        dialling.join(max(0.0, deadline_at - self._host.clock()))
        if not dialling.dead:
            raise self._late(f"still connecting to {self.endpoint}")
        connection = dialling.value
        if isinstance(connection, Connection):
            return connection
        raise self._unavailable()


def reason_of(error: OSError | RpcError) -> str:
    """Why a dial has failed, in a few words."""
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
