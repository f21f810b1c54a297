"""How long one connection may live, be idle, and be silent: a state machine that is asked now and then.

=======  ============================================  ===============================================================
state    means                                         left by
=======  ============================================  ===============================================================
FRESH    it may take calls                             its age or its idleness is over: END, and ENDING
ENDING   the peer was asked to send its calls over a   ``max_connection_age_grace`` after that: CLOSE, whatever is in
         new connection, and closes this one           flight
=======  ============================================  ===============================================================

Every connection gets an age of its own within a tenth of what is configured, so that those that were opened together
are not closed together (gRPC's ``max_connection_age`` does the same). Beside that, a zkrpc peer that has been silent is
asked for a sign of life, and closed if it gives none; see :mod:`zkrpc.wire.keepalive`.

A server may have ten thousand connections that do nothing, so it looks at each no more often than the limits need;
:func:`pace_of` says how often.
"""

from __future__ import annotations

import enum
import functools
import math
from collections.abc import Callable
from typing import Protocol

from zkrpc.config import ServerConfig
from zkrpc.wire.keepalive import Keepalive, KeepalivePolicy, Verdict
from zkrpc.wire.server import ServerProtocol

_JITTER = 0.1
_PRECISION = 1 / 8
_SHORTEST_STEP = 0.5


class AgeAction(enum.Enum):
    """What to do with the connection."""

    PING = "ask the peer for a sign of life"
    END = "ask the peer to go"
    CLOSE = "close the connection"


class Ageing(Protocol):
    """The connection whose age it is."""

    protocol: ServerProtocol

    def flush(self) -> None:
        """Sends what its protocol has written."""

    def finish(self) -> None:
        """Asks the peer to go, and closes when nothing is in flight."""

    def close(self) -> None:
        """Closes at once."""


def carry_out(action: AgeAction | None, connection: Ageing) -> None:
    """Does with a connection what is to be done now; None is nothing."""
    if action is AgeAction.PING:
        connection.protocol.send_ping()
        connection.flush()
    elif action is AgeAction.END:
        connection.finish()
    elif action is AgeAction.CLOSE:
        connection.close()


_STEPS = {Verdict.PING: AgeAction.PING, Verdict.CLOSE: AgeAction.CLOSE}


@functools.lru_cache
def pace_of(config: ServerConfig) -> float:
    """Seconds between looks at a connection: an eighth of the shortest limit, so that none is overstepped by much."""
    wire, grace = config.wire, config.max_connection_age_grace or math.inf
    ages = (config.max_connection_age, grace, config.max_connection_idle)
    silences = (config.keepalive_time, config.keepalive_timeout, config.max_write_stall)
    return _PRECISION * min(*ages, *silences, wire.first_frame_timeout, wire.partial_frame_timeout)


@functools.lru_cache
def _policy_of(config: ServerConfig) -> KeepalivePolicy:
    """The keepalive policy for all connections. The time between two regular looks must count in full."""
    patience = config.keepalive_timeout
    return KeepalivePolicy(
        time=config.keepalive_time,
        idle_time=config.keepalive_time,
        patience=patience,
        timeout=patience,
        longest_step=max(_SHORTEST_STEP, 2 * pace_of(config)),
    )


class ConnectionAge:
    """The age and the silence of one connection, opened at ``now``; ``rng`` gives floats in [0, 1)."""

    __slots__ = ("_close_at", "_config", "_end_at", "_keepalive")

    def __init__(self, config: ServerConfig, rng: Callable[[], float], now: float) -> None:
        self._config = config
        self._end_at = now + config.max_connection_age * (1 - _JITTER + 2 * _JITTER * rng())
        self._close_at = math.inf
        self._keepalive = Keepalive(_policy_of(config), now)

    def look(self, now: float, protocol: ServerProtocol, used_at: float) -> AgeAction | None:
        """What to do now; None if nothing. ``used_at`` is when the last call began."""
        return self._look_at_age(now, used_at, bool(protocol.in_flight)) or self._look_at_silence(now, protocol)

    def _look_at_age(self, now: float, used_at: float, busy: bool) -> AgeAction | None:
        if self._close_at < math.inf:
            return AgeAction.CLOSE if now >= self._close_at else None
        idle = not busy and now - used_at >= self._config.max_connection_idle
        if not idle and now < self._end_at:
            return None
        self._close_at = now + self._config.max_connection_age_grace
        return AgeAction.END

    def _look_at_silence(self, now: float, protocol: ServerProtocol) -> AgeAction | None:
        if not protocol.peer_is_zkrpc:
            return None
        verdict = self._keepalive.look(now, protocol.last_heard_at, False)
        return None if verdict is None else _STEPS.get(verdict)

    def __repr__(self) -> str:
        """When the connection is to end and to be closed."""
        return f"<ConnectionAge end_at={self._end_at:.1f} close_at={self._close_at:.1f} {self._keepalive!r}>"
