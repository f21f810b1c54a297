"""Decides what to do so that our node is there when it should be, and not when it should not.

A machine: it knows one path's desired state and the latest observation, and asks for looks and writes; it refuses to
know ZooKeeper's client, greenlets and clocks. One request is outstanding at a time.

=========== ============================================== ==================================================
state       means                                          left by
=========== ============================================== ==================================================
OFFLINE     no session to work with                        a session: LOOKING
LOOKING     ``LookUp`` (or ``Settle``) is outstanding      what it saw: WRITING, SETTLED; a failure: WAITING
WRITING     one write is outstanding                       any answer: LOOKING, or WAITING if it was refused twice
WAITING     something failed; the next try has a time      the time: LOOKING
SETTLED     nothing to do (there, absent, or in conflict)  any change, or the audit time: LOOKING
=========== ============================================== ==================================================

Success is never believed: after every write the node is looked at again, which also arms the watch. So a create whose
reply was lost, a session that expired in between and an operator's ``delete`` need no rules of their own.

Whose node is it? ``ephemeralOwner`` decides, never the name:

- our session's: ours, if its record is the current one; else replaced.
- another session's with our launch id: left by a previous session of ours, replaced in one transaction, unless it was
  created *after* a node we made in this session: no earlier session of ours could do that, so it is a live twin, as a
  reload starts one: our successor.
- anybody else's, or a persistent node: a conflict, reported once per change and never touched; taken over when it goes.

**A dead worker's node, or a living twin's?** A node whose owner has died goes when its session ends. How long that may
take is bounded by what both sides know: ZooKeeper grants what was asked for within its limits, the lower of which is at
most what it granted us, so the other's session lasts no longer than the larger of what its record says that it asked
for and what we got. Whoever still holds the node when that time, and half of it, has passed on one connection is alive
(``twin_lives``), and waiting any longer cannot help.

What ZooKeeper cannot give: its transactions check a node's version, which starts again at 0 when a node is re-created,
not its owner. Between a look and the write it leads to, a stranger would have to create a node in the very moments
after ours went away, to be deleted by mistake.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable

from zkrpc.registry.formats import describe_record, launch_of, session_timeout_of

_FIRST_BACKOFF = 0.1
_MAX_BACKOFF = 5.0
_LONGEST_UNSAID = 40.0
"""Seconds that a session of others may last which do not say: 20 ticks of ZooKeeper's default, 2 s."""
_PATIENCE = 1.5
"""Of that time is waited: expiry is rounded up to a tick, and told a moment later."""
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
    """What a look saw at our path."""

    owner: int
    """The session that owns it; 0 for a persistent node."""
    version: int
    created_zxid: int
    record: bytes


@dataclasses.dataclass(frozen=True, slots=True)
class LookUp:
    """Read the node and watch it, whether it is there or not; answer with ``receive_observed``."""


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

    What was sent before it and may still be on its way is ordered before it, so the look after it sees the truth even
    on another server that lags behind.
    """


@dataclasses.dataclass(frozen=True, slots=True)
class ReportRegistered:
    """Tell people that we are there."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportWithdrawn:
    """Tell people that we are gone."""


@dataclasses.dataclass(frozen=True, slots=True)
class ReportConflict:
    """Tell people who holds our node, and who we are; a ``successor`` of our own launch may well."""

    text: str
    successor: bool = False


Effect = LookUp | CreateNode | ReplaceNode | DeleteNode | Settle | ReportRegistered | ReportWithdrawn | ReportConflict


class RegistrationMachine:
    """One path, one record, one desired state.

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
        """Our node was seen, with our record, owned by our session; and we know of nothing that ended it since."""
        self.gone = True
        """We want no node, and none of ours was there when we last looked, nor can one still appear."""
        self.conflict: str | None = None
        """Who holds our node, while somebody else does."""
        self.twin_lives = False
        """Whoever holds our node has held it for longer than a dead one's session can last."""
        self.failure: str | None = None
        """Why the last request failed, until one succeeds."""
        self._launch_id = launch_id
        self._audit_interval = audit_interval
        self._rng = rng
        self._wanted = False
        self.session_id: int | None = None
        """The session that was connected last."""
        self._session_timeout = 0.0
        self._holder: tuple[int, int, float] | None = None
        """Who holds our node (the session, the node), and until when that may be a dead one's."""
        self._made_zxid: int | None = None
        self._uncertain = False
        self._changed = False
        self._failures = 0
        self._due: float | None = None
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State, desire and what is known."""
        wanted = "present" if self._wanted else "absent"
        return f"<RegistrationMachine {self.path} {self.state.value} wanted={wanted} registered={self.registered}>"

    def want(self, present: bool, now: float) -> None:
        """From now on the node should be there, or should not; once it should not, nothing brings it back."""
        if present == self._wanted:
            return
        self._wanted = present
        self.gone = False
        self.registered = False
        self._change_conflict(None)
        if self.state is RegistrationState.WAITING:
            # The pause was for what we wanted before.
            self._become_looking()
        else:
            self.receive_change(now)

    def receive_session(self, session_id: int | None, now: float, *, timeout: float | None = None) -> None:
        """The session that is connected now, or None. A new one has lost what the old one owned. ``timeout`` is what it
        was granted, in seconds."""
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
        """Something may have changed: the watch fired, the connection moved, the desire is another."""
        if self.state is RegistrationState.SETTLED:
            self._become_looking()
        else:
            self._changed = True

    def receive_observed(self, node: Observed | None, now: float) -> None:
        """The answer to ``LookUp``."""
        if self.state is not RegistrationState.LOOKING:
            return
        self.failure = None
        if self._wanted:
            self._decide_present(node, now)
        else:
            self._decide_absent(node, now)

    def receive_settled(self, now: float) -> None:
        """The answer to ``Settle``: whatever was on its way has arrived or never will."""
        self._uncertain = False
        if self.state is RegistrationState.LOOKING:
            self._become_looking()

    def receive_written(self, now: float) -> None:
        """A write succeeded; look whether it did what it should."""
        if self.state is RegistrationState.WRITING:
            self._become_looking()

    def receive_refused(self, reason: str, now: float) -> None:
        """A write was refused, and changed nothing, because the node is not what we saw: look again."""
        if self._failures:
            self._fail(reason, now)
        elif self.state is RegistrationState.WRITING:
            self._failures = 1
            self._become_looking()

    def receive_failure(self, reason: str, now: float, *, uncertain: bool = False) -> None:
        """A look or a write failed; ``uncertain`` if it may happen all the same, later."""
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
        """Takes up a failed try, or the audit, when its time has come."""
        if self._due is not None and now >= self._due:
            self._become_looking()

    def effects(self) -> list[Effect]:
        """What is to be done, each once."""
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
        """Somebody else has our node; how long, if it is a dead one's, is found out from the first look on."""
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
            self.registered = True
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
        """Left over by an earlier session of this very worker, as opposed to a twin that is alive."""
        if not node.owner or not self._launch_id or launch_of(node.record) != self._launch_id:
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
        # Nobody's session ends while there is no ZooKeeper to end it.
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
