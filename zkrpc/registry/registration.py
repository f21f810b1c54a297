"""Decides what to do so that an instance's node exists when it should, and does not when it should not.

A state machine: it knows the desired state of one path and the latest observation, asks for reads and writes, and knows
nothing of ZooKeeper's client, greenlets and clocks. One request is outstanding at a time.

=========== ============================================== ==================================================
state       means                                          left by
=========== ============================================== ==================================================
OFFLINE     no session to work with                        a session: LOOKING
LOOKING     ``LookUp`` (or ``Settle``) is outstanding      what it saw: WRITING, SETTLED; a failure: WAITING
WRITING     one write is outstanding                       any answer: LOOKING, or WAITING if it was refused twice
WAITING     something failed; the next try has a time      the time: LOOKING
SETTLED     nothing to do (there, absent, or in conflict)  any change, or the audit time: LOOKING
=========== ============================================== ==================================================

The success of a write is not relied on: after every write the node is read again, which also sets the watch. So a
create whose reply was lost, a session that expired in between and an operator's ``delete`` need no rules of their own.

Whose node is it? ``ephemeralOwner`` decides, never the name:

- our session's: ours, and replaced if its record is not the current one.
- another session's with our launch id: left by a previous session of ours, and replaced in one transaction, unless it
  was created *after* a node that we created in this session. An earlier session of ours cannot have done that, so it
  belongs to a live twin that a reload has started: our successor. A record that has no room for a launch id is ours if
  it is, byte for byte, one that we have registered: it has our address, and the millisecond of our start.
- any other session's, or a persistent node: a conflict, reported once per change. The node is never touched; ours is
  created when it is gone.

**A dead worker's node, or a living twin's?** The node of a worker that has died is deleted when its session expires.
That takes a bounded time: ZooKeeper grants the session timeout that was asked for, within its limits, and the lower
limit is at most the timeout that our session was granted. So the other session lasts no longer than the larger of the
timeout that its record says it asked for and our own. If the node still exists when one and a half times that has
passed on one connection, its owner is alive (``twin_lives``), and waiting any longer cannot help.

One race remains: ZooKeeper's transactions check a node's version, which starts again at 0 when a node is re-created,
and not its owner. If our node goes away between a read and the write that follows, and another process creates its own
at that very moment, ours may delete it by mistake.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

from zkrpc.registry.formats import describe_record, launch_of, session_timeout_of

_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_LONGEST_UNSAID = 40.0
"""The longest session timeout, in seconds, of owners whose records do not say: 20 ticks of ZooKeeper's default, 2 s."""
_PATIENCE = 1.5
"""How many times the longest session timeout is waited: expiry is rounded up to a tick, and noticed a moment later."""
_GRACE = 1.0


class RegistrationState(enum.Enum):
    """See the module's table."""

    OFFLINE = "offline"
    LOOKING = "looking"
    WRITING = "writing"
    WAITING = "waiting"
    SETTLED = "settled"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Observed:
    """The node at our path, as it was read."""

    owner: int
    """The session that owns it; 0 for a persistent node."""
    version: int
    created_zxid: int
    record: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class LookUp:
    """Read the node and watch it, whether it exists or not; answer with ``receive_observed``."""


@dataclasses.dataclass(frozen=True, slots=True)
class CreateNode:
    """Create our ephemeral node, and its parents if they are missing."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReplaceNode:
    """Delete the node at this version and create ours, in one transaction."""

    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class DeleteNode:
    """Delete our node at this version."""

    version: int


@dataclasses.dataclass(frozen=True, slots=True)
class Settle:
    """Make any write through ZooKeeper's leader that changes nothing; answer with ``receive_settled``.

    Writes that were sent earlier and have no known outcome are ordered before it, so the read after it sees their
    effect, even on another server that lags behind.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class ReportRegistered:
    """Log that the instance is registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportWithdrawn:
    """Log that the instance is no longer registered."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportConflict:
    """Log who holds our node, and who we are; for a ``successor`` of our own launch this is no error."""

    text: str
    successor: bool = False


Effect = LookUp | CreateNode | ReplaceNode | DeleteNode | Settle | ReportRegistered | ReportWithdrawn | ReportConflict


