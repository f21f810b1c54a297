"""Honest callers of suite ``hostile``."""

from __future__ import annotations

import random
import time
from typing import Any

import gevent

import zkrpc
from faults.load import Outcome

CANARY = "canary-"
"""Begins each honest caller's text, and has no business in anybody else's answers."""
INTERVAL = 0.03
"""Seconds between a caller's calls, on average."""


class Honest:
    """Callers who ask for their own text, or for the epoch, and note how long it took."""

    def __init__(self, stub: Any, rng: random.Random, *, callers: int, leads: bool = True) -> None:
        self.outcomes: list[Outcome] = []
        self.wrong: list[str] = []
        """Answers that were not theirs."""
        self.epochs: set[int] = set()
        self._stub = stub
        self._rng = rng
        self._leads = leads
        self._running = True
        self._greenlets = [gevent.spawn(self._call_again, number) for number in range(callers)]

    def stop(self) -> None:
        """Lets each finish its call."""
        self._running = False
        gevent.joinall(self._greenlets, timeout=30, raise_error=True)

    def between(self, began: float, ended: float) -> list[Outcome]:
        """Calls that were made in that time, whenever they ended."""
        return [one for one in self.outcomes if began <= one.started_at < ended]

    def _call_again(self, number: int) -> None:
        call = self._ask_for_the_epoch if self._leads and number % 8 == 0 else self._ask_for_text
        while self._running:
            began, error = time.monotonic(), None
            try:
                call(number)
            except zkrpc.CallError as failure:
                error = failure
            self.outcomes.append(Outcome(began, time.monotonic(), True, error=error))
            gevent.sleep(self._rng.uniform(0.5, 1.5) * INTERVAL)

    def _ask_for_text(self, number: int) -> None:
        text = f"{CANARY}{number}-{self._rng.getrandbits(64):x}"
        answer = self._stub.echo(text)
        if answer != text:
            self.wrong.append(answer)

    def _ask_for_the_epoch(self, number: int) -> None:
        self.epochs.add(self._stub.lead())
