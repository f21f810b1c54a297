"""The handler of ``zkrpc.Introspection``: what a server tells of itself to whoever operates it. Pure.

Whoever can call the service can ask, unless it has a list of who may (:mod:`~zkrpc.server.permissions`). So nothing of
what is called or answered is told, but for the calls of those methods for which the service allows it
(:mod:`~zkrpc.server.bodies`), to whoever taps them and may call them.
"""

from __future__ import annotations

import dataclasses
import json
import math
import secrets
from collections.abc import Callable, Collection
from typing import Any

from zkrpc.call import find_current_call
from zkrpc.idl import built_in_idl
from zkrpc.legible import legible
from zkrpc.server.permissions import Permissions
from zkrpc.server.tap import LEASE, MOST_TAPS, Tap, Tapped, Taps
from zkrpc.telemetry.events import RequestFinished
from zkrpc.telemetry.status import CallerStatus, ServerStatus

LONGEST_FETCH = 10.0
"""Seconds that a question for tapped calls may wait."""
MOST_FETCHED = 100
"""Tapped calls in one answer."""
_LOOK_INTERVAL = 0.05
"""Seconds between two looks whether there is one."""


class IntrospectionHandler:
    """Answers from the values of :mod:`zkrpc.telemetry.status`.

    Args:
        status: gives the server's.
        describe: gives that of all that the process serves: a dataclass.
        methods: the names of the interface's methods; of interfaces beside the default one their labels.
        taps: the server's.
        sleep: waits so many seconds.
        clock: monotonic seconds.
        permissions: who may call what.
    """

    def __init__(
        self,
        status: Callable[[], ServerStatus],
        describe: Callable[[], Any],
        methods: Collection[str],
        taps: Taps,
        sleep: Callable[[float], object],
        clock: Callable[[], float],
        permissions: Permissions,
    ) -> None:
        self._status = status
        self._describe = describe
        self._methods = methods
        self._taps = taps
        self._sleep = sleep
        self._clock = clock
        self._permissions = permissions
        self._idl = built_in_idl("Introspection")

    def status(self) -> str:
        """The state of the process as JSON."""
        return json.dumps(_finite(dataclasses.asdict(self._describe())), allow_nan=False)

    def callers(self) -> Any:
        """Who has called, and what."""
        status = self._status()
        callers = [self._caller(one) for one in status.callers]
        return self._idl.Callers(service=status.service, started_at=status.started_at or 0.0, callers=callers)

    def lists(self) -> Any:
        """Who may call what."""
        lists = self._permissions.lists()
        return [self._idl.AllowList(method=name, source=said, patterns=[*patterns]) for name, said, patterns in lists]

    def tap(self, tap: str, method: str, sample: float, timeout_ms: int, bodies: bool) -> Any:
        """The sampled calls that wait to be fetched; waits for one if there is none."""
        found = self._taps.find(tap) if tap else self._open(method, sample, bodies)
        if found is None:
            raise self._idl.TapRefused(message=f"the tap has ended: it was not asked for {LEASE:g} s")
        ends = self._clock() + min(max(timeout_ms, 0) / 1000, LONGEST_FETCH)
        self._taps.begin_fetch(found)
        try:
            while not found.held and self._clock() < ends:
                self._sleep(_LOOK_INTERVAL)
        except BaseException:  # the connection is closed, and this is ended
            self._taps.close(found)
            raise
        self._taps.end_fetch(found)
        calls = [self._tapped(one) for one in found.fetch(MOST_FETCHED)]
        return self._idl.TapBatch(tap=found.name, calls=calls, seen=found.seen, dropped=found.dropped)

    def _open(self, method: str, sample: float, bodies: bool) -> Tap:
        if method and method not in self._methods:
            raise self._idl.TapRefused(message=f"there is no method {legible(method, 80)}")
        if not 0 < sample <= 1:
            raise self._idl.TapRefused(message=f"a sample is a share of the calls, more than 0 and at most 1: {sample}")
        if bodies and (refusal := self._taps.bodies.refusal(method)):
            raise self._idl.TapRefused(message=refusal)
        if bodies and (denial := self._denial([method] if method else self._methods)):
            raise self._idl.TapRefused(message=f"bodies are for those who may call the method: {denial}")
        tap = self._taps.open(secrets.token_hex(8), method, sample, bodies)
        if tap is None:
            raise self._idl.TapRefused(message=f"{MOST_TAPS} others tap this instance already")
        return tap

    def _denial(self, methods: Collection[str]) -> str | None:
        """Why whoever asks may not call one of these methods of which bodies are shown."""
        call = find_current_call()
        identity = None if call is None else call.caller.identity
        shown = (name for name in methods if self._taps.bodies.allows(name))
        return next((reason for name in shown if (reason := self._permissions.judge(name, identity))), None)

    def _tapped(self, tapped: Tapped) -> Any:
        event, body = tapped.event, tapped.body
        finished = event if isinstance(event, RequestFinished) else None
        return self._idl.TappedCall(
            at=tapped.at,
            caller=event.caller,
            peer=event.peer,
            method=tapped.method,
            queued=event.queued,
            seconds=None if finished is None else finished.seconds,
            error=event.error,
            declared=finished is not None and finished.declared,
            executed="no" if finished is None else finished.executed,
            epoch=None if finished is None else finished.epoch,
            arguments=None if body is None else body.arguments,
            result=None if body is None else body.result,
            exception_value=None if body is None else body.exception,
            cut=None if body is None else body.cut,
        )

    def _caller(self, one: CallerStatus) -> Any:
        methods = [
            self._idl.MethodCalls(method=some.method, calls=some.calls, errors=some.errors, called_at=some.called_at)
            for some in one.methods
        ]
        return self._idl.CallerCalls(
            name=one.name,
            version=one.version,
            connections=one.connections,
            refused=one.refused,
            max_rate=one.max_rate,
            methods=methods,
        )


def _finite(value: Any) -> Any:
    """The value with None in the place of NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(inner) for inner in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
