"""The composition root: builds servers and clients out of their parts, and says in which order those start and stop.

It is the only module that knows the call path and the registry together. It passes every part on explicitly, so that
one can read here from top to bottom what depends on what. It does nothing else.
"""

from __future__ import annotations

import dataclasses
import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from types import MappingProxyType, TracebackType
from typing import Any

from zkrpc.admin.door import Admin
from zkrpc.call import Call, Interceptor
from zkrpc.client.client import Client
from zkrpc.client.inquiry import usage_of
from zkrpc.client.naming import Naming
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.resolver import DIALECTS, ZKRPC, StaticResolver
from zkrpc.client.secured import dialler_of
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.coordination import Enrollment, Registry, open_registry
from zkrpc.election.elections import Elections
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import ClientT
from zkrpc.idl.served import services_of
from zkrpc.registry.advertising import advertised_door, choose_endpoint
from zkrpc.registry.foreign import trees_to_join
from zkrpc.registry.formats import LAUNCH, PID, SESSION_TIMEOUT
from zkrpc.registry.gate import pass_gate
from zkrpc.server.health import Presence
from zkrpc.server.health_check import HealthCheck, await_readiness, make_check
from zkrpc.server.lifecycle import LifecycleState, Step
from zkrpc.server.server import Server
from zkrpc.server.stopping import welcome_peers
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer, Observers, gather
from zkrpc.telemetry.status import AppStatus, announce, withdraw
from zkrpc.tls.settings import ClientTls

_CONFIG_PATIENCE = 1.0
"""Seconds that a start waits for the service's config, which ZooKeeper tells in milliseconds; after them it goes on
without, as ZooKeeper being away stops nothing."""


