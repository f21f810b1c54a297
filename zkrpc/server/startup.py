"""Why a worker could not start to serve: the error as its author needs to read it, and how often it is logged.

A traceback is shown without the frames of zkrpc, the import system and the event loop. The same failure of several
workers, or of one that is restarted again and again, is logged once, and then once a minute with a count.
"""

from __future__ import annotations

import dataclasses
import logging
import os
import signal
import traceback
from pathlib import Path

from zkrpc.legible import legible, legible_lines

_OURS = f"{Path(__file__).parents[1]}{os.sep}"
_FOREIGN = ("<frozen ", "src/gevent")
_FOREIGN_PACKAGES = tuple(f"{os.sep}{name}{os.sep}" for name in ("importlib", "gevent", "click"))
_FINAL = (SyntaxError, ImportError, NameError)
"""Errors that last until somebody edits a file or installs something."""
_LONGEST = 8000
_TOLD_AGAIN = 60.0
_MOST_KNOWN = 100


@dataclasses.dataclass(frozen=True, slots=True)
class StartFailure:
    """A line about what was being done and how it failed, the traceback, and whether trying again cannot help."""

    summary: str
    detail: str = ""
    final: bool = False


def describe_failure(doing: str, error: BaseException) -> StartFailure:
    """The failure for an exception that the service's own code raised, or that calling it led to."""
    told = traceback.TracebackException.from_exception(error)
    had_frames = _keep_theirs(told)
    text = legible_lines("".join(told.format()).rstrip())
    if len(text) > _LONGEST:
        text = f"{text[: _LONGEST // 2]}\n…\n{text[-_LONGEST // 2 :]}"
    name = traceback.format_exception_only(error)[-1].strip()
    # Without a frame of theirs it was our call that did not fit, such as that of a class that wants arguments.
    final = isinstance(error, _FINAL) or (isinstance(error, TypeError) and not had_frames)
    return StartFailure(f"{doing} failed: {legible(name)}", text, final)


def _keep_theirs(told: traceback.TracebackException) -> bool:
    """Drops all frames but the service's own, also those of the error's causes. True if the error itself has one
    left."""
    told.stack[:] = [frame for frame in told.stack if not is_foreign(frame.filename)]
    for other in (told.__cause__, told.__context__, *(getattr(told, "exceptions", None) or ())):
        if other is not None:
            _keep_theirs(other)
    return bool(told.stack)


def is_foreign(file: str) -> bool:
    """Whether a frame in this file is of no use to the author of a service."""
    return file.startswith((_OURS, *_FOREIGN)) or any(package in file for package in _FOREIGN_PACKAGES)


class StartFailures:
    """Which failures are logged: a state machine."""

    def __init__(self) -> None:
        self._known: dict[StartFailure, tuple[float, int]] = {}

    def __repr__(self) -> str:
        """The number of different failures."""
        return f"<StartFailures known={len(self._known)}>"

    def receive(self, failure: StartFailure, now: float) -> int | None:
        """How often this failure has happened, if it is to be logged now, in full if that is 1; None if it is not."""
        if failure not in self._known and len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        told_at, count = self._known.get(failure, (now, 0))
        count += 1
        tells = count == 1 or now - told_at >= _TOLD_AGAIN
        self._known[failure] = (now if tells else told_at, count)
        return count if tells else None


def describe_status(status: int) -> str:
    """How a process ended, in words: its exit status, negative for a signal."""
    if status >= 0:
        return f"status {status}"
    try:
        return f"signal {signal.Signals(-status).name}"
    except ValueError:
        return f"signal {-status}"


def log_with_detail(log: logging.Logger, level: int, message: str, detail: str) -> None:
    """Logs one record with further lines of detail, formatted as those of a traceback are."""
    if log.isEnabledFor(level):
        record = log.makeRecord(log.name, level, __file__, 0, message, (), None)
        record.stack_info = "\n".join(f"  {line}" for line in detail.splitlines()) or None
        log.handle(record)
