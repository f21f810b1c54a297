"""Runs one procedure at a time: emits its requests, passes in their answers, and pauses after a failure before the next
begins.

It knows whether there is a connection and an outstanding request, and nothing of the requests' contents.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from zkrpc.election.effects import ElectionAnswer, ElectionRequest, RequestFailure
from zkrpc.election.procedures import Procedure, RequestFailed
from zkrpc.errors import LocalProtocolError, RemoteProtocolError
from zkrpc.policies.backoff import Backoff

_BACKOFF = Backoff(first=0.1, longest=5.0)
_QUICK_REPEATS = 3


@dataclasses.dataclass(frozen=True, slots=True)
class Finished:
    """A procedure has ended, and returned ``value``."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """A procedure was ended by a failure, without a result."""

    reason: str


class Conversation:
    """Runs at most one procedure, with at most one request without an answer."""

    def __init__(self, emit: Callable[[ElectionRequest, float], None], rng: Callable[[], float]) -> None:
        self.connected = False
        self.failure: str | None = None
        """Why the last procedure failed, until one succeeds."""
        self._emit = emit
        self._rng = rng
        self._procedure: Procedure[Any] | None = None
        self._unanswered = False
        self._asked_at = 0.0
        self._failures = 0
        self._repeats = 0
        self._retry_at: float | None = None

    def __repr__(self) -> str:
        """Whether there is a connection, whether a request is outstanding, and how many failures in a row there
        were."""
        return f"<Conversation connected={self.connected} unanswered={self._unanswered} failures={self._failures}>"

    def connect(self) -> None:
        """There is a connection now: a pause after failures ends."""
        self.connected = True
        self._retry_at = None

    def disconnect(self) -> None:
        """There is no connection, so no procedure begins. An outstanding request will still be answered, maybe by a
        failure."""
        self.connected = False

    def is_free(self, now: float) -> bool:
        """True if a procedure may begin."""
        paused = self._retry_at is not None and now < self._retry_at
        return self.connected and self._procedure is None and not self._unanswered and not paused

    def next_timer(self) -> float | None:
        """When the pause ends."""
        return self._retry_at if self.connected and not self._unanswered else None

    def handle_timer(self, now: float) -> None:
        """Ends the pause when it is over, whether or not a procedure is due."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None

    def asked_for(self, now: float) -> float:
        """Seconds since the outstanding request was made. Raises LocalProtocolError if there is none."""
        self._require_request()
        return now - self._asked_at

    def begin(self, procedure: Procedure[Any], now: float) -> None:
        """Starts a procedure, which must yield a request before it returns."""
        self._procedure = procedure
        self._retry_at = None
        self._ask(next(procedure), now)

    def abandon(self) -> None:
        """Ends the procedure; the answer to its last request will be ignored."""
        if self._procedure is not None:
            self._procedure.close()
            self._procedure = None

    def pause_if_repeated(self, now: float) -> None:
        """Something changed between the reads of a procedure. After a few times in a row, the next procedure has to
        wait."""
        self._repeats += 1
        if self._repeats > _QUICK_REPEATS:
            self._back_off(now)

    def pause(self, now: float, seconds: float) -> None:
        """Begins no procedure for this long, less a random part of up to a half."""
        self._retry_at = now + seconds * (0.5 + 0.5 * self._rng())

    def receive_answer(self, answer: ElectionAnswer | RequestFailure, now: float) -> Finished | Failed | None:
        """Passes the answer to the procedure; returns its outcome if it has ended.

        Raises LocalProtocolError if there is no outstanding request.
        """
        self._require_request()
        self._unanswered = False
        procedure = self._procedure
        if procedure is None:
            return None
        try:
            if isinstance(answer, RequestFailure):
                self._ask(procedure.throw(RequestFailed(answer)), now)
            else:
                self._ask(procedure.send(answer), now)
        except StopIteration as finished:
            self._procedure = None
            return Finished(finished.value)
        except (RequestFailed, RemoteProtocolError) as error:
            self._procedure = None
            self.failure = str(error)
            self._back_off(now)
            return Failed(self.failure)
        return None

    def settle(self) -> None:
        """A procedure has succeeded: the next failure counts as the first in a row."""
        self._failures = self._repeats = 0
        self.failure = None

    def _require_request(self) -> None:
        if not self._unanswered:
            raise LocalProtocolError("an answer came, and no request is out; this is a bug in zkrpc")

    def _ask(self, request: ElectionRequest, now: float) -> None:
        self._unanswered = True
        self._asked_at = now
        self._emit(request, now)

    def _back_off(self, now: float) -> None:
        self.pause(now, _BACKOFF.bound(self._failures))
        self._failures += 1
