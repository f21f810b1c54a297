"""Information on an election for people: the former primaries, the instances that could not lead and why, and what
keeps the election from going on.

No decision depends on it, and all other requests come first. Times are wall-clock times, because people compare them
with their logs. Values read from ZooKeeper are untrusted, and lists are bounded, because each is one small node: a
value that cannot be parsed is replaced.
"""

from __future__ import annotations

import dataclasses
import json
import logging
from collections.abc import Callable
from typing import Any, TypeAlias

from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import Order, Reason, RecordHistory, RecordTrouble, ReportPrimary, RequestFailure
from zkrpc.endpoint import Epoch
from zkrpc.errors import RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.untrusted import load_object

log = logging.getLogger(__name__)

LENGTH = 32
"""The number of entries that are kept."""
_MAX_HISTORY = 64 * 1024
_MAX_TROUBLE = 4096
_MAX_TEXT = 300
_MOST_TIMES = 10**9
_MOST_PENDING = 8
_LATEST = 253402214400.0
"""The last day whose year has four digits, in seconds since 1970."""
_UNSAID = "ended without a word"
_LOST_CONNECTION = tuple(
    one.value for one in (RequestFailure.NOT_SENT, RequestFailure.UNKNOWN, RequestFailure.SESSION_ENDED)
)

Line: TypeAlias = RecordHistory | RecordTrouble
"""What is written into ZooKeeper for people to read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One primary's term, as the list of former primaries has it."""

    epoch: Epoch
    instance: str
    endpoint: str
    began_at: float
    """Wall-clock seconds since 1970."""
    ended_at: float | None = None
    """None while the term lasts. For a primary that could not record its end itself, this is when its successor
    began."""
    reason: str = ""
    """Why it ended."""


def read_history(value: bytes) -> list[Term]:
    """The terms, oldest first; those that cannot be read are left out."""
    try:
        entries = json.loads(value) if 0 < len(value) <= _MAX_HISTORY else []
    except (ValueError, RecursionError):
        entries = []
    terms = [_term(entry) for entry in entries] if isinstance(entries, list) else []
    return sorted((term for term in terms if term is not None), key=lambda term: term.epoch)[-LENGTH:]


def record_began(value: bytes, record: PrimaryRecord, at: float) -> bytes:
    """Adds the beginning of ``record``'s term; open terms of lower epochs are marked as ended now."""
    terms = [_closed(term, at, _UNSAID) if term.epoch < record.epoch else term for term in read_history(value)]
    if all(term.epoch != record.epoch for term in terms):
        terms.append(
            Term(epoch=record.epoch, instance=record.instance, endpoint=str(record.endpoint), began_at=at),
        )
    return _dump(terms)


def record_ended(value: bytes, record: PrimaryRecord, reason: str, at: float) -> bytes:
    """Adds the end of ``record``'s term; its own primary's reason replaces the one that its successor assumed."""
    terms = read_history(value)
    known = [term for term in terms if term.epoch == record.epoch]
    if not known:
        known = [Term(epoch=record.epoch, instance=record.instance, endpoint=str(record.endpoint), began_at=at)]
    ended_at = at if known[0].ended_at is None else known[0].ended_at
    ended = dataclasses.replace(known[0], ended_at=ended_at, reason=reason)
    return _dump([term for term in terms if term.epoch != record.epoch] + [ended])


def _closed(term: Term, at: float, reason: str) -> Term:
    return term if term.ended_at is not None else dataclasses.replace(term, ended_at=at, reason=reason)


def _dump(terms: list[Term]) -> bytes:
    kept = sorted(terms, key=lambda term: term.epoch)[-LENGTH:]
    return json.dumps([dataclasses.asdict(term) for term in kept], separators=(",", ":")).encode()


def _is_time(number: Any) -> bool:
    """Whether an untrusted value is a number that can be written as JSON again and shown as a date."""
    return type(number) in (int, float) and 0 <= number < _LATEST


