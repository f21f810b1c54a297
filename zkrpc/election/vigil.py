"""When a candidate, or a primary, looks again although nobody told it that something has changed.

Once in a while in any case, as an audit; and while nobody leads and it is another's turn, when that one has had its
time. It knows times and whose turn it is; it refuses to know what is looked at.
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.election.candidate_state import CandidateState

# Seconds that a named heir may take to come and claim.
_HEIR_GRACE = 1.0
# Of the time that those before us have to claim: what each of them adds, so that not all lose patience together.
_TURN = 0.25


class Vigil:
    """``audit_interval`` is in seconds; ``rng`` gives floats in [0, 1)."""

    def __init__(self, audit_interval: float, rng: Callable[[], float]) -> None:
        self.at: float | None = None
        """When to look; None if there is nothing to look at."""
        self._audit_interval = audit_interval
        self._rng = rng
        self._awaits_turn = False

    def __repr__(self) -> str:
        """When and what for."""
        return f"<Vigil at={self.at} awaits_turn={self._awaits_turn}>"

    def begin(self, now: float) -> None:
        """Everything is being looked at; the next time is the audit's, if nothing else is said."""
        self.at = now + self._audit_interval * (0.8 + 0.4 * self._rng())

    def end(self) -> None:
        """There is nothing to look at."""
        self.at = None

    def wait(self, candidacy: CandidateState, now: float, *, for_heir: bool, place: int, patience: float) -> None:
        """Whose turn it is now: the heir's, or those ``place`` ones' before us, who have ``patience`` seconds for it;
        or nobody's, because somebody leads. Then whoever comes next has all its time."""
        candidacy.patient = candidacy.patient or not for_heir
        candidacy.polite = True
        self._awaits_turn = place > 0 and not for_heir
        if for_heir:
            self.at = now + _HEIR_GRACE
        elif place:
            self.at = now + patience * (1 + _TURN * place)

    def is_over(self, candidacy: CandidateState, now: float) -> bool:
        """Whether it is time to look; whoever we waited for has had its time then."""
        if self.at is None or now < self.at:
            return False
        self.at = None
        candidacy.patient = False
        candidacy.polite = not self._awaits_turn
        return True
