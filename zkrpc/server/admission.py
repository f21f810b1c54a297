"""Who may run now: the gate in front of the handlers.

Pure: it counts what runs and knows whether the server takes calls at all. What it refuses is answered at once with the
reason, executed=no, so that the caller can ask another instance; nothing waits here.
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.server.dispatch import Answer, refuse
from zkrpc.wire.message import Request


class Admission:
    """At most ``max_concurrent`` handlers at once, and none unless ``accepts_calls()``."""

    __slots__ = ("_accepts_calls", "_max_concurrent", "running")

    def __init__(self, max_concurrent: int, accepts_calls: Callable[[], bool]) -> None:
        self.running = 0
        """Handlers running now."""
        self._max_concurrent = max_concurrent
        self._accepts_calls = accepts_calls

    def __repr__(self) -> str:
        """The load."""
        return f"<Admission running={self.running}/{self._max_concurrent}>"

    def admits(self) -> bool:
        """Whether one more handler may run; it counts from now on, until ``leave``."""
        if self.running >= self._max_concurrent or not self._accepts_calls():
            return False
        self.running += 1
        return True

    def leave(self) -> None:
        """A handler that was admitted is done, or its answer is no longer waited for."""
        self.running -= 1

    def refusal(self, request: Request) -> Answer | None:
        """Why a call was not admitted; None for a oneway call, which wants no answer."""
        if not self._accepts_calls():
            return refuse(request, "the server is stopping", "Draining")
        return refuse(request, f"the server runs max_concurrent={self._max_concurrent} calls already", "Overloaded")