class App:
    """A service being served by this process; made by :func:`serve`, out of parts that are bound and registered."""

    def __init__(self, service: Service, server: Server, enrollment: Enrollment, admin: Admin | None = None) -> None:
        self.service = service
        self.admin = admin
        """The admin door that shows it; None if there is none."""
        self.server = server
        server.describe = self.status
        self.elections = enrollment.elections
        """The elections that this instance takes part in."""
        self._enrollment = enrollment
        self.registry = enrollment.registry
        self.registrar = enrollment.registrar
        self.publisher = enrollment.publisher
        announce(self)

    def __repr__(self) -> str:
        """The service's name and the server's state."""
        return f"<App {self.service.name!r} {self.server!r}>"

    def __enter__(self) -> App:
        """The app itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Drains; after an exception it kills. Does nothing in a forked child, where the app is the parent's."""
        if not self.server.home.in_process:
            return
        if kind is None:
            self.stop()
        else:
            self.kill()

    @property
    def endpoint(self) -> Endpoint:
        """The address at which it listens."""
        assert self.server.endpoint is not None
        return self.server.endpoint

    @property
    def is_serving(self) -> bool:
        """True from the start until a stop begins."""
        return self.server.state is LifecycleState.SERVING

    def status(self) -> AppStatus:
        """How everything that is served here stands at this moment."""
        return AppStatus(
            service=self.service.name,
            health=self.server.health.status(),
            server=self.server.status(),
            session=None if self.registry is None else self.registry.status(),
            registration=None if self.registrar is None else self.registrar.status(),
            publication=None if self.publisher is None else self.publisher.status(),
            elections=self.elections.status(),
            joined=self._enrollment.joined(),
        )

    def begin_stop(self) -> None:
        """Starts to drain and returns at once."""
        self.server.begin_stop()

    def stop(self) -> None:
        """Drains: leaves the registry, lets calls finish, closes everything. Bounded by the service's config."""
        self.server.stop()

    def kill(self) -> None:
        """Stops without waiting for calls."""
        self.server.kill()

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Waits for the end of a stop that was begun elsewhere."""
        return self.server.wait_stopped(timeout)


def serve(
    service: Service,
    *,
    zookeeper: str | Registry | None = None,
    bind: str = "127.0.0.1:0",
    listener: int | None = None,
    advertise: str | None = None,
    worker_id: str | None = None,
    launch_id: str | None = None,
    zone: str = "",
    weight: float = 1.0,
    join: Iterable[str] = (),
    allow_breaking: bool = False,
    observers: Iterable[Observer] = (),
    admin: str | Admin | None = None,
) -> App:
    """Serves in this process and returns at once, registered or about to be.

    Args:
        service: what to serve.
        zookeeper: connect string or a shared Registry; None serves without registering.
        bind: ``host:port``; port 0 takes any free one.
        listener: the descriptor of a socket that is bound to that address already, and that other processes may share.
        advertise: ``host`` or ``host:port`` that clients shall use; by default the bound address, or for a wildcard
            address the one this host uses towards ZooKeeper. A loopback address is warned about, unless ZooKeeper is on
            this host as well.
        worker_id: the instance's name in the registry, unique in the service.
        launch_id: proves that a node of the same worker id from an earlier session belongs to this launch; the
            supervisor sets it.
        zone, weight: published for clients' balancing.
        join: trees of other libraries to be found in as well, such as ``serverset:/aurora/role/prod/job`` or
            ``curator:/discovery/users`` (``docs/registries.md``).
        allow_breaking: serves an IDL that breaks callers of what is served now, instead of refusing to.
        observers: told what the service's own observers are told, see :class:`zkrpc.Service`.
        admin: a :class:`zkrpc.Admin`, or the ``host:port`` of one on loopback, which ends with the app: probes,
            metrics and states over HTTP. It is registered beside the instance, if who finds that can reach it.

    Raises ConfigError for bad settings, a port that is taken, a service that does not become ready, an IDL that breaks
    running callers (:mod:`zkrpc.registry.gate`), or a ZooKeeper that refuses our credentials.
    """
    trees = trees_to_join(join, registered=zookeeper is not None)
    ends: list[Callable[[], object]] = []
    if isinstance(admin, str):
        ends.append((admin := Admin(admin, serves=True)).close)
    server: Server | None = None
    try:
        handler = service.make_handler()
        everybody = gather((*service.observers, *observers))
        elections = Elections(service.served, handler, service.groups, service.election, everybody)
        enrollment = Enrollment(service.name, elections, trees=trees)
        check = _make_check(service, handler, enrollment)
        server = _make_server(service, handler, enrollment, check, everybody, ends)
        registry = enrollment.open(zookeeper)
        if registry is not None:
            pass_gate(registry.session, service.name, service.served, allow=allow_breaking, callers=usage_of)
            _heed_config(server, enrollment)
        bound = server.bind(Endpoint.parse(bind), listener)
        await_readiness(service.name, service.is_ready, check, service.ready_timeout, time.monotonic)
        if registry is None:
            server.start()
        else:
            launch_id = launch_id or secrets.token_hex(8)
            endpoint = choose_endpoint(bound, advertise, registry.hosts)
            instance = dataclasses.replace(
                _describe(service, registry, endpoint, elections.methods, launch_id),
                id=worker_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
                weight=weight,
                zone=zone,
                admin=None if admin is None else advertised_door(admin.endpoint, endpoint.host),
            )
            # Nothing waits from here on: a signal finds us without calls, or with an app that can be stopped.
            enrollment.publish(service.served)
            welcome = functools.partial(welcome_peers, server)
            enrollment.register(instance, launch_id, service.election.hand_over_timeout, welcome)
            server.start()
            enrollment.stand(instance)
        if check is not None:
            check.start()
    except BaseException:
        _give_up(server, ends)
        raise
    app = App(service, server, enrollment, admin)
    ends.append(functools.partial(withdraw, app))
    return app


def _give_up(server: Server | None, ends: Sequence[Callable[[], object]]) -> None:
    """Ends what a start has come to."""
    if server is not None:
        server.kill()
    for end in ends:
        end()


def _describe(
    service: Service, registry: Registry, endpoint: Endpoint, primary_only: tuple[str, ...], launch_id: str
) -> Instance:
    """What this process says of the service in the registry; its id is the caller's to choose."""
    return Instance(
        id="",
        endpoint=endpoint,
        protocols=DIALECTS,
        tls=service.config.tls is not None,
        started_at=time.time(),
        version=service.version,
        idl_digest=service.interface.digest,
        interface=service.interface.name,
        services=services_of(service.served),
        also=MappingProxyType({one.name: one.digest for one in service.served.parts[1:]}),
        primary_only=primary_only,
        metadata=_metadata(service, registry, launch_id),
    )


