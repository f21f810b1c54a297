"""What people are told of a group: who leads now, and the lines of the history that are still to be written.

It knows records and reasons; it decides nothing, and nothing is decided by it.
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.election.effects import Order, Reason, RecordHistory, ReportPrimary
from zkrpc.registry.formats import PrimaryRecord

_MOST_PENDING = 8


class Chronicle:
    """Keeps at most a few lines: the newest, if ZooKeeper cannot be written to for long."""

    def __init__(self, path: str, emit: Callable[[Order], None]) -> None:
        self.primary: PrimaryRecord | None = None
        """Who leads, as far as we know."""
        self._path = path
        self._emit = emit
        self._pending: list[RecordHistory] = []

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
        self._pending.append(RecordHistory(path=self._path, record=record, reason=reason))
        del self._pending[:-_MOST_PENDING]

    def pending(self) -> RecordHistory | None:
        """The line to write next."""
        return self._pending[0] if self._pending else None

    def strike(self, line: RecordHistory) -> None:
        """That line is written, or never will be."""
        if line in self._pending:
            self._pending.remove(line)
