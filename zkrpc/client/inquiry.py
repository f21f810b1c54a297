"""Asks all instances of a service what they tell of themselves, each one directly and all within one time.

A shell: a few greenlets with a client of their own for each instance. Nothing is retried and no instance is picked: who
does not answer is a part of the answer.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from gevent.pool import Pool

from zkrpc.client.client import Client
from zkrpc.client.resolver import StaticResolver
from zkrpc.client.secured import NEEDS_TLS, dialler_to
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Instance
from zkrpc.errors import RpcError, Unavailable, UnknownMethod
from zkrpc.idl import built_in
from zkrpc.legible import legible
from zkrpc.telemetry.callers import CallersReport, InstanceCallers, sum_up
from zkrpc.telemetry.status import CallerMethodStatus, CallerStatus
from zkrpc.tls.settings import asking

AT_ONCE = 16
"""Instances that are asked at a time."""
TIMEOUT = 3.0
"""Seconds for all of them together."""
_LEAST = 0.05
"""Seconds that a question needs; with less it is not asked."""

Question = Callable[[Any], Any]
"""Takes a stub of ``zkrpc.Introspection`` and returns what it was told."""


def open_introspection(instance: Instance, timeout: float) -> Any:
    """A stub of an instance's ``zkrpc.Introspection``, to be closed by the caller. Its calls take at most ``timeout``
    seconds and are made once."""
    config = ClientConfig(timeout=timeout, connect_timeout=min(timeout, 1.0), max_attempts=1, patience=0.0)
    if instance.tls and asking() is None:
        raise Unavailable(NEEDS_TLS, endpoint=instance.endpoint)
    client = Client(StaticResolver([instance.endpoint]), config=config, dial=dialler_to(instance))
    return make_stub(built_in("Introspection"), client)


def ask_all(
    instances: Iterable[Instance], question: Question, *, timeout: float = TIMEOUT, at_once: int = AT_ONCE
) -> tuple[dict[str, Any], dict[str, str]]:
    """Puts a question to every instance.

    Returns the answers, and why there is none, both by worker id. It takes ``timeout`` seconds at most.
    """
    ends = time.monotonic() + timeout
    answers: dict[str, Any] = {}
    silent: dict[str, str] = {}

    def ask(instance: Instance) -> None:
        left = ends - time.monotonic()
        if left < _LEAST:
            silent[instance.id] = "there was no time left to ask it"
            return
        try:
            with open_introspection(instance, left) as stub:
                answers[instance.id] = question(stub)
        except UnknownMethod:
            silent[instance.id] = "it does not tell: of an earlier version, or ServerConfig.introspection is off"
        except RpcError as error:
            silent[instance.id] = legible(error, 200)

    pool = Pool(at_once)
    try:
        for instance in instances:
            if "zkrpc" not in instance.protocols:
                silent[instance.id] = "it is not zkrpc's"
            else:
                pool.spawn(ask, instance)
        pool.join()
    finally:
        pool.kill()
    return answers, silent


def ask_callers(service: str, instances: Iterable[Instance], *, timeout: float = TIMEOUT) -> CallersReport:
    """Who calls the service, and what, as its instances have counted it; takes ``timeout`` seconds at most.

    ``report.who_calls(method)`` has the callers of one method, and ``report.silent`` the instances of which it is not
    known.
    """
    answers, silent = ask_all(instances, lambda stub: stub.callers(), timeout=timeout)
    told = [
        InstanceCallers(
            instance=name, started_at=answer.started_at, callers=tuple(_status_of(one) for one in answer.callers)
        )
        for name, answer in answers.items()
    ]
    return sum_up(service, told, silent)


def ask_lists(
    instances: Iterable[Instance], *, timeout: float = TIMEOUT
) -> tuple[dict[str, dict[str, tuple[str, ...]]], dict[str, str]]:
    """The lists of who may call what that the code of each instance has: by worker id, then by the method's name or
    ``"*"``; and why it is not known, by worker id. Takes ``timeout`` seconds at most.
    """
    answers, silent = ask_all(instances, lambda stub: stub.lists(), timeout=timeout)
    told = {
        name: {one.method: tuple(one.patterns) for one in answer if one.source == "code"}
        for name, answer in answers.items()
    }
    return told, silent


def usage_of(instances: Sequence[Instance], methods: Sequence[str]) -> dict[str, dict[str, int]]:
    """How often each caller has called these methods, by method and the caller's name and version.

    A method of which that is not known is left out: nobody is seen to call it, and not every instance has answered.
    """
    report = ask_callers("", instances)
    usage: dict[str, dict[str, int]] = {}
    for method in methods:
        calls: Counter[str] = Counter()
        for one in report.who_calls(method):
            calls[f"{one.name} {one.version}".rstrip()] += sum(
                some.calls for some in one.methods if some.method == method
            )
        if calls or not report.silent:
            usage[method] = dict(calls)
    return usage


def _status_of(told: Any) -> CallerStatus:
    methods = tuple(
        CallerMethodStatus(method=one.method, calls=one.calls, errors=one.errors, called_at=one.called_at)
        for one in told.methods
    )
    return CallerStatus(
        name=told.name,
        version=told.version,
        connections=told.connections,
        max_rate=told.max_rate,
        refused=told.refused,
        calls=sum(one.calls for one in methods),
        errors=sum(one.errors for one in methods),
        called_at=max((one.called_at for one in methods), default=None),
        methods=methods,
    )
