"""The states of an election and its transitions, as a table that the machine follows.

Each transition has a *trigger*. A trigger for which the current state has no entry is a bug in zkrpc: ``after`` raises,
and the state stays as it was. The groups of states at the end are used by the other modules of the election.

From CONFIRMING on the reasons to stop are: the lease ended; the session is another; our candidate, the primary's node
or the epoch's node was changed by others; a higher epoch was seen; a hand-over or withdrawal. A lost connection is not
a reason to stop.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from types import MappingProxyType

from zkrpc.errors import LocalProtocolError


class ElectionState(enum.Enum):
    """How far one group's election has come in this process."""

    IDLE = "idle"
    """Not taking part, and without nodes in ZooKeeper."""
    ENROLLING = "enrolling"
    """The candidate's node is being created, or will be after a pause in favour of other candidates."""
    WAITING = "waiting"
    """In the queue, with watches set."""
    CLAIMING = "claiming"
    """The claim's transaction was sent."""
    CONFIRMING = "confirming"
    """The epoch is won, and there is no lease yet."""
    SYNCHRONISING = "synchronising"
    """``on_elected`` runs."""
    PRIMARY = "primary"
    """Calls are served while the lease is valid."""
    DEPOSING = "deposing"
    """Calls are refused, ``on_deposed`` runs."""
    RESIGNING = "resigning"
    """Our nodes are being deleted."""
    EXITING = "exiting"
    """The process must end."""


class Trigger(enum.Enum):
    """The inputs that move an election from one state to another."""

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
    # A claim without an answer may turn out, at a later read and in any of these states, to have been carried out.
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
"""The states of a candidate that has not won an epoch, as far as it knows."""
HOLDING = (ElectionState.CONFIRMING, ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""The states in which an epoch is held."""
LEADING = (ElectionState.SYNCHRONISING, ElectionState.PRIMARY)
"""The states after ``on_elected`` has begun, which must be followed by ``on_deposed``."""
WITHOUT_LEASE = (ElectionState.IDLE, ElectionState.ENROLLING, ElectionState.WAITING, ElectionState.EXITING)
"""The states that need no lease."""


def after(state: ElectionState, trigger: Trigger) -> ElectionState:
    """The state after a trigger. Raises LocalProtocolError if the table has no entry, which is a bug in zkrpc."""
    following = TABLE[state].get(trigger)
    if following is None:
        raise LocalProtocolError(f"{trigger.value} cannot come while {state.value}; this is a bug in zkrpc")
    return following