def _make_check(service: Service, handler: object, enrollment: Enrollment) -> HealthCheck | None:
    hook = service.health_hook(handler)
    return make_check(service.name, hook, service.config, enrollment.receive_unready, time.monotonic)


def _make_server(
    service: Service,
    handler: object,
    enrollment: Enrollment,
    check: HealthCheck | None,
    observers: Observers,
    ends: Sequence[Callable[[], object]],
) -> Server:
    """A server that ends the enrollment at the steps of its stop that are not its own, and knows what it takes to be
    ready. ``ends`` are called when it has stopped, in their order."""
    ends_check: dict[Step, Callable[[], None]] = {}
    if check is not None:
        ends_check = dict.fromkeys((Step.MARK_NOT_READY, Step.CLOSE_CLIENTS), check.stop)
    server = Server(
        service.served,
        handler,
        name=service.name,
        config=service.config,
        # The elections' are innermost, so that nothing waits between the look at the lease and the handler.
        interceptors=(*service.interceptors, *enrollment.elections.interceptors),
        steps={
            **ends_check,
            Step.HAND_OVER: functools.partial(enrollment.hand_over, service.election.hand_over_timeout),
            Step.WITHDRAW: enrollment.withdraw,
            Step.CLOSE_SESSION: functools.partial(_close, enrollment, ends),
        },
        observers=observers,
        bodies=service.make_bodies(),
        permissions=service.make_permissions(handler),
    )
    server.health.require(functools.partial(_doubt, enrollment, Presence()))
    if check is not None:
        server.health.require(lambda: check.reason or None)
    for group in enrollment.elections.groups:
        server.health.require_to_lead(group, functools.partial(enrollment.elections.doubt, group))
    return server


def _heed_config(server: Server, enrollment: Enrollment) -> None:
    """Has the server do what operators say in the service's config; until that is known, taps show no bodies, and only
    the code and the IDL say who may call. So nobody can call before it is known, if ZooKeeper is there."""
    server.taps.bodies.withhold("the service's config in ZooKeeper is not known yet")
    enrollment.follow_quotas(lambda rates: server.accounts.limit(rates, server.clock()))
    enrollment.follow_config(lambda config: server.accounts.narrow(config.allow))
    enrollment.follow_config(lambda config: server.taps.narrow(config.tap_bodies is not False, config.tap_masked or ()))
    enrollment.await_config(_CONFIG_PATIENCE)


def _close(enrollment: Enrollment, ends: Sequence[Callable[[], object]]) -> None:
    """Closes what is left in ZooKeeper, and then what has shown the stop so far."""
    try:
        enrollment.close()
    finally:
        for end in ends:
            end()


def _doubt(enrollment: Enrollment, presence: Presence) -> str | None:
    """Why callers do not find the instance in the registry; None if they do, or if there is no registry."""
    registry, registrar = enrollment.registry, enrollment.registrar
    if registry is None:
        return None
    status = None if registrar is None else registrar.status()
    return presence.doubt(status, registry.status(), time.monotonic())


