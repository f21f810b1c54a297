"""A client of one service: knows the members through a resolver, and makes calls to them.

A client does not know an interface: each call comes with its method, and a stub makes that look like an object.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Iterable, Mapping
from types import MappingProxyType
from typing import Any

from zkrpc.belonging import Home, keep, refuse_event_loop, release
from zkrpc.call import Call, Interceptor, Proceed, ServerCall
from zkrpc.callables import require_interceptors
from zkrpc.client.channel import Channel
from zkrpc.client.connection import Connection
from zkrpc.client.explanation import Explanation
from zkrpc.client.hedging import Hedge
from zkrpc.client.invoking import DEFAULT_OPTIONS, CallOptions, Invoking, PureInvoking
from zkrpc.client.naming import PLAIN, Naming
from zkrpc.client.observing import CallObserver, observer_of
from zkrpc.client.policy import PolicyTable
from zkrpc.client.primary_router import GroupOf, PrimaryRouter
from zkrpc.client.resolver import ConfigSource, PrimarySource, Resolver, TargetSource, check_dialect
from zkrpc.client.secured import Dialler
from zkrpc.client.stack import Plan, build_stack, waiting_first
from zkrpc.config import ClientConfig, MethodConfig, ServiceConfig
from zkrpc.endpoint import DEFAULT_GROUP
from zkrpc.errors import ConfigError, CoordinationError, Unavailable
from zkrpc.forking import leave_behind, root_of_thread
from zkrpc.idl import Method
from zkrpc.telemetry.observer import Observer, Observers, gather
from zkrpc.telemetry.status import ClientStatus, announce, withdraw
from zkrpc.telemetry.tracer import ClientTracing, trace_client
from zkrpc.wire.headers import ATTEMPT

_NO_ARGUMENTS: Mapping[str, Any] = MappingProxyType({})


_FORKED = object()
"""Stands for the hub in a forked child that has made no call yet. It is not None, as the parent of a main greenlet is
None."""


class Client(Invoking):
    """Calls the instances that a resolver names. Belongs to the hub of the thread that made it.

    In a forked child it is set up again by its first call, in the thread that makes that call.

    Args:
        resolver: delivers the members, and maybe the primaries and the service config. It is not closed with the
            client, as others may share it. If it is a function, that is called for it, once here and once in each
            forked child.
        config: timeouts, attempts and limits.
        interceptors: run around every call, the first one outermost; they run once for a call, not for each attempt.
        group_of: for a service with several groups: returns the group of a call. It is called with the method's name
            and an object that has the arguments as attributes, for methods that only a primary serves.
        observers: receive the events of calls, attempts, members and connections.
        dialect: what members speak whose records do not say, a name of :mod:`zkrpc.client.resolver`; None if that is
            to be found out.
        naming: what methods are called there; by default their own names.
        on_close: called at the end of ``close``, once.
        rng: gives floats in [0, 1), for picks and pauses.
        dial: opens connections.
    """

    def __init__(
        self,
        resolver: Resolver | Callable[[], Resolver],
        *,
        config: ClientConfig | None = None,
        interceptors: Iterable[Interceptor[Call]] = (),
        group_of: GroupOf | None = None,
        observers: Iterable[Observer] = (),
        dialect: str | None = None,
        naming: Naming = PLAIN,
        on_close: Callable[[], object] | None = None,
        rng: Callable[[], float] = random.random,
        dial: Dialler = Connection.dial,
    ) -> None:
        if config is not None and not isinstance(config, ClientConfig):
            raise ConfigError(f"config must be a zkrpc.ClientConfig, got {config!r}")
        if group_of is not None and not callable(group_of):
            raise ConfigError(f"group_of must be a function of a method's name and its arguments, got {group_of!r}")
        self.config = config or ClientConfig()
        self._find_resolver: Callable[[], Resolver] = resolver if callable(resolver) else lambda: resolver
        self._clock, self._on_close = time.monotonic, on_close
        self._observers = gather(observers)
        self._observer = self._observer_of(self._observers)
        self._interceptors, self._group_of = require_interceptors(interceptors), group_of
        self._dialect, self._naming = None if dialect is None else check_dialect(dialect), naming
        self._rng, self._dial, self._expects_primary = rng, dial, False
        self._open()

    def _open(self) -> None:
        """Sets the client up for the current thread and process."""
        self._home = Home(
            "a stub",
            in_child="connect again, in the child",
            in_thread="connect by zkrpc.threads.connect(), whose stubs all threads share, or by zkrpc.aio.connect()",
        )
        self._hub: Any = self._home.hub
        self._root: Any = root_of_thread()
        self._resolver = resolver = self._find_resolver()
        # Asked for with every event; to find out takes as long as a tenth of a call.
        self._target = resolver.target if isinstance(resolver, TargetSource) else ""
        client_id = self.config.client_id or f"{os.getpid()}-{self._rng()}"
        self._channel = Channel(
            self.config,
            rng=self._rng,
            clock=self._clock,
            dial=self._dial,
            client_id=client_id,
            observers=self._observers,
            target=self._target,
            dialect=self._dialect,
            naming=self._naming,
        )
        self._budget = self._channel.budget
        keep(self, self._home.hub)
        source = resolver if isinstance(resolver, PrimarySource) else None
        self._router = PrimaryRouter(self._channel, source, self._group_of)
        self._policies = PolicyTable(self.config)
        self._tracing: ClientTracing | None = trace_client(self._target)
        self._plans: dict[Method, Plan] = {}
        self._former_hedges: dict[Method, Hedge] = {}
        self._learnt = self._router.learnt
        self._has_groups = self._group_of is not None
        self._has_members = False
        self._unsubscribe = resolver.subscribe(self._channel.receive_snapshot)
        self._unfollow: Callable[[], object] = _nothing
        if isinstance(resolver, ConfigSource):
            self._unfollow = resolver.follow_config(self._receive_service_config)
        if self._expects_primary:
            self.expect_primary()
        announce(self)

    def __repr__(self) -> str:
        """The channel."""
        return f"<Client {self._channel!r}>"

    def __enter__(self) -> Client:
        """The client itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Closes the client."""
        self.close()

    @property
    def closed(self) -> bool:
        """True once ``close`` was called."""
        return self._channel.closed and self._hub is not _FORKED

    def expect_primary(self) -> None:
        """Begins to follow the primary before the first call, if the service has one group only and the registry knows
        primaries."""
        self._expects_primary = True
        if not self._has_groups:
            self._router.follow(DEFAULT_GROUP)

    def explain(self, methods: Iterable[Method], options: CallOptions = DEFAULT_OPTIONS) -> Explanation:
        """The values in effect for calls of these methods with these options, with their sources, and the instances
        that this client picks now; for people."""
        self._come_home()
        said = MethodConfig(timeout=options.timeout, idempotent=options.idempotent)
        explained = {method.name: self._policies.explain(method, said) for method in methods}
        snapshot = self._resolver.snapshot
        if snapshot is not None and not self._has_members:  # before the first call
            self._channel.receive_snapshot(snapshot)
        service = "" if snapshot is None else snapshot.service
        client = self._policies.client.settings
        return Explanation(service, explained, self._channel.explain(time.time()), client=client)

    def status(self) -> ClientStatus:
        """The state of the client and its members at this moment."""
        self._come_home()
        return self._channel.status()

    def close(self) -> None:
        """Ends all connections and background work. Calls in flight raise; later ones raise Unavailable."""
        if self.closed:
            return
        withdraw(self)
        if self._hub is _FORKED:  # in a forked child that made no call
            self._hub = self._home.hub
            self._channel.abandon_all()  # closed, and no longer the parent's
        else:
            self._home.require()
            self._unsubscribe()
            self._unfollow()
            self._router.close()
            self._channel.close()
        try:
            if self._on_close is not None:
                self._on_close()
        finally:
            release(self)

    # -- threads, forks, and the end of the program

    def forked(self) -> None:
        """In a forked child: closes what is shared with the parent. The next call opens the child's own connections."""
        self._channel.abandon_all(forked=True)
        leave_behind(self._channel, self._router, self._resolver, self._unsubscribe, self._unfollow)
        self._hub, self._root = _FORKED, None

    def cut(self) -> None:
        """At the end of the interpreter: closes the descriptors only."""
        self._channel.abandon_all()

    _invoke = PureInvoking.invoke
    """For what the compiled ``invoke`` does not take."""

    def _lead(self, call: Call) -> None:
        self._router.lead(call)

    def _come_home(self) -> None:
        """Checks that calls may be made in this process and thread, and sets the client up again after a fork. Called
        for each call of a greenlet that is neither the thread's first, unless that runs an event loop, nor started by
        the hub."""
        if not self.closed:
            refuse_event_loop()
            (self._open if self._hub is _FORKED else self._home.require)()

    def _inherit(self, call: Call, serving: ServerCall) -> None:
        """A call made by a handler must not outlive the call being served, and is not retried if that one is itself a
        repetition."""
        if serving.deadline is not None:
            call.deadline = min(call.deadline, serving.deadline)
        call.repeated = ATTEMPT in serving.headers

    def _make_plan(self, method: Method) -> Plan:
        plan = self._plans[method] = Plan(method, self._policies)
        former = self._former_hedges.pop(method, None)
        if plan.hedge is not None and former is not None:
            plan.hedge.inherit(former)
        observer, tracing = self._observer, self._tracing
        stacks = [(observer, self._build_stack(method, plan, observer))]
        if tracing is not None:
            # What observers note of a traced call, they note within its span, and when it ends.
            told = self._observer_of(Observers(self._observers, records=False))
            stacks.append((told, self._build_stack(method, plan, told, tracing)))
        plan.proceed = self._choose(*(stack for _, stack in stacks))
        plan.first = self._choose(*(waiting_first(self._await_members, stack, told) for told, stack in stacks))
        return plan

    def _choose(self, plain: Proceed[Call], traced: Proceed[Call] | None = None) -> Proceed[Call]:
        """What makes each call in one of these ways."""
        tracing = self._tracing
        if tracing is None or traced is None:
            return plain
        # Around all else: what observers do at the end of a call, they do within its span.
        return tracing.choose(plain, traced)

    def _build_stack(
        self, method: Method, plan: Plan, observer: CallObserver | None, tracing: ClientTracing | None = None
    ) -> Proceed[Call]:
        return build_stack(
            self._channel,
            self._router,
            self._interceptors,
            hedges=plan.hedge is not None,
            observer=observer,
            recording=None if observer is None else observer.recording_of(method),
            tracing=tracing,
        )

    def _receive_service_config(self, service: ServiceConfig) -> None:
        self._policies.receive_service_config(service)
        # The latencies of a method's hedge are kept over a change of the config, whether or not it is called in
        # between.
        self._former_hedges.update((method, plan.hedge) for method, plan in self._plans.items() if plan.hedge)
        self._plans.clear()
        self._channel.receive_policy(self._policies.client)

    def _observer_of(self, observers: Observers) -> CallObserver | None:
        return observer_of(observers, self._find_service, self._clock, lambda: self._target)

    def _find_service(self) -> str:
        """The service's name; empty while there is no snapshot."""
        snapshot = self._resolver.snapshot
        return "" if snapshot is None else snapshot.service

    def _await_members(self, call: Call) -> None:
        """Waits for the first list of members, once per client."""
        resolver = self._resolver
        if self.closed:
            raise Unavailable("the client is closed; make a new one")
        try:
            snapshot = resolver.wait_ready(max(0.0, call.deadline.remaining(self._clock())))
        except CoordinationError as error:
            raise Unavailable(f"the instances of the service are not known yet: {error}") from error
        self._has_members = True
        self._channel.receive_snapshot(resolver.snapshot or snapshot)


def _nothing() -> None:
    """Does nothing: stands for ``_unfollow`` with a resolver that follows no config."""