class RegistrationMachine:
    """The registration of one record at one path, and whether it is wanted.

    Effects are to be executed in order; each of ``LookUp``, ``Settle`` and the writes is answered by exactly one
    ``receive_observed``, ``receive_settled``, ``receive_written``, ``receive_refused`` or ``receive_failure``.
    """

    def __init__(
        self, path: str, record: bytes, launch_id: str, *, audit_interval: float, rng: Callable[[], float]
    ) -> None:
        self.path = path
        self.record = record
        self.state = RegistrationState.OFFLINE
        self.registered = False
        """True if our node was read, with our record and owned by our session, and nothing is known to have ended it
        since."""
        self.was_registered = False
        """True once our node was registered for the first time."""
        self.gone = True
        """True if no node is wanted, none of ours existed at the last read, and none can still appear."""
        self.conflict: str | None = None
        """A description of the holder of our node, while that is another session or, for a persistent node, none."""
        self.twin_lives = False
        """True if our node has been another's for longer than the session of a dead process can last."""
        self.failure: str | None = None
        """Why the last request failed, until one succeeds."""
        self._launch_id = launch_id
        self._former = record
        """The record before the present one."""
        self._audit_interval = audit_interval
        self._rng = rng
        self._wanted = False
        self.session_id: int | None = None
        """The session that was connected last."""
        self._session_timeout = 0.0
        self._holder: tuple[int, int, float] | None = None
        """The holder of our node (session id, creation zxid), and until when it may be the session of a dead
        process."""
        self._made_zxid: int | None = None
        self._uncertain = False
        self._changed = False
        self._failures = 0
        self._due: float | None = None
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State, whether the node is wanted, and whether it is registered."""
        wanted = "present" if self._wanted else "absent"
        return f"<RegistrationMachine {self.path} {self.state.value} wanted={wanted} registered={self.registered}>"

    def want(self, present: bool, now: float) -> None:
        """Sets whether the node should exist from now on. Once it should not, nothing brings it back."""
        if present == self._wanted:
            return
        self._wanted = present
        self.gone = False
        self.registered = False
        self._change_conflict(None)
        if self.state is RegistrationState.WAITING:
            # The pause belonged to the earlier desired state.
            self._become_looking()
        else:
            self.receive_change(now)

    def revise(self, record: bytes, now: float) -> None:
        """Sets the record that the node should hold from now on."""
        if record != self.record:
            self._former, self.record = self.record, record
            self.receive_change(now)

    def receive_session(self, session_id: int | None, now: float, *, timeout: float | None = None) -> None:
        """Takes in the session that is connected now, or None. A new session owns none of the old one's nodes.
        ``timeout`` is the granted session timeout in seconds."""
        if session_id is None:
            self._become_offline()
            return
        self._session_timeout = timeout or 0.0
        if session_id != self.session_id:
            self.session_id = session_id
            self._made_zxid = None
            self.registered = False
            self._changed = True
        if self.state is RegistrationState.OFFLINE:
            self._failures = 0
            self._become_looking()

    def receive_change(self, now: float) -> None:
        """Something may have changed: the watch has fired, the client has reconnected, or the desired state is
        another."""
        if self.state is RegistrationState.SETTLED:
            self._become_looking()
        else:
            self._changed = True

    def receive_observed(self, node: Observed | None, now: float) -> None:
        """The answer to ``LookUp``: the node, or None if there is none."""
        if self.state is not RegistrationState.LOOKING:
            return
        self.failure = None
        if self._wanted:
            self._decide_present(node, now)
        else:
            self._decide_absent(node, now)

    def receive_settled(self, now: float) -> None:
        """The answer to ``Settle``: earlier writes have been carried out, or never will be."""
        self._uncertain = False
        if self.state is RegistrationState.LOOKING:
            self._become_looking()

    def receive_written(self, now: float) -> None:
        """A write has succeeded; the node is read again."""
        if self.state is RegistrationState.WRITING:
            self._become_looking()

    def receive_refused(self, reason: str, now: float) -> None:
        """A write was refused, and changed nothing, because the node has changed since it was read: it is read
        again."""
        if self._failures:
            self._fail(reason, now)
        elif self.state is RegistrationState.WRITING:
            self._failures = 1
            self._become_looking()

    def receive_failure(self, reason: str, now: float, *, uncertain: bool = False) -> None:
        """A read or a write has failed; ``uncertain`` if the write may still be carried out."""
        self._uncertain = self._uncertain or uncertain
        self._fail(reason, now)

    def _fail(self, reason: str, now: float) -> None:
        self.failure = reason
        if self.state in (RegistrationState.LOOKING, RegistrationState.WRITING):
            ceiling = min(_MAX_BACKOFF, _FIRST_BACKOFF * 2.0 ** min(self._failures, 10))
            self._failures += 1
            self._become_waiting(now + ceiling * (0.5 + 0.5 * self._rng()))

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Reads the node again when a retry or the audit is due."""
        if self._due is not None and now >= self._due:
            self._become_looking()

    def effects(self) -> list[Effect]:
        """The effects to carry out, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def _decide_present(self, node: Observed | None, now: float) -> None:
        if node is None:
            self._change_conflict(None)
            self._become_writing(CreateNode())
        elif node.owner == self.session_id:
            self._change_conflict(None)
            self._made_zxid = node.created_zxid
            if node.record == self.record:
                self._accept(now)
            else:
                self._become_writing(ReplaceNode(node.version))
        elif self._is_previous(node):
            self._become_writing(ReplaceNode(node.version))
        else:
            self._judge_holder(node, now)
            self._become_settled(now)

    def _judge_holder(self, node: Observed, now: float) -> None:
        """Another session has our node; the time in which a dead owner's session must end counts from the first read of
        it."""
        if self._holder is None or self._holder[:2] != (node.owner, node.created_zxid):
            theirs = session_timeout_of(node.record) or (_LONGEST_UNSAID if node.owner else 0.0)
            patience = _PATIENCE * max(theirs, self._session_timeout) + _GRACE
            self._holder = node.owner, node.created_zxid, now + patience
            if node.owner and self._launch_id and launch_of(node.record) == self._launch_id:
                self._change_conflict(_describe_succession(self.path, node, self.record), successor=True)
            else:
                self._change_conflict(_describe_conflict(self.path, node, self.record, patience))
        self.twin_lives = now >= self._holder[2]

    def _accept(self, now: float) -> None:
        if not self.registered:
            self.registered = self.was_registered = True
            self._effects.append(ReportRegistered())
        self._become_settled(now)

    def _decide_absent(self, node: Observed | None, now: float) -> None:
        if node is not None and node.owner == self.session_id:
            self.gone = False
            self._become_writing(DeleteNode(node.version))
        elif self._uncertain:
            self._effects.append(Settle())
        else:
            if not self.gone:
                self.gone = True
                self._effects.append(ReportWithdrawn())
            self._become_settled(now)

    def _is_previous(self, node: Observed) -> bool:
        """True for a node that an earlier session of this worker left, as opposed to a live twin's."""
        launch = launch_of(node.record)
        ours = launch == self._launch_id if launch else node.record in (self.record, self._former)
        if not node.owner or not self._launch_id or not ours:
            return False
        return self._made_zxid is None or node.created_zxid < self._made_zxid

    def _change_conflict(self, text: str | None, *, successor: bool = False) -> None:
        if text is not None:
            self.registered = False
            if text != self.conflict:
                self._effects.append(ReportConflict(text, successor))
        else:
            self._holder, self.twin_lives = None, False
        self.conflict = text

    def _become_offline(self) -> None:
        self.state = RegistrationState.OFFLINE
        self._due = None
        # Without a connection it is not known whether sessions expire, so the time counts anew.
        self._holder, self.twin_lives = None, False

    def _become_looking(self) -> None:
        self.state = RegistrationState.LOOKING
        self._due = None
        self._changed = False
        self._effects.append(LookUp())

    def _become_writing(self, write: CreateNode | ReplaceNode | DeleteNode) -> None:
        self.state = RegistrationState.WRITING
        self.registered = False
        self._effects.append(write)

    def _become_waiting(self, due: float) -> None:
        self.state = RegistrationState.WAITING
        self._due = due

    def _become_settled(self, now: float) -> None:
        self._failures = 0
        if self._changed:
            self._become_looking()
            return
        self.state = RegistrationState.SETTLED
        self._due = now + self._audit_interval * (0.8 + 0.4 * self._rng())
        if self._holder is not None and not self.twin_lives:
            self._due = min(self._due, self._holder[2])


def _describe_conflict(path: str, node: Observed, record: bytes, patience: float) -> str:
    holder = f"session {node.owner:#x}" if node.owner else "nobody's session (a persistent node)"
    return (
        f"{path} is held by {describe_record(node.record)}, {holder}; we are {describe_record(record)}. "
        "Two workers have one id, or a dead one's session has not expired yet, which takes "
        f"{patience:.3g} s at most; ours is registered when theirs goes"
    )


def _describe_succession(path: str, node: Observed, record: bytes) -> str:
    return f"{path} was taken over by {describe_record(node.record)}, which succeeds us, {describe_record(record)}"
