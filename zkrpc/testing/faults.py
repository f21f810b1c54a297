"""Faults on demand in the calls of a service or of a client, for tests of what an application makes of them.

An interceptor for either side::

    faults = Faults([FaultRule(method="get", delay=0.2, probability=0.1)])
    service = zkrpc.Service(idl.Users, UsersHandler, interceptors=[faults])
    users = zkrpc.connect(idl.Users, "users", zookeeper=..., interceptors=[faults])

======  ========================================  =================================================================
fault   at the server                             at the client
======  ========================================  =================================================================
delay   before the handler                        before the call, or before its answer if one instance is meant
abort   the handler does not run; a CallError     the call is not made, and not tried again: an interceptor stands
        arrives as what its class says of         around all attempts
        ``executed``, anything else as the
        handler's own exception
drop    the handler does not run; it looks busy   as if the answer were lost: DeadlineExceeded, executed=MAYBE,
        until the caller's time is up, or the     when the time is up; a oneway call returns and is not sent
        greenlet is killed
======  ========================================  =================================================================

If a rule names an instance, a client knows only with the answer whether the call went there. By then the call has been
executed: the answer is delayed, or lost, or replaced by an error that does not claim executed=NO. An answer that is an
error already is not changed. To see retries, hedges and breakers at work, use faults at the server.
"""

from __future__ import annotations

import contextlib
import functools
import math
import random
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import gevent

from zkrpc.call import Call, Interceptor, Proceed, ServerCall
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError, ConfigError, DeadlineExceeded, Executed, Rejected
from zkrpc.testing.fault_rules import FAULT_HEADER, Armed, Fault, FaultPlan, FaultRule, parse_fault

__all__ = ["FAULT_HEADER", "FaultRule", "Faults", "parse_fault"]

_LONG = 3600.0
"""Seconds of one sleep of a handler whose caller gave no deadline."""


