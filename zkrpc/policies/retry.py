"""Whether to send a call again, decided by one fact: was it executed?

===========  =====================================================================================
executed     what follows
===========  =====================================================================================
``NO``       another instance at once while there is one worth it, else again after a pause
``MAYBE``    the same, but only for a method that is declared idempotent
``YES``      never
===========  =====================================================================================

``max_attempts`` counts the attempts that *reached a server*. An attempt that found no instance, or whose connection was
refused, cost no server anything and says nothing about the call; it is repeated, paced by the backoff, until the
deadline, because instances come back (a restart, a list that lags behind). So the count and, over all calls together,
the budget protect the servers from a storm; the pause protects this process, and the deadline protects the caller. A
call made for a call that is itself a repetition is not sent again after it reached a server: the hop above does that
already, and three hops with four attempts each would be 64.

A call that is larger than an instance accepts is tried at others, and never again at the same one. One that the caller
may not make is not tried again at all, as all instances have the same lists of who may.

Calls on connections that break, and to instances that stop, fail within milliseconds, while their replacements take a
second or more to appear. So the remaining attempts are spread over the time until the deadline: the first repetition is
made after the usual pause, the last but one after about an eighth of the time that is left, the last one after half of
it, or as soon as the list of instances changes.

Where there is no instance at all, only a new list can help: the call waits for one, for as long as ``patience`` lasts.

An instance that is not the primary, or not of the epoch that was demanded, reads the call and does not run it: that is
not counted either. The caller waits for an election to end; the pauses then get shorter towards the deadline, so that
none of the time is lost.

Pure: the clock, the random numbers, the pause and the question whether an instance is worth asking at once are handed
in.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable
from typing import Any

from zkrpc.call import Call, Interceptor, Proceed
from zkrpc.config import DEFAULT_ATTEMPTS
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    PermissionDenied,
    StaleEpoch,
    TooLarge,
    Unavailable,
)
from zkrpc.policies.backoff import Backoff

_KEPT = {2: 1 / 8, 1: 1 / 2}
"""Attempts left -> the share of the remaining time after which the next one is made at the latest."""


def may_repeat(error: CallError, idempotent: bool) -> bool:
    """True if the call certainly did not run, or if it is idempotent and it is unknown whether it ran."""
    return error.executed is Executed.NO or (error.executed is Executed.MAYBE and idempotent)


def awaits_primary(error: CallError) -> bool:
    """True if the attempt failed because another instance is the primary, or none is yet."""
    return isinstance(error, (NotPrimary, StaleEpoch))


def counts(error: CallError) -> bool:
    """False if the attempt ended before a byte of it was sent, or at an instance that is not the primary asked for."""
    spared = isinstance(error, (Unavailable, ConnectionLost)) or awaits_primary(error)
    return not (spared and error.executed is Executed.NO)


def costs(error: CallError) -> bool:
    """Whether sending again after this error is one more piece of work for the servers as a whole.

    False if the attempt did not count, or if the server said that it is about to stop, which is no sign of overload.
    """
    return counts(error) and not isinstance(error, Draining)


@dataclasses.dataclass(slots=True, kw_only=True)
class Progress:
    """What has happened to one call so far."""

    counted: int = 0
    """Attempts that reached a server which might have run them."""
    broken: int = 0
    """Those of them that ended because the connection broke, or the instance was about to stop."""
    pauses: int = 0
    """Pauses made, which drive the backoff."""
    alone_since: float | None = None
    """Since when no instance at all was known, in monotonic seconds; None while there is one."""
    executed: Executed = Executed.NO
    """The worst outcome that any attempt may have had."""

    def record(self, error: CallError) -> None:
        """Takes in a failed attempt, and lifts ``error.executed`` to what holds for the call as a whole.

        After an attempt that may have run, a later one that was refused must not claim that nothing happened.
        """
        self.counted += counts(error)
        self.broken += counts(error) and isinstance(error, (ConnectionLost, Draining))
        if error.executed is not Executed.NO:
            self.executed = error.executed
        error.executed = self.executed

    def note_presence(self, error: CallError, now: float) -> float | None:
        """For how many seconds no instance at all has been known; None if there is one."""
        if not (isinstance(error, Unavailable) and error.nobody):
            self.alone_since = None
            return None
        self.alone_since = now if self.alone_since is None else self.alone_since
        return now - self.alone_since


def _came_to_nothing(error: CallError, call: Call) -> bool:
    """True if the time ran out before the attempt began: then the error of the attempt before tells the caller more."""
    return isinstance(error, DeadlineExceeded) and error.executed is Executed.NO and call.endpoint is None


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RetryPolicy:
    """When to give up, and how long to pause."""

    backoff: Backoff
    max_attempts: int = DEFAULT_ATTEMPTS
    """For calls that do not say how many times they may reach a server."""
    patience: float = math.inf
    """Seconds to wait for an instance while there is none at all."""

    def pause_before_next(
        self,
        error: CallError,
        progress: Progress,
        *,
        at_once: bool,
        remaining: float,
        rng: Callable[[], float],
        most: int | None = None,
        alone_for: float | None = None,
    ) -> float | None:
        """Seconds until the next attempt of a call that may be repeated; None to give up.

        Args:
            error: how the last attempt ended, as it was raised.
            progress: what has happened to the call so far, the last attempt included.
            at_once: whether there is an instance worth asking without a pause.
            remaining: seconds until the deadline. A pause that would last longer is not begun: the caller gets the last
                error, which says more than DeadlineExceeded, and gets it sooner.
            rng: floats in [0, 1).
            most: attempts of this call that may reach a server, if not ``max_attempts``.
            alone_for: for how many seconds no instance at all has been known; None if there is one.
        """
        if remaining <= 0 or progress.counted >= (most or self.max_attempts):
            return None
        if alone_for is not None and self.patience < math.inf:
            left = min(self.patience - alone_for, remaining - self.backoff.first)
            return left if left > 0 else None
        if at_once:
            return 0.0
        if isinstance(error, TooLarge) or (isinstance(error, Unavailable) and error.lasting):
            return None  # it does not shrink while we wait, nor does a member take other connections than it says
        pause = self.backoff.pause(progress.pauses, rng)
        if progress.broken > 1:
            left = (most or self.max_attempts) - progress.counted
            pause = max(pause, remaining * _KEPT.get(left, 0.0) * (1 + rng()) / 2)
        if awaits_primary(error):
            # An election ends when it ends: look again once more in half of what is left, down to the shortest pause.
            return min(pause, remaining / 2) if remaining > self.backoff.first else None
        if isinstance(error, Overloaded) and error.retry_after is not None:
            # Everybody was asked; the one that said when to come back knows better than our dice.
            pause += error.retry_after
        return pause if pause < remaining else None


def retrying(
    policy: RetryPolicy,
    *,
    clock: Callable[[], float],
    sleep: Callable[[float], bool],
    rng: Callable[[], float],
    is_worth_asking: Callable[[Call, CallError], bool],
    may_repeat_now: Callable[[float], bool] = lambda now: True,
    on_retry: Callable[[Call, CallError, float], object] | None = None,
    on_failure: Callable[[Call, BaseException], object] | None = None,
) -> Interceptor[Call]:
    """The interceptor that applies ``policy``: numbers the attempts, and notes on the call which instances not to ask
    again.

    Args:
        policy: the decision.
        clock: monotonic seconds.
        sleep: waits for so many seconds, or less if a change makes another attempt worth while; False if none can come
            any more, and the last error is raised.
        rng: floats in [0, 1).
        is_worth_asking: whether, after this error of the last attempt, there is an instance worth asking at once.
        may_repeat_now: whether the budget allows one more attempt at this time; if so, a token is taken.
        on_retry: told of each repetition before it is made: the call, how the last attempt ended, and the pause.
        on_failure: told of each call that is not sent again and ends with an exception, a declared one, too.
    """

    def retry(call: Call, proceed: Proceed[Call]) -> Any:
        progress: Progress | None = None
        last: CallError | None = None
        try:
            while True:
                call.attempt += 1
                try:
                    return proceed(call)
                except CallError as error:
                    if last is not None and _came_to_nothing(error, call):
                        raise last from None
                    progress = progress or Progress()
                    pause = pause_after(error, call, progress)
                    if pause is None or (pause > 0 and not sleep(pause)):
                        raise
                    progress.pauses += pause > 0
                    if on_retry is not None:
                        on_retry(call, error, pause)
                    last = error
        except BaseException as error:
            if on_failure is not None:
                on_failure(call, error)
            raise
        finally:
            # An error knows this frame; keeping it here would leave both to the garbage collector.
            last = None

    def pause_after(error: CallError, call: Call, progress: Progress) -> float | None:
        # Before the error is lifted to what holds for the whole call: what this attempt cost is its own affair.
        repeatable, costly = may_repeat(error, call.idempotent), costs(error)
        progress.record(error)
        error.attempts = call.attempt
        if call.endpoint is not None:
            call.tried = call.tried | {call.endpoint}
            call.endpoint = None
        if not repeatable or isinstance(error, PermissionDenied):
            return None
        now = clock()
        at_once = is_worth_asking(call, error)
        pause = policy.pause_before_next(
            error,
            progress,
            at_once=at_once,
            remaining=call.deadline.remaining(now),
            rng=rng,
            most=None if call.plan is None else call.plan.max_attempts,
            alone_for=progress.note_presence(error, now),
        )
        if pause is None or not costly:
            return pause
        return pause if not call.repeated and may_repeat_now(now) else None

    return retry


def go_on_after(retry: Interceptor[Call], proceed: Proceed[Call], call: Call, error: BaseException) -> Any:
    """What ``retry`` makes of a call whose first attempt was counted and made without it, and has ended with this
    error: what it would have made of it itself."""
    ended = [error]
    del error  # its traceback will know this frame

    def proceed_from_there(call: Call) -> Any:
        if ended:
            raise ended.pop()
        return proceed(call)

    call.attempt -= 1
    return retry(call, proceed_from_there)
