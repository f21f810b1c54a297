"""How an application's hooks are found and called."""

from __future__ import annotations

from typing import Any

import gevent
import pytest

from zkrpc.election.hooks import HandlerHooks, run_hook
from zkrpc.election.leadership import Leadership
from zkrpc.errors import ConfigError, StaleEpoch

LEADERSHIP: Any = object()
"""Hooks are only handed it."""


class Term:
    """As much of a leadership as a hook's caller looks at."""

    epoch = 7


def run(raised: BaseException | None) -> tuple[str | None, list[int]]:
    """What is said of a hook that raises that, and which epochs are believed."""
    believed: list[int] = []

    def hook(leadership: Any) -> None:
        if raised is not None:
            raise raised

    term: Any = Term()
    return run_hook("on_elected", hook, term, "ledger/main", believed.append), believed


def test_hook_that_returns_has_nothing_to_say() -> None:
    """And one that is killed is no failure: whoever killed it knows."""
    assert run(None) == (None, [])
    with pytest.raises(gevent.GreenletExit):
        run(gevent.GreenletExit())


@pytest.mark.parametrize(
    ("raised", "why"),
    [
        (ValueError("no such table"), "ValueError: no such table"),
        (gevent.Timeout(2), "Timeout: 2 seconds"),
        (SystemExit(1), "SystemExit: 1"),
    ],
)
def test_hook_that_fails_says_why(raised: BaseException, why: str, caplog: pytest.LogCaptureFixture) -> None:
    """Whatever it raised, also a timeout of its own; the log has the rest."""
    assert run(raised) == (why, [])
    assert "on_elected failed for ledger/main, epoch 7" in caplog.text


def test_hook_whose_store_knows_a_later_epoch_is_believed_and_no_other() -> None:
    """Only if it speaks of this term: a handler may have called another service."""
    assert run(StaleEpoch("the store", seen=9, current=7))[1] == [9]
    assert run(StaleEpoch("elsewhere", seen=9, current=3))[1] == []


class Silent:
    """A handler that need not know of elections."""


class Handler:
    """A handler with both hooks: one wants to know the term, the other does not."""

    def __init__(self) -> None:
        self.told: list[Any] = []

    def on_elected(self, leadership: Leadership) -> None:
        """Keeps it."""
        self.told.append(leadership)

    def on_deposed(self) -> None:
        """Keeps that it was called."""
        self.told.append("deposed")


def test_handlers_hooks_are_called_with_as_many_arguments_as_they_take() -> None:
    """A service with several groups wants the term, one with a single group need not."""
    handler, leadership = Handler(), LEADERSHIP
    hooks = HandlerHooks(handler)
    hooks.on_elected(leadership)
    hooks.on_deposed(leadership)
    assert handler.told == [leadership, "deposed"]


def test_handler_without_hooks_is_told_nothing() -> None:
    """A primary that has nothing to load and nothing to stop."""
    hooks = HandlerHooks(Silent())
    hooks.on_elected(LEADERSHIP)
    hooks.on_deposed(LEADERSHIP)


def test_hook_that_takes_something_else_is_refused_at_once() -> None:
    """Not when it is called for, which may be in the night."""
    handler = Handler()
    handler.on_elected = lambda group, epoch: None  # type: ignore[assignment,misc]
    with pytest.raises(ConfigError, match="Handler.on_elected must take the leadership, or nothing"):
        HandlerHooks(handler)
