"""One call, or other work, on its way through the hub thread.

=========  =====================================  ======================================================================
state      is                                     goes on by
=========  =====================================  ======================================================================
WAITING    in the queue                           ``begin``, in the hub thread; it is false for what was given up
RUNNING    in a greenlet of the hub thread        ``finish`` or ``fail``, in the hub thread
DONE       has a value or an error                ``take``, by whoever waits
=========  =====================================  ======================================================================

``give_up`` may come at any moment and from any thread. It changes one flag, which only ``begin`` looks at; an errand
that runs is ended by the hub thread, which is told by the errand's coming through the queue again.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from contextvars import Context
from typing import Any


class ErrandState(enum.Enum):
    """How far an errand has come."""

    WAITING = "waiting"
    RUNNING = "running"
    DONE = "done"


_WAITING, _RUNNING, _DONE = ErrandState.WAITING, ErrandState.RUNNING, ErrandState.DONE


class Errand:
    """``action(*arguments)``, to be done in ``context``; ``landing(errand)`` is called in the hub thread when it is
    done, and ``waiting`` is what the landing wakes, in whatever way."""

    __slots__ = (
        "_error",
        "_value",
        "action",
        "arguments",
        "context",
        "given_up",
        "greenlet",
        "landing",
        "state",
        "waiting",
    )

    def __init__(
        self,
        action: Callable[..., Any],
        arguments: tuple[Any, ...],
        context: Context,
        landing: Callable[[Errand], object],
        waiting: Any = None,
    ) -> None:
        self.action = action
        self.arguments = arguments
        self.context = context
        self.landing = landing
        self.waiting = waiting
        self.state = _WAITING
        self.given_up = False
        """True once nobody waits for it any more."""
        self.greenlet: Any = None
        """What runs it; None if nothing does."""
        self._value: Any = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        """State, and whether it was given up."""
        return f"<Errand {self.state.value}{' given up' if self.given_up else ''}>"

    def begin(self, greenlet: Any) -> bool:
        """In the hub thread: ``greenlet`` is about to do it. False if nobody waits for it: then it is done already."""
        if self.given_up:
            self.state = _DONE
            return False
        self.state = _RUNNING
        self.greenlet = greenlet
        return True

    def finish(self, value: Any) -> None:
        """In the hub thread: it went well."""
        self._value = value
        self.greenlet = None
        self.state = _DONE

    def fail(self, error: BaseException) -> None:
        """In the hub thread: it raised, or could not begin."""
        self._error = error
        self.greenlet = None
        self.state = _DONE

    def give_up(self) -> bool:
        """Nobody waits for it any more. True if the hub thread has to be told: once, and only before it is done."""
        if self.given_up or self.state is _DONE:
            return False
        self.given_up = True
        return True

    def interrupt(self) -> Any:
        """In the hub thread, for one that was given up: the greenlet in which it must be ended; None if there is
        none."""
        greenlet, self.greenlet = self.greenlet, None
        return greenlet

    @property
    def outcome(self) -> tuple[Any, BaseException | None]:
        """The value and the error, once it is done; afterwards the errand has neither."""
        value, error = self._value, self._error
        self._value = self._error = None
        return value, error

    def take(self) -> Any:
        """The value, once it is done, or raises its error."""
        value, error = self._value, self._error
        if error is None:
            return value
        self._error = None
        try:
            raise error
        finally:
            del error  # its traceback knows this frame
