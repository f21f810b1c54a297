"""The handler of ``zkrpc.Introspection``: what a server tells of itself to whoever operates it. Pure."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Callable
from typing import Any

from zkrpc.idl import built_in_idl
from zkrpc.telemetry.status import CallerStatus, ServerStatus


class IntrospectionHandler:
    """Answers from the values of :mod:`zkrpc.telemetry.status`.

    Args:
        status: gives the server's.
        describe: gives that of all that the process serves: a dataclass.
    """

    def __init__(self, status: Callable[[], ServerStatus], describe: Callable[[], Any]) -> None:
        self._status = status
        self._describe = describe
        self._idl = built_in_idl("Introspection")

    def status(self) -> str:
        """The state of the process as JSON."""
        return json.dumps(_finite(dataclasses.asdict(self._describe())), allow_nan=False)

    def callers(self) -> Any:
        """Who has called, and what."""
        status = self._status()
        callers = [self._caller(one) for one in status.callers]
        return self._idl.Callers(service=status.service, started_at=status.started_at or 0.0, callers=callers)

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
