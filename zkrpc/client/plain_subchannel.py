"""The way to a member that speaks plain Thrift: a few connections, with one call at a time each.

A server that gives each connection a thread of its own serves as many connections as it has threads, and lets all
others wait. So connections are opened as calls need them, the one used last is used first, and one that no call has
needed for ``plain_idle`` seconds is closed.

A shell, as :mod:`zkrpc.client.subchannel` is.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import gevent
from gevent.event import Event

from zkrpc.client.connection import Connection
from zkrpc.client.connectivity import ConnectivityState
from zkrpc.client.subchannel import Subchannel, SubchannelHost, reason_of
from zkrpc.client.waiting import Alarm
from zkrpc.endpoint import Endpoint
from zkrpc.wire.message import Dialect


class PlainSubchannel(Subchannel):
    """Up to ``plain_connections`` connections with one call at a time each; further calls wait for one that is free."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost, *, dialect: Dialect) -> None:
        self.dialect = dialect
        super().__init__(endpoint, host)
        self._free = host.config.plain_connections
        """Calls that may still take a connection."""
        self._queue: dict[Event, None] = {}
        """Calls that wait for one, in their order. A call that ends gives its place to the first of them: a semaphore
        would let the caller that is running take it again, and the others might wait for ever."""
        self._idle: dict[Connection, float] = {}
        """Since when each has been idle, the longest first."""
        self._busy: set[Connection] = set()
        self._enough = Alarm(gevent.get_hub().loop, host.clock, self._give_back)

    def acquire(self, deadline_at: float) -> Connection:
        """An idle connection, the one used last first, or a new one."""
        if self.connectivity.failure is not None:
            raise self._unavailable()
        if self._free:
            self._free -= 1
        else:
            self._await_turn(deadline_at)
        try:
            connection = self._take_idle() or self._dial_in_time(deadline_at)
        except BaseException:
            self._pass_turn()
            raise
        self._busy.add(connection)
        return connection

    def release(self, connection: Connection) -> None:
        """Keeps the connection for the next call, unless it was closed or the endpoint is no longer a member."""
        self._busy.discard(connection)
        self._pass_turn()
        if self.connectivity.state is ConnectivityState.SHUTDOWN:
            connection.close()
        elif not connection.closed:
            self._adopt(connection)

    def _await_turn(self, deadline_at: float) -> None:
        turn = Event()
        self._queue[turn] = None
        try:
            if not turn.wait(max(0.0, deadline_at - self._host.clock())):
                raise self._late(f"all {self._host.config.plain_connections} connections to {self.endpoint} are busy")
        except BaseException:
            if turn.is_set():
                self._pass_turn()
            else:
                del self._queue[turn]
            raise

    def _pass_turn(self) -> None:
        turn = next(iter(self._queue), None)
        if turn is None:
            self._free += 1
        else:
            del self._queue[turn]
            turn.set()

    def _take_idle(self) -> Connection | None:
        # A server may have closed an idle connection long ago; a call that is sent on it could be lost and not be
        # repeated.
        while self._idle:
            connection, _ = self._idle.popitem()
            if not connection.is_stale():
                return connection
        return None

    def _dial_in_time(self, deadline_at: float) -> Connection:
        """Dials for one call. If the call has less time than a dial may take and that time runs out, the endpoint does
        not count as down."""
        remaining, patience = deadline_at - self._host.clock(), self._host.config.connect_timeout
        if remaining >= patience:
            return self._dial_for_caller(patience)
        timer = gevent.Timeout(max(0.0, remaining))
        try:
            with timer:
                return self._dial_for_caller(patience)
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            raise self._late(f"still connecting to {self.endpoint}") from None

    def _dial_for_caller(self, timeout: float) -> Connection:
        try:
            connection = self._connect(timeout)
        except OSError as error:
            self.connectivity.receive_refused(reason_of(error), self._host.clock())
            self._obey()
            raise self._unavailable() from error
        self.connectivity.receive_connected(self._host.clock())
        self._obey()
        return connection

    def _mine(self) -> Sequence[Connection]:
        return (*self._idle, *self._busy)

    def _adopt(self, connection: Connection) -> None:
        # With a connection from a dial that the machine ordered, there may be one too many.
        if len(self._idle) + len(self._busy) < self._host.config.plain_connections:
            now = self._host.clock()
            self._idle[connection] = now
            if self._enough.at == math.inf:
                self._enough.set(now + self._host.config.plain_idle)
        else:
            connection.close()

    def _drop(self, connection: Connection) -> None:
        self._busy.discard(connection)
        self._idle.pop(connection, None)
        if not self._idle:
            self._enough.clear()

    def _give_back(self) -> None:
        """In the hub: closes the connections that no call has needed for long enough."""
        since = self._host.clock() - self._host.config.plain_idle
        for connection in [one for one, idle_at in self._idle.items() if idle_at <= since]:
            connection.close("no call needs it")
        if self._idle and self._enough.at == math.inf:
            self._enough.set(next(iter(self._idle.values())) + self._host.config.plain_idle)

    def _let_go(self) -> None:
        self._enough.clear()
        for connection in list(self._idle):  # busy ones are closed by their release
            connection.close()
