"""Records of a log for machines, and the counting of records that repeat. Pure.

A record becomes one line of JSON with fixed keys, which are OpenTelemetry's names where it has one; :data:`FIELDS`
lists those that a record has only if it is about such a thing. Whoever logs gives them by ``extra=fields(...)``.

What repeats is counted instead of repeated: a peer, or a ZooKeeper that is away for an hour, must not fill a disk. The
same line is written a few times in a period, and lines that differ only in what they are about many times; of the rest
the number is written when the period is over.
"""

from __future__ import annotations

import datetime
import json
import logging
from collections.abc import Callable, Mapping
from typing import Any

from zkrpc.legible import legible
from zkrpc.telemetry.tracer import find_trace

FIELDS = ("rpc.method", "error.type", "service", "instance", "peer")
"""Keys that some records have."""
PERIOD = 10.0
"""Seconds in which repeated lines are counted."""
SAME, ALIKE = 3, 50
"""Lines of the same text, and lines that differ in what they are about, that are written in a period."""
MOST = 512
"""Lines that are told apart."""

_SEVERITIES = {"WARNING": "WARN", "CRITICAL": "FATAL"}
_LONGEST = 300
_COUNTS = "zkrpc_counts"
"""What marks a record that tells a number of others, which belong to no trace, or to many."""
_OURS = ("zkrpc", "kazoo")
CALLS = "zkrpc.calls"
"""The logger of lines about calls, which are counted by who writes them."""


def fields(*, method: str = "", error: str = "", service: str = "", peer: str = "") -> dict[str, str]:
    """What a record is about, for the ``extra`` of a logging call; what is empty is left out."""
    said = {"rpc.method": method, "error.type": error, "service": service, "peer": peer}
    return {key: value for key, value in said.items() if value}


class JsonFormatter(logging.Formatter):
    """Writes each record as one line with one JSON object.

    Everything but plain ASCII is escaped, so no text of a peer's can begin a line, or do something to a terminal.
    ``facts`` are the same in every record: the service and the instance, once they are known.
    """

    def __init__(self) -> None:
        super().__init__()
        self.facts: dict[str, str] = {}

    def format(self, record: logging.LogRecord) -> str:
        """One line, without its end."""
        at = datetime.datetime.fromtimestamp(record.created, datetime.UTC)
        line: dict[str, Any] = {
            "timestamp": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
            "severity": _SEVERITIES.get(record.levelname, record.levelname),
            "body": record.getMessage(),
            "logger": record.name,
            "process.pid": record.process,
        }
        trace = find_trace()
        if trace is not None and not hasattr(record, _COUNTS):
            line |= trace.as_fields()
        line |= self.facts
        line |= {key: str(value) for key, value in vars(record).items() if key in FIELDS}
        if record.exc_info and record.exc_info[0] is not None:
            line["exception.type"] = record.exc_info[0].__qualname__
            line["exception.message"] = str(record.exc_info[1])
            line["exception.stacktrace"] = self.formatException(record.exc_info)
            line.setdefault("error.type", record.exc_info[0].__qualname__)
        if record.stack_info:
            line["code.stacktrace"] = self.formatStack(record.stack_info)
        return json.dumps(line)


class Repeats:
    """Decides which lines are written, and counts the others.

    Args:
        same: lines of one text in a period.
        alike: lines of one kind in a period.
        most: texts and kinds that are told apart; beyond that, texts are judged by their kind alone.
    """

    def __init__(self, same: int = SAME, alike: int = ALIKE, most: int = MOST) -> None:
        self._limits = (same, alike)
        self._most = most
        # In the order of their times, as each is made anew when its period is over.
        self._entries: dict[tuple[object, ...], _Entry] = {}

    def __repr__(self) -> str:
        """How many lines it tells apart."""
        return f"<Repeats of {len(self._entries)}>"

    def admits(self, kind: tuple[object, ...], text: str, now: float) -> bool:
        """Whether a line of this kind and text is written now; it is counted otherwise. ``now`` is in seconds."""
        found = [
            entry
            for key, limit in zip(((*kind, text), kind), self._limits)
            if (entry := self._entry(key, limit, now)) is not None
        ]
        for entry in found:
            if entry.left <= 0:
                entry.count += 1
                entry.text = text
                return False
        for entry in found:
            entry.left -= 1
        return True

    def _entry(self, key: tuple[object, ...], limit: int, now: float) -> _Entry | None:
        entry = self._entries.get(key)
        if entry is None and len(self._entries) < self._most:
            entry = self._entries[key] = _Entry(now, limit)
        return entry

    def take_due(self, now: float) -> list[tuple[tuple[object, ...], int, str]]:
        """The lines whose period is over and of which some were not written: key, number, and the last one's text."""
        due = []
        for key, entry in self._entries.items():
            if now - entry.since < PERIOD:
                break
            due.append(key)
        over = [(key, self._entries.pop(key)) for key in due]
        return [(key, entry.count, entry.text) for key, entry in over if entry.count]


class _Entry:
    """One text, or one kind, in one period."""

    __slots__ = ("count", "left", "since", "text")

    def __init__(self, since: float, left: int) -> None:
        self.since = since
        self.left = left
        self.count = 0
        self.text = ""


class RepeatFilter(logging.Filter):
    """Lets a handler write zkrpc's records only as far as :class:`Repeats` admits them, and what it was not let write
    as numbers. Records of the service, and those for debugging, are none of its business.

    ``emit`` writes a record.
    """

    def __init__(self, emit: Callable[[logging.LogRecord], object]) -> None:
        super().__init__()
        self._emit = emit
        self._repeats = Repeats()

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is written."""
        self.settle(record.created)
        if record.levelno < logging.INFO or record.name == CALLS or record.name.partition(".")[0] not in _OURS:
            return True
        error = record.exc_info[0] if record.exc_info else None
        kind = (record.name, record.levelno, str(record.msg), error)
        return self._repeats.admits(kind, record.getMessage(), record.created)

    def settle(self, now: float) -> None:
        """Writes the numbers that are due. ``now`` is the Unix time."""
        for key, count, text in self._repeats.take_due(now):
            said: Mapping[str, object] = {"name": key[0], "levelno": key[1], "created": now, _COUNTS: count}
            record = logging.makeLogRecord(dict(said))
            record.levelname = logging.getLevelName(record.levelno)
            record.msg = f"… {count} more in {PERIOD:g} s, the last: {legible(text, _LONGEST)}"
            self._emit(record)