def _metadata(service: Service, registry: Registry, launch_id: str) -> dict[str, str]:
    """The metadata of the registration: the service's own, and the session timeout, launch and process, by which others
    judge whether a node is out of date."""
    return {
        **service.metadata,
        SESSION_TIMEOUT: f"{registry.config.session_timeout:g}",
        LAUNCH: launch_id,
        PID: str(os.getpid()),
    }


def connect(
    interface: Interface[ClientT, Any],
    target: str | Sequence[str | Endpoint],
    *,
    zookeeper: str | Registry | None = None,
    config: ClientConfig | None = None,
    tls: ClientTls | None = None,
    dialect: str | None = None,
    multiplexed: bool | str | None = None,
    interceptors: Sequence[Interceptor[Call]] = (),
    group_of: GroupOf | None = None,
    snapshot_dir: str | os.PathLike[str] | None = None,
    observers: Iterable[Observer] = (),
) -> ClientT:
    """A stub whose methods are the interface's, calling live instances of a service.

    Args:
        interface: a service of a loaded IDL.
        target: a service's name in the registry; a tree of another library's there, such as
            ``/aurora/role/prod/job`` or ``curator:/discovery/users`` (``docs/registries.md``); or a list of
            ``host:port``.
        zookeeper: connect string or a shared Registry; needed for a name or a tree.
        config: timeouts, attempts and limits.
        tls: does TLS with every server, by these files; without it, with none.
        dialect: what servers speak, a name of :mod:`zkrpc.client.resolver`: all of those in a list, and those members
            of a registered service whose records do not say, as those of other frameworks do. By default servers in a
            list speak ``zkrpc``, and what such members speak is found out.
        multiplexed: whether methods are called with the interface's name before theirs, as in ``Audit:log``, for
            servers of several services; or the name by which a foreign server knows the service. By default so where
            a member's record says that it serves the interface beside others. Members whose records say that they do
            not serve it are not called, unless this is False: then plain names are used, whoever serves what.
        interceptors: run around every call, the first one outermost.
        group_of: for a service with several groups of primaries: returns the group of a call, given the method's name
            and an object with the arguments as attributes. Without it the client learns the group from a server, which
            costs one more redirect.
        snapshot_dir: folder that keeps the last known members, for starting while ZooKeeper is down.
        observers: told of calls, attempts, members and connections.

    A type checker knows its methods if the interface was imported from a module that has a stub (``zkrpc stubs``). The
    stub is a context manager; ``close()`` ends its connections. Calls raise the exceptions the IDL declares and
    :class:`~zkrpc.errors.CallError`. Raises ConfigError if the arguments do not go together.
    """
    if not isinstance(interface, Interface):
        raise ConfigError(f"connect wants a service of a loaded IDL, as in zkrpc.load(...).Users; got {interface!r}")
    options: dict[str, Any] = {"config": config, "interceptors": interceptors, "group_of": group_of}
    options |= {"observers": observers, "dial": dialler_of(tls, observers, target if isinstance(target, str) else "")}
    options["naming"] = Naming(interface.name, multiplexed)
    if not isinstance(target, str):
        static = StaticResolver(target, dialect=ZKRPC if dialect is None else dialect)
        return make_stub(interface, Client(static, **options))
    if zookeeper is None:
        raise ConfigError(
            f"connect(..., {target!r}) finds a service by its name, which needs zookeeper='host:port'; "
            "for a fixed address give a list: ['host:port']"
        )
    if snapshot_dir is not None and not isinstance(zookeeper, str):
        raise ConfigError("a shared Registry keeps the snapshots of all its clients: Registry(..., snapshot_dir=...)")
    registry, owned = open_registry(zookeeper, snapshot_dir=snapshot_dir, observers=observers)
    assert registry is not None
    try:
        client = Client(
            functools.partial(registry.resolver, target),
            **options,
            dialect=dialect,
            on_close=owned.close if owned else None,
        )
    except BaseException:
        if owned is not None:
            owned.close()
        raise
    return make_stub(interface, client)
