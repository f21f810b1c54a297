"""Decides when a session is given up that ZooKeeper will neither continue nor end.

A server that lost its data, was restored from an older backup, or is another ensemble under the old address, knows less
than its clients have seen. It hangs up on them for that, for ever, and never says that their sessions have ended. But
the same is what a server does that has no quorum or too many connections; sessions live on there, and must not be given
up.

Three facts together tell it. *It lasts*: for a session timeout nobody took us, so a server that only lags behind has
caught up, and where it has not, nobody has kept our session alive for so long. *A newcomer is taken*: one that has seen
nothing gets a session, so the server serves, and has room. *We are not*: after that the same server hangs up on us once
more.

A machine: it knows neither sockets nor clocks. While servers hang up it wants newcomers to be tried, at the time that
``next_timer`` tells.
"""

from __future__ import annotations

from zkrpc.endpoint import Endpoint

_TRY_AGAIN_AFTER = 1.0


class Estrangement:
    """Whether one session and its servers have parted for good. A machine."""

    def __init__(self) -> None:
        self.estranged: Endpoint | None = None
        """The server that takes others and not us; None while that is not certain."""
        self._hanging_up: set[Endpoint] = set()
        self._takers: set[Endpoint] = set()
        self._try_at = 0.0

    def __repr__(self) -> str:
        """Who hangs up, and who takes others."""
        return f"<Estrangement hanging_up={len(self._hanging_up)} takers={len(self._takers)}>"

    def receive_hang_up(self, server: Endpoint, session_timeout: float, now: float) -> None:
        """It hung up on a greeting that tells what we have seen; the session was granted so many seconds."""
        if not self._hanging_up:
            self._try_at = now + session_timeout
        self._hanging_up.add(server)
        if server in self._takers:
            self.estranged = server

    def receive_answer(self) -> None:
        """A server took us as we are, or said that the session has ended."""
        self.estranged = None
        self._hanging_up.clear()
        self._takers.clear()

    def next_timer(self) -> float | None:
        """When newcomers are to be tried; None while nothing speaks for it, or one was taken."""
        return self._try_at if self._hanging_up and not self._takers else None

    def suspects(self) -> tuple[Endpoint, ...]:
        """The servers at which to try a newcomer."""
        return tuple(sorted(self._hanging_up))

    def receive_newcomer(self, server: Endpoint, taken: bool, now: float) -> None:
        """What became of a newcomer there."""
        if taken:
            self._takers.add(server)
        else:
            self._try_at = now + _TRY_AGAIN_AFTER