class Faults:
    """The interceptor, for servers and clients; its rules may change at any time.

    Args:
        rules: in force from the start.
        rng: gives floats in [0, 1).
        sleep: waits for so many seconds.
        clock: monotonic seconds, the same that deadlines are made of.
        obey_headers: whether a call may bring its own fault along; see :meth:`from_headers`.
    """

    def __init__(
        self,
        rules: Iterable[FaultRule] = (),
        *,
        rng: Callable[[], float] = random.random,
        sleep: Callable[[float], object] = gevent.sleep,
        clock: Callable[[], float] = time.monotonic,
        obey_headers: bool = False,
    ) -> None:
        self._plan = FaultPlan(rules, rng)
        self._sleep = sleep
        self._clock = clock
        self._obey_headers = obey_headers

    @classmethod
    def from_headers(cls, *, rng: Callable[[], float] = random.random) -> Faults:
        """Faults that a call asks for in its header ``x-zkrpc-fault``, as in ``delay=0.2; abort=Overloaded; p=0.5``.

        For servers, and for test systems: every caller can then block a handler for any time. A header that cannot be
        read is answered Rejected. A service without this ignores the header.
        """
        return cls(rng=rng, obey_headers=True)

    def __repr__(self) -> str:
        """The rules in force."""
        return f"<Faults {self._plan!r}{' and headers' if self._obey_headers else ''}>"

    @property
    def rules(self) -> tuple[FaultRule, ...]:
        """The rules in force, in the order in which they are tried."""
        return tuple(one.rule for one in self._plan.armed)

    def set(self, rules: Iterable[FaultRule]) -> None:
        """Replaces all rules. A fault that has begun goes on. Raises ConfigError for anything that is not a rule."""
        self._plan.set(rules)

    def clear(self) -> None:
        """Removes all rules."""
        self._plan.set(())

    @contextlib.contextmanager
    def rule(self, rule: FaultRule | None = None, /, **fields: Any) -> Iterator[Armed]:
        """Adds a rule before the others within the block: a FaultRule, or the fields of one.

        Gives an object whose ``struck`` says how many calls it has affected.
        """
        armed = self._plan.put_first(rule or FaultRule(**fields))
        try:
            yield armed
        finally:
            self._plan.remove(armed)

    def at(self, instance: str) -> Interceptor[ServerCall]:
        """The same faults for a server that rules know by the name ``instance``; a Loopback does that for its
        replicas."""
        return functools.partial(self._serve, instance)

    def __call__(self, call: Any, proceed: Proceed[Any]) -> Any:
        """The interceptor."""
        if isinstance(call, ServerCall):
            return self._serve("", call, proceed)
        return self._send(call, proceed)

    # -- at the server

    def _serve(self, instance: str, call: ServerCall, proceed: Proceed[ServerCall]) -> Any:
        fault = self._asked_for(call) or self._plan.decide(call.method, instance)
        if fault is None:
            return proceed(call)
        self._pause(fault.delay)
        if fault.drop:
            self._look_busy(call)
        if fault.error is not None:
            raise _as_answered(call, fault.error)
        return proceed(call)

    def _asked_for(self, call: ServerCall) -> Fault | None:
        text = call.headers.get(FAULT_HEADER) if self._obey_headers else None
        if text is None:
            return None
        try:
            return self._plan.strike_by(parse_fault(text))
        except ConfigError as error:
            raise Rejected(f"header {FAULT_HEADER}: {error}") from None

    def _look_busy(self, call: ServerCall) -> None:
        deadline = call.deadline
        while deadline is None or not deadline.has_expired(self._clock()):
            self._sleep(_LONG if deadline is None else deadline.remaining(self._clock()))
        # Nobody reads this any more.
        raise _as_answered(call, DeadlineExceeded("the fault injected is that no answer comes"))

    # -- at the client

    def _send(self, call: Call, proceed: Proceed[Call]) -> Any:
        fault = self._plan.decide_anywhere(call.method)
        if fault is not None:
            if fault.drop and call.oneway:
                return None
            self._meet(call, fault, executed=Executed.NO)
        answer = proceed(call)
        if call.endpoint is not None:
            fault = self._plan.decide_at(call.method, str(call.endpoint))
            if fault is not None:
                self._meet(call, fault, executed=Executed.MAYBE, endpoint=call.endpoint)
        return answer

    def _meet(self, call: Call, fault: Fault, *, executed: Executed, endpoint: Endpoint | None = None) -> None:
        """Carries out a fault. ``executed`` is the least that an error may claim, as the call may have run already."""
        self._wait(call, fault.delay, executed)
        if fault.drop:
            self._wait(call, math.inf, Executed.MAYBE)
        if fault.error is not None:
            if isinstance(fault.error, CallError):
                fault.error.endpoint = endpoint
                if fault.error.executed is Executed.NO:
                    fault.error.executed = executed
            raise fault.error

    def _wait(self, call: Call, seconds: float, executed: Executed) -> None:
        """Waits. Raises DeadlineExceeded when the call's time is up before that."""
        remaining = call.deadline.remaining(self._clock())
        self._pause(min(seconds, max(0.0, remaining)))
        if seconds >= remaining:
            raise DeadlineExceeded(
                f"no answer to {call.method} in time; a fault was injected", executed=executed, endpoint=call.endpoint
            )

    def _pause(self, seconds: float) -> None:
        if seconds > 0:
            self._sleep(seconds)


def place(interceptor: Interceptor[ServerCall], instance: str) -> Interceptor[ServerCall]:
    """The interceptor to use in the server of that name: Faults bound to it, and any other interceptor as it is."""
    return interceptor.at(instance) if isinstance(interceptor, Faults) else interceptor


def _as_answered(call: ServerCall, error: Exception) -> Exception:
    """The error to raise, with the call prepared so that the caller is told what the error says of ``executed``."""
    if not isinstance(error, CallError):
        call.entered = True
    elif error.executed is not Executed.NO:
        call.entered, call.revoked = True, error
    return error
