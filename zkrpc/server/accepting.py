"""What to do when a connection cannot be accepted: a state machine, told of each failure and of the next success.

========  =============================================  ===========================================================
state     means                                          left by
========  =============================================  ===========================================================
OPEN      connections are accepted                       no descriptor or no memory left, or anything else that would
                                                         turn in circles: PAUSED, said once
PAUSED    none is, as it would only fail again; peers    the pause is over: one try. If it fails the pause doubles,
          that connect wait in the kernel's backlog      else OPEN, said once
========  =============================================  ===========================================================

A connection that its peer has closed before it was accepted is no reason to pause: the next one is accepted.
"""

from __future__ import annotations

import errno

FIRST_PAUSE, LONGEST_PAUSE = 0.05, 1.0
"""Seconds. A descriptor becomes free as soon as any connection or file is closed, so it pays to try again soon."""

_PEERS = frozenset(
    {
        errno.ECONNABORTED,
        errno.ECONNRESET,
        errno.EPROTO,
        errno.ENOPROTOOPT,
        errno.ENETDOWN,
        errno.ENETUNREACH,
        errno.EHOSTDOWN,
        errno.EHOSTUNREACH,
        errno.ETIMEDOUT,
    }
)
"""Errors of the one connection that was to be accepted, which Linux reports as an error of ``accept``."""


class Accepting:
    """Whether to accept, pause or go on; see the module's table."""

    def __init__(self) -> None:
        self._since: float | None = None
        self._pause = FIRST_PAUSE

    def __repr__(self) -> str:
        """The state."""
        return f"<Accepting {'open' if self._since is None else f'paused since {self._since:.1f}'}>"

    def receive_failure(self, number: int | None, now: float) -> float | None:
        """Takes in an error's ``errno``; returns the seconds to pause, or None to go on with the next connection."""
        if number in _PEERS:
            return None
        if self._since is None:
            self._since = now
        pause, self._pause = self._pause, min(LONGEST_PAUSE, 2 * self._pause)
        return pause

    def receive_accepted(self, now: float) -> float | None:
        """A connection was accepted. Returns the seconds for which none was, if this ends a pause; None otherwise."""
        since, self._since, self._pause = self._since, None, FIRST_PAUSE
        return None if since is None else now - since

    @property
    def paused(self) -> bool:
        """True from the first failure until the next success."""
        return self._since is not None
