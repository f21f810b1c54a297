"""Lines in the log about calls and requests that were slow or failed: some of them, and how many there were. Pure.

A call that went well and fast costs a comparison (it is told to a recorder, see :mod:`zkrpc.telemetry.observer`). So
many lines a second are written and the others counted, so that a service in trouble is not busy with its log as well.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from zkrpc.telemetry.events import CallFinished, Event, RequestFinished
from zkrpc.telemetry.log_records import CALLS, fields
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.recording import Recorder

log = logging.getLogger(CALLS)

LINES_A_SECOND = 10


class LineBudget:
    """So many lines in a second; counts those that were not written."""

    def __init__(self, rate: int = LINES_A_SECOND) -> None:
        self._rate = rate
        self._since = float("-inf")
        self._left = self._unsaid = 0

    def __repr__(self) -> str:
        """What is left."""
        return f"<LineBudget left={self._left} unsaid={self._unsaid}>"

    def take(self, now: float) -> int | None:
        """How many lines were not written before this one; None if this one is not written either. ``now`` is in
        monotonic seconds."""
        if now - self._since >= 1.0:
            self._since, self._left = now, self._rate
        if not self._left:
            self._unsaid += 1
            return None
        self._left -= 1
        unsaid, self._unsaid = self._unsaid, 0
        return unsaid


class CallLog(Observer):
    """Logs calls and requests that took ``slow`` seconds or more, and those that failed.

    ``clock`` gives monotonic seconds.
    """

    kinds = recorded = (CallFinished, RequestFinished)

    def __init__(self, slow: float, clock: Callable[[], float]) -> None:
        self._slow = self.urgent = slow
        self._clock = clock
        self._budget = LineBudget()

    def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
        """Takes the durations of calls, or requests, that went well."""
        slow, whose = self._slow, "call of" if kind is CallFinished else "request for"
        name = f"{interface}/{method}"

        def record(durations: Sequence[float]) -> None:
            for seconds in durations:
                if seconds >= slow:
                    about = fields(method=name, service=service)
                    self._write("slow: %s %s took %.4g s", whose, name, seconds, about=about)

        return record

    def receive(self, event: Any) -> None:
        """One that failed, or was answered by a declared exception."""
        name = f"{event.interface}/{event.method}"
        is_call = type(event) is CallFinished
        peer = event.endpoint if is_call else event.peer
        about = fields(method=name, error=event.error, service=event.service, peer=peer)
        whose, where = ("call of", "at") if is_call else ("request for", "of")
        if event.declared or not event.error:
            if event.seconds >= self._slow:
                self._write("slow: %s %s %s %s took %.4g s", whose, name, where, peer, event.seconds, about=about)
            return
        text = "failed: %s %s %s %s after %.4g s with %s (executed: %s)"
        self._write(text, whose, name, where, peer or "nobody", event.seconds, event.error, event.executed, about=about)

    def _write(self, text: str, *args: object, about: dict[str, str]) -> None:
        unsaid = self._budget.take(self._clock())
        if unsaid is not None:
            log.warning(text + "%s", *args, f"; {unsaid} more before it" if unsaid else "", extra=about)
