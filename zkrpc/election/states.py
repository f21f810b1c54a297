"""The states of an election, and what groups of them have in common. What each means is in
:mod:`~zkrpc.election.machine`, which is their only writer."""

from __future__ import annotations

import enum


class ElectionState(enum.Enum):
    """See the machine's table."""

    IDLE = "idle"
    ENROLLING = "enrolling"
    WAITING = "waiting"
    CLAIMING = "claiming"
    CONFIRMING = "confirming"
    SYNCHRONISING = "synchronising"
    PRIMARY = "primary"
    DEPOSING = "deposing"
    RESIGNING = "resigning"
    EXITING = "exiting"


STANDING = (ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.CLAIMING)
"""We want to lead, and have no epoch that we know of."""
HOLDING = (ElectionState.CONFIRMING, ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""An epoch is ours."""
LEADING = (ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""The application has been told, so it must be told when it is over."""
WITHOUT_LEASE = (ElectionState.IDLE, ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.EXITING)
"""Nothing needs a lease."""
