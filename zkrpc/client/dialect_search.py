"""Finds out what a member speaks whose record does not say; and which kind of subchannel each member gets.

Before the first call goes to such a member it is asked, in one dialect after another, for a method that no server has.
A server that understands the question answers that it does not know the method. One that does not hangs up, or waits
for more, and executes nothing: the question is no call in any dialect. So no call of a user's is ever sent to try
something out, let alone twice.

=====================================  ================================================================================
outcome                                then
=====================================  ================================================================================
an answer                              that is what the member speaks, as long as it is a member; the next one of the
                                       service is asked in that dialect first
no connection                          as for any member that cannot be connected to; it is asked the next time
no answer in any dialect               it is taken to speak what the last one of the service did, or ``framed``: some
                                       servers hang up when they do not know a method. As long as it sends nothing to
                                       calls, it is asked again, at most every ``AGAIN`` seconds
=====================================  ================================================================================

A shell, as :mod:`zkrpc.client.subchannel` is.
"""

from __future__ import annotations

import logging
import math
from typing import Any

import gevent

from zkrpc.client.connection import Connection
from zkrpc.client.plain_subchannel import PlainSubchannel
from zkrpc.client.resolver import NAMED, SEARCHED, ZKRPC, choose
from zkrpc.client.secured import obstacle_of
from zkrpc.client.subchannel import SharedSubchannel, Subchannel, SubchannelHost, reason_of
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import RpcError
from zkrpc.wire.keepalive import KeepalivePolicy
from zkrpc.wire.message import EMPTY_STRUCT, Dialect

AGAIN = 10.0
"""Seconds before a member is asked again that has not answered in any dialect."""
_QUESTION = "zkrpc-what-do-you-speak"
"""The name of no method, as an IDL's names have no hyphens."""
_PATIENCE = 0.4
"""The share of ``connect_timeout`` for which an answer is awaited in each dialect, so that the two most common ones are
tried within it where a server waits for more."""
_SHORTEST = 0.01
"""Seconds that a dial gets at least, when the asking has taken most of its time."""

_log = logging.getLogger(__name__)


class _Question:
    """Owns the connection of one question, of which nobody else learns."""

    keepalive: KeepalivePolicy | None = None

    def __init__(self, host: SubchannelHost) -> None:
        self._host = host

    def __repr__(self) -> str:
        """Nothing but its kind."""
        return "<Question>"

    def connection_closed(self, connection: Connection) -> None:
        """It is over."""
        self._host.connections.discard(connection)

    def connection_draining(self, connection: Connection) -> None:
        """Says nothing: a plain server cannot drain."""

    connection_silent = connection_heard = connection_draining

    def may_leave_unheard(self, connection: Connection) -> bool:
        """The deadline is short."""
        return False


class SearchingSubchannel(PlainSubchannel):
    """The way to a plain Thrift server of which it is not known what it speaks. ``service`` stands before its methods'
    names, if it is not empty: a server of several services hangs up on a name without one."""

    def __init__(self, endpoint: Endpoint, host: SubchannelHost, *, service: str = "") -> None:
        super().__init__(endpoint, host, dialect=NAMED[host.found])
        self._question = f"{service}:{_QUESTION}".encode() if service else _QUESTION.encode()
        self._is_known = False
        self._ask_again_at = -math.inf
        self._asking: Any = None
        """The greenlet that finds it out; its value is why the endpoint cannot be connected to, None if it can."""

    @property
    def speaks(self) -> str:
        """The name of the dialect; empty while it is not known."""
        return super().speaks if self._is_known or self._ask_again_at > -math.inf else ""

    def retire(self) -> None:
        """The endpoint is no longer a member, so nobody wants to know."""
        super().retire()
        if self._asking is not None:
            self._asking.kill(block=False)

    def connection_closed(self, connection: Connection) -> None:
        """A server that says nothing in what it is merely taken to speak is asked again, in time."""
        super().connection_closed(connection)
        if connection.is_heard:
            self._is_known = True

    def _open(self, timeout: float, prove: bool) -> Connection:
        began = self._host.clock()
        if not self._is_known and began >= self._ask_again_at:
            self._find_out(timeout)
            timeout -= self._host.clock() - began
        return super()._open(max(timeout, _SHORTEST), prove)

    def _find_out(self, timeout: float) -> None:
        """Waits until it is known. Raises OSError after ``timeout`` seconds; the asking goes on for the next call."""
        asking = self._asking = self._asking or gevent.spawn(self._ask)
        asking.join(timeout)
        if not asking.dead:
            raise TimeoutError("it is still being found out what it speaks")
        if isinstance(asking.value, str):
            raise ConnectionError(asking.value)

    def _ask(self) -> str | None:
        host = self._host
        try:
            for name in dict.fromkeys((host.found, *SEARCHED)):
                if self._answers_in(NAMED[name]):
                    self.dialect, self._is_known, host.found = NAMED[name], True, name
                    _log.info("%s speaks %s, as was found out", self.endpoint, name)
                    return None
        except OSError as error:
            return reason_of(error)
        finally:
            self._asking = None
        self.dialect, self._ask_again_at = NAMED[host.found], host.clock() + AGAIN
        _log.warning(
            "%s does not say what it speaks: it has answered in none of %s, and is taken to speak %s; "
            "connect(dialect=...) sets that",
            self.endpoint,
            ", ".join(SEARCHED),
            host.found,
        )
        return None

    def _answers_in(self, dialect: Dialect) -> bool:
        """Whether the server answers a question in this dialect. Raises OSError if it cannot be connected to."""
        patience = self._host.config.connect_timeout
        connection = self._reach(dialect, _Question(self._host), patience)
        try:
            connection.call(self._question, EMPTY_STRUCT, self._host.clock() + _PATIENCE * patience)
        except RpcError:
            return False
        finally:
            connection.close()
        return True


def make_subchannel(instance: Instance, host: SubchannelHost) -> Subchannel:
    """Makes the subchannel for what the instance's record says that it speaks, for what the host takes it to speak if
    the record does not say, or for finding it out."""
    name = choose(instance.protocols, host.dialect)
    made: Subchannel
    if name is None:
        names = host.naming.names_at(instance)
        made = SearchingSubchannel(instance.endpoint, host, service="" if names is None else names.service)
    elif NAMED[name].has_header:
        made = SharedSubchannel(instance.endpoint, host, dialect=NAMED[name], zkrpc=name == ZKRPC)
    else:
        made = PlainSubchannel(instance.endpoint, host, dialect=NAMED[name])
    made.obstacle = obstacle_of(host.dial, instance.tls)
    return made
