"""Whether an instance may stand: only one that callers find in the registry can serve them.

It knows what the registry says of us, and since when; it refuses to know how one gets there, and what standing is.
"""

from __future__ import annotations

from typing import Protocol

from gevent.event import Event

_GRACE = 2.0
"""Seconds that our node may be missing without anybody else's being there: somebody deleted it, and it comes back."""


class Listing(Protocol):
    """Our place in the registry, as a campaign sees it."""

    @property
    def registered_in(self) -> int | None:
        """The session that our node lives with; None while it is not there."""

    @property
    def conflict(self) -> str | None:
        """Who holds our node, while somebody else does."""

    def watch(self, event: Event) -> None:
        """Has ``event`` set whenever something of this may have changed."""

    def unwatch(self, event: Event) -> None:
        """Ends ``watch``."""


class Eligibility:
    """Whether to stand now. A machine."""

    def __init__(self) -> None:
        self.may_stand = False
        self._session_id: int | None = None
        self._missing_since: float | None = None

    def __repr__(self) -> str:
        """Whether, and since when not all is well."""
        return f"<Eligibility may_stand={self.may_stand} missing_since={self._missing_since}>"

    def observe(self, listing: Listing, session_id: int | None, now: float) -> None:
        """That is what our place looks like, in this session; without one nothing new is known, and nothing changes.

        A new session has to be listed anew, and a node that is another's ends it at once.
        """
        if session_id is None:
            return
        if listing.registered_in == session_id:
            self.may_stand, self._session_id, self._missing_since = True, session_id, None
        elif listing.conflict is not None or session_id != self._session_id:
            self.may_stand, self._missing_since = False, None
        elif self._missing_since is None:
            self._missing_since = now
        elif now - self._missing_since >= _GRACE:
            self.may_stand = False

    def next_timer(self) -> float | None:
        """When to observe again without a reason."""
        return self._missing_since + _GRACE if self.may_stand and self._missing_since is not None else None