def _term(entry: Any) -> Term | None:
    names = [field.name for field in dataclasses.fields(Term)]
    if not isinstance(entry, dict) or any(name not in entry for name in names):
        return None
    texts = [entry["instance"], entry["endpoint"], entry["reason"]]
    numbers = [entry["began_at"], entry["began_at"] if entry["ended_at"] is None else entry["ended_at"]]
    sound = all(isinstance(text, str) for text in texts) and all(_is_time(number) for number in numbers)
    if not sound or type(entry["epoch"]) is not int:
        return None
    return Term(**{name: entry[name] for name in names})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TroubleRecord:
    """Why an instance could not lead when it was elected last, written by itself into an ephemeral node."""

    why: str
    times: int = 1
    """How often in a row."""

    def dump(self) -> bytes:
        """The node's value."""
        return json.dumps({"why": _plain(self.why), "times": self.times}, separators=(",", ":")).encode()

    @classmethod
    def parse(cls, value: bytes) -> TroubleRecord | None:
        """Reads what ``dump`` wrote; None for anything else."""
        try:
            fields = load_object(value, _MAX_TROUBLE)
        except RemoteProtocolError:
            return None
        why, times = fields.get("why"), fields.get("times")
        if not isinstance(why, str) or type(times) is not int or not 0 < times <= _MOST_TIMES:
            return None
        return cls(why=_plain(why), times=times)


def _plain(text: str) -> str:
    """The text as one line, without characters that a terminal would act on."""
    return legible(" ".join(text[: 2 * _MAX_TEXT].split()), _MAX_TEXT)


class Recorder:
    """Reports one participant's view of the primary, and queues lines for people until they are written to ZooKeeper.

    If nothing can be written for long, only the newest lines are kept.
    """

    def __init__(self, participant: Participant, emit: Callable[[Order], None]) -> None:
        self.primary: PrimaryRecord | None = None
        """The primary, as far as is known."""
        self._participant = participant
        self._emit = emit
        self._pending: list[Line] = []
        self._troubled = False

    def __repr__(self) -> str:
        """The primary, and how many lines are still to be written."""
        return f"<Recorder primary={self.primary} pending={len(self._pending)}>"

    def report(self, record: PrimaryRecord | None) -> None:
        """Emits ReportPrimary, if the primary has changed since the last report."""
        if record != self.primary:
            self.primary = record
            self._emit(ReportPrimary(record))

    def note(self, record: PrimaryRecord, reason: Reason | None) -> None:
        """Queues a line of the history: the term began (no reason), or ended for a reason."""
        self._pending.append(RecordHistory(path=self._participant.paths.history, record=record, reason=reason))
        del self._pending[:-_MOST_PENDING]

    def complain(self, why: str, times: int) -> None:
        """Queues a line on why this instance cannot lead, and how often in a row."""
        self._troubled = True
        self._tell(TroubleRecord(why=why, times=times).dump())

    def recover(self) -> None:
        """Queues the removal of that line: this instance leads again, or is no longer a candidate."""
        if self._troubled:
            self._troubled = False
            self._tell(None)

    def pending(self) -> Line | None:
        """The line to write next; None if all are written."""
        return self._pending[0] if self._pending else None

    def strike(self, line: Line) -> None:
        """Forgets a line that has been written, or that ZooKeeper has refused."""
        if line in self._pending:
            self._pending.remove(line)

    def _tell(self, value: bytes | None) -> None:
        """Queues a line on this instance's trouble, in place of an earlier one that is not written yet."""
        self._pending = [line for line in self._pending if isinstance(line, RecordHistory)]
        self._pending.append(
            RecordTrouble(path=self._participant.paths.trouble(self._participant.instance), value=value)
        )


class Announcer:
    """Logs once what keeps an election from going on, and once that it goes on."""

    def __init__(self, of: str) -> None:
        """``of`` is the group, for people."""
        self.trouble: str | None = None
        """The trouble that was logged last; None if the election goes on."""
        self._of = of

    def __repr__(self) -> str:
        """The trouble."""
        return f"<Announcer {self._of} trouble={self.trouble}>"

    def hear(self, trouble: str | None) -> None:
        """Takes in what keeps the election from going on now, or None. Lost connections are not logged here, as the
        session logs them."""
        if trouble == self.trouble or trouble in _LOST_CONNECTION:
            return
        if trouble is None:
            log.info("the election of %s goes on", self._of)
        else:
            log.error("the election of %s has to wait: %s", self._of, trouble)
        self.trouble = trouble
