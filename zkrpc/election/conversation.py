"""Runs one procedure at a time: hands its requests out, its answers in, and begins again later what failed.

It knows whether there is a connection and what is still unanswered; it knows nothing of what is being said.
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
    """A procedure ended, and returned this."""

    value: Any


@dataclasses.dataclass(frozen=True, slots=True)
class Failed:
    """A procedure was broken off by a failure; what it was to find out is not known."""

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
        """Whether there is a connection, whether a request is out, and how many failures in a row there were."""
        return f"<Conversation connected={self.connected} unanswered={self._unanswered} failures={self._failures}>"

    def connect(self) -> None:
        """There is a connection now: a pause after failures ends."""
        self.connected = True
        self._retry_at = None

    def disconnect(self) -> None:
        """There is no connection: nothing begins. A request that is out will still be answered, maybe by a failure."""
        self.connected = False

    def is_free(self, now: float) -> bool:
        """True if a procedure may begin."""
        paused = self._retry_at is not None and now < self._retry_at
        return self.connected and self._procedure is None and not self._unanswered and not paused

    def next_timer(self) -> float | None:
        """When it will be free again after a pause."""
        return self._retry_at if self.connected and not self._unanswered else None

    def handle_timer(self, now: float) -> None:
        """Ends the pause when it is over, whether or not there is anything to begin."""
        if self._retry_at is not None and now >= self._retry_at:
            self._retry_at = None

    def asked_for(self, now: float) -> float:
        """Seconds since the request that is out was made. Raises LocalProtocolError if none is."""
        self._require_request()
        return now - self._asked_at

    def begin(self, procedure: Procedure[Any], now: float) -> None:
        """Starts a procedure; it must ask for something before it returns."""
        self._procedure = procedure
        self._retry_at = None
        self._ask(next(procedure), now)

    def abandon(self) -> None:
        """Ends the procedure; the answer to its last request will be thrown away."""
        if self._procedure is not None:
            self._procedure.close()
            self._procedure = None

    def pause_if_repeated(self, now: float) -> None:
        """What was looked at changed in the meantime. After a few times in a row, the next look waits."""
        self._repeats += 1
        if self._repeats > _QUICK_REPEATS:
            self._back_off(now)

    def pause(self, now: float, seconds: float) -> None:
        """Begins nothing for this long, less a random part of up to a half."""
        self._retry_at = now + seconds * (0.5 + 0.5 * self._rng())

    def receive_answer(self, answer: ElectionAnswer | RequestFailure, now: float) -> Finished | Failed | None:
        """Goes on with the answer; what the procedure came to, if that was the last.

        Raises LocalProtocolError if no request is out.
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
        """A procedure has found things in order: the next failure counts as the first in a row."""
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
