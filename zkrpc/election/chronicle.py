"""What people are told of a group: who leads now, and the lines that are still to be written for them.

It knows records and reasons; it decides nothing, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.election.effects import Order, Reason, RecordHistory, RecordTrouble, ReportPrimary
from zkrpc.election.tree import ElectionPaths
from zkrpc.election.trouble import Trouble
from zkrpc.registry.formats import PrimaryRecord

_MOST_PENDING = 8

Line = RecordHistory | RecordTrouble


class Chronicle:
    """Keeps at most a few lines: the newest, if ZooKeeper cannot be written to for long."""

    def __init__(self, paths: ElectionPaths, instance: str, emit: Callable[[Order], None]) -> None:
        self.primary: PrimaryRecord | None = None
        """Who leads, as far as we know."""
        self._paths = paths
        self._instance = instance
        self._emit = emit
        self._pending: list[Line] = []
        self._troubled = False

    def __repr__(self) -> str:
        """Who leads, and how much is to be written."""
        return f"<Chronicle primary={self.primary} pending={len(self._pending)}>"

    def report(self, record: PrimaryRecord | None) -> None:
        """Tells who leads, if that is news."""
        if record != self.primary:
            self.primary = record
            self._emit(ReportPrimary(record))

    def note(self, record: PrimaryRecord, reason: Reason | None) -> None:
        """Has a line written: the term began (no reason), or ended for a reason."""
        self._pending.append(RecordHistory(path=self._paths.history, record=record, reason=reason))
        del self._pending[:-_MOST_PENDING]

    def complain(self, why: str, times: int) -> None:
        """Has it written why this instance cannot lead, and how often in a row that was so."""
        self._troubled = True
        self._tell(Trouble(why=why, times=times).dump())

    def recover(self) -> None:
        """This instance can lead, or wants to no more: takes back what was written."""
        if self._troubled:
            self._troubled = False
            self._tell(None)

    def pending(self) -> Line | None:
        """The line to write next."""
        return self._pending[0] if self._pending else None

    def strike(self, line: Line) -> None:
        """That line is written, or never will be."""
        if line in self._pending:
            self._pending.remove(line)

    def _tell(self, value: bytes | None) -> None:
        """Only the newest word on it counts."""
        self._pending = [line for line in self._pending if isinstance(line, RecordHistory)]
        self._pending.append(RecordTrouble(path=self._paths.trouble(self._instance), value=value))
