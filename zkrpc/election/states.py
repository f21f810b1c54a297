"""The states of an election and what leads from one to the next, as a table that the machine goes by.

The machine moves by naming a *trigger*. One for which its state has no entry cannot happen, so it is a fault of this
program: ``after`` raises, and the state stays as it was. The groups of states below are what the rest of the election
asks about.

From CONFIRMING on the reasons to stop are: the lease ended; the session is another; our candidate, the primary's node
or the epoch's is not as we left it; a higher epoch was seen; a hand-over or withdrawal. A lost connection is none.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from zkrpc.errors import LocalProtocolError


class ElectionState(enum.Enum):
    """How far one group's election has come in this process."""

    IDLE = "idle"
    """No wish to lead, nothing of ours there."""
    ENROLLING = "enrolling"
    """Our candidate's node is being made, or will be when others have had their turn."""
    WAITING = "waiting"
    """In the queue, with watches set."""
    CLAIMING = "claiming"
    """The transaction was sent."""
    CONFIRMING = "confirming"
    """The epoch is ours, the lease not yet."""
    SYNCHRONISING = "synchronising"
    """``on_elected`` runs."""
    PRIMARY = "primary"
    """Calls are served while the lease is valid."""
    DEPOSING = "deposing"
    """The gate is shut, ``on_deposed`` runs."""
    RESIGNING = "resigning"
    """Our nodes are being deleted."""
    EXITING = "exiting"
    """The process must end."""


class Trigger(enum.Enum):
    """What moves an election from one state to another."""

    WANTED = "the wish to lead"
    QUEUED = "a look that found another's turn"
    CLAIM_SENT = "a claim"
    WON = "a claim that was carried out"
    LEASED = "a lease"
    READY = "on_elected having returned"
    STOP = "a reason to stop"
    STOPPED = "on_deposed having returned"
    OVERDUE = "on_deposed taking too long"
    NOTHING_LEFT = "nothing in ZooKeeper being ours"
    SESSION_CHANGED = "another session"


_S, _T = ElectionState, Trigger
_FROM_THE_QUEUE: Mapping[Trigger, ElectionState] = {
    _T.QUEUED: _S.WAITING,
    # A claim without an answer may be found to have been carried out in whatever state a later look was.
    _T.WON: _S.CONFIRMING,
    _T.STOP: _S.RESIGNING,
    _T.SESSION_CHANGED: _S.ENROLLING,
}
TABLE: Mapping[ElectionState, Mapping[Trigger, ElectionState]] = MappingProxyType(
    {
        _S.IDLE: {_T.WANTED: _S.ENROLLING, _T.NOTHING_LEFT: _S.IDLE},
        _S.ENROLLING: {**_FROM_THE_QUEUE, _T.CLAIM_SENT: _S.CLAIMING},
        _S.WAITING: {**_FROM_THE_QUEUE, _T.CLAIM_SENT: _S.CLAIMING},
        _S.CLAIMING: _FROM_THE_QUEUE,
        _S.CONFIRMING: {_T.LEASED: _S.SYNCHRONISING, _T.STOP: _S.RESIGNING},
        _S.SYNCHRONISING: {_T.READY: _S.PRIMARY, _T.STOP: _S.DEPOSING},
        _S.PRIMARY: {_T.STOP: _S.DEPOSING},
        _S.DEPOSING: {_T.STOPPED: _S.RESIGNING, _T.OVERDUE: _S.EXITING},
        _S.RESIGNING: {_T.NOTHING_LEFT: _S.IDLE},
        _S.EXITING: {},
    }
)

STANDING = (ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.CLAIMING)
"""We want to lead, and have no epoch that we know of."""
HOLDING = (ElectionState.CONFIRMING, ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""An epoch is ours."""
LEADING = (ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""The application has been told, so it must be told when it is over."""
WITHOUT_LEASE = (ElectionState.IDLE, ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.EXITING)
"""Nothing needs a lease."""


def after(state: ElectionState, trigger: Trigger) -> ElectionState:
    """The state that follows. Raises LocalProtocolError if nothing can: that is a bug, and to be reported as one."""
    following = TABLE[state].get(trigger)
    if following is None:
        raise LocalProtocolError(f"{trigger.value} cannot come while {state.value}; this is a bug in zkrpc")
    return following
