"""A second copy of a call that takes unusually long, to another instance; the first good answer counts.

The first copy runs in the caller's own greenlet, as if there were no hedge. When the delay has passed, a timer of the
hub starts a greenlet for the second one, if the budget allows it. If the second copy is answered first, the caller's
wait is ended by an exception thrown from the hub, as by a ``gevent.Timeout``. The slower copy is cancelled, on its
server too. If the first copy fails while the second is under way, the caller waits for the second.

Only calls of methods that may be executed twice are hedged. A hedge is part of one attempt: what to do when both copies
have failed is decided by the retry layer.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any

import gevent
from gevent import get_hub, getcurrent

from zkrpc.call import Call, Interceptor, Proceed
from zkrpc.errors import CallError, Executed
from zkrpc.policies.hedge import HedgeDelay, LatencyQuantile


class Hedge:
    """When calls of one method are hedged: the setting, and the latencies for its quantile. Raises ConfigError as
    :meth:`~zkrpc.policies.hedge.HedgeDelay.parse` does."""

    __slots__ = ("_setting", "latency")

    def __init__(self, setting: float | str) -> None:
        self._setting = HedgeDelay.parse(setting)
        self.latency = None if self._setting.quantile is None else LatencyQuantile(self._setting.quantile)

    def delay(self) -> float | None:
        """Seconds until the second copy; None while too little is known."""
        return self._setting.delay(None if self.latency is None else self.latency.value)

    def inherit(self, former: Hedge) -> None:
        """Takes over the latencies of the hedge that this one replaces, if both have the same setting."""
        if former._setting == self._setting:
            self.latency = former.latency

    def record(self, seconds: float) -> None:
        """A call was answered after so long."""
        if self.latency is not None:
            self.latency.record(seconds)


def hedging(
    *,
    clock: Callable[[], float],
    may_repeat_now: Callable[[float], bool],
    on_hedge: Callable[[Call], object] | None = None,
) -> Interceptor[Call]:
    """The interceptor that sends second copies of calls whose plan has a hedge.

    Args:
        clock: monotonic seconds.
        may_repeat_now: whether the retry budget allows one more attempt at this time; if so, takes it from the budget.
        on_hedge: called with each second copy before it is sent.
    """

    def hedge(call: Call, proceed: Proceed[Call]) -> Any:
        plan = call.plan
        if plan is None or plan.hedge is None:
            return proceed(call)
        # A group has only one primary; and a call that is a repetition is already hedged or retried by the service
        # above.
        if not call.idempotent or call.repeated or call.route is not None:
            return proceed(call)
        began = clock()
        delay = plan.hedge.delay()
        if delay is None or began + delay >= call.deadline.at:
            value = proceed(call)
        else:
            value = _Race(call, proceed, lambda: may_repeat_now(clock()), on_hedge).run(delay)
        plan.hedge.record(clock() - began)
        return value

    return hedge


class _Superseded(BaseException):
    """Thrown into a caller whose second copy was answered first; never leaves this module."""


class _Race:
    """A call that may get a second copy, and both copies if it does."""

    __slots__ = ("_call", "_caller", "_copy", "_may_start", "_on_hedge", "_over", "_proceed", "_second")

    def __init__(
        self,
        call: Call,
        proceed: Proceed[Call],
        may_start: Callable[[], bool],
        on_hedge: Callable[[Call], object] | None,
    ) -> None:
        self._call = call
        self._proceed = proceed
        self._may_start = may_start
        self._on_hedge = on_hedge
        self._caller = getcurrent()
        self._copy: Call | None = None
        self._second: gevent.Greenlet[..., Any] | None = None
        self._over = False

    def run(self, delay: float) -> Any:
        """The value of whichever copy answers first. Raises what the first copy raised if none does."""
        timer = get_hub().loop.timer(delay)
        timer.start(self._start_second)
        try:
            return self._proceed(self._call)
        except _Superseded:
            assert self._second is not None
            return self._take(self._second)
        except CallError as error:
            # The second copy must not interrupt the caller any more.
            self._over = True
            second = self._second
            if second is None or error.executed is Executed.YES or not self._outlasts(second):
                raise
            return self._take(second)
        finally:
            self._over = True
            timer.stop()
            timer.close()
            if self._second is not None:
                self._second.kill(block=False)

    def _outlasts(self, second: gevent.Greenlet[..., Any]) -> bool:
        """Waits for the second copy, at most until its deadline; True unless it has failed with a CallError, too."""
        second.join()
        return not isinstance(second.value, CallError)

    def _take(self, second: gevent.Greenlet[..., Any]) -> Any:
        outcome = second.value
        assert self._copy is not None
        self._call.endpoint = self._copy.endpoint
        if isinstance(outcome, _Answer):
            return outcome.value
        assert isinstance(outcome, Exception)
        raise outcome

    def _start_second(self) -> None:
        """Runs in the hub: sends the second copy, if the first is not answered yet and the budget allows it."""
        if not self._over and self._may_start():
            copy = self._copy = self._call.copy()
            if self._call.endpoint is not None:
                copy.tried = copy.tried | {self._call.endpoint}
            copy.attempt += 1
            context = self._caller.gr_context
            # As zkrpc.spawn does it, which would copy the hub's context here.
            run = contextvars.Context().run if context is None else context.copy().run
            self._second = gevent.spawn(run, self._run_second, copy)

    def _run_second(self, copy: Call) -> Any:
        if self._on_hedge is not None:
            self._on_hedge(copy)
        try:
            outcome: Any = _Answer(self._proceed(copy))
        except Exception as error:
            outcome = error
        self._call.tried = self._call.tried | copy.tried
        if copy.endpoint is not None:
            self._call.tried = self._call.tried | {copy.endpoint}
        if not isinstance(outcome, CallError):
            get_hub().loop.run_callback(self._supersede)
        return outcome

    def _supersede(self) -> None:
        """Runs in the hub, so the caller is waiting for its own copy, unless that has ended."""
        if not self._over:
            self._over = True
            self._caller.throw(_Superseded())


class _Answer:
    """Wraps a call's value, to distinguish it from an exception."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value
