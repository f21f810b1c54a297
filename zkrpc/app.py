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
from types import TracebackType
from typing import Any

from zkrpc.admin.door import Admin
from zkrpc.call import Call, Interceptor
from zkrpc.client.client import Client
from zkrpc.client.inquiry import usage_of
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.resolver import USUAL, ZKRPC, StaticResolver
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.coordination import Enrollment, Registry, open_registry
from zkrpc.election.elections import Elections
from zkrpc.endpoint import Endpoint, Instance, is_loopback
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import ClientT
from zkrpc.registry.advertising import choose_endpoint
from zkrpc.registry.formats import LAUNCH, PID, SESSION_TIMEOUT, dump_curator, dump_serverset
from zkrpc.registry.gate import pass_gate
from zkrpc.server.health import Presence
from zkrpc.server.health_check import HealthCheck, await_readiness, make_check
from zkrpc.server.lifecycle import LifecycleState, Step
from zkrpc.server.server import Server
from zkrpc.server.stopping import welcome_peers
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer, Observers, gather
from zkrpc.telemetry.status import AppStatus, announce, withdraw

_FORMATS: dict[str, Callable[[Instance, str], bytes]] = {"serverset": dump_serverset, "curator": dump_curator}
"""Format's name -> function that writes the record of an instance of a service."""


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
    record_format: str = "serverset",
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
        record_format: ``serverset`` (Finagle, Armeria) or ``curator`` (Spring Cloud).
        allow_breaking: serves an IDL that breaks callers of what is served now, instead of refusing to.
        observers: told what the service's own observers are told, see :class:`zkrpc.Service`.
        admin: a :class:`zkrpc.Admin`, or the ``host:port`` of one on loopback, which ends with the app: probes,
            metrics and states over HTTP. It is registered beside the instance, if who finds that can reach it.

    Raises ConfigError for bad settings, a port that is taken, a service that does not become ready, or an IDL that
    breaks running callers (:mod:`zkrpc.registry.gate`).
    """
    if record_format not in _FORMATS:
        raise ConfigError(f"record_format must be one of {', '.join(_FORMATS)}, got {record_format!r}")
    ends: list[Callable[[], object]] = []
    if isinstance(admin, str):
        ends.append((admin := Admin(admin, serves=True)).close)
    server: Server | None = None
    try:
        handler = service.make_handler()
        everybody = gather((*service.observers, *observers))
        elections = Elections(service.interface, handler, service.groups, service.election, everybody)
        enrollment = Enrollment(service.name, elections)
        rotation = _Rotation(service, enrollment, _FORMATS[record_format])
        check = make_check(service.name, service.health_hook(handler), service.config, rotation.receive, time.monotonic)
        server = _make_server(service, handler, enrollment, check, everybody, ends)
        registry = enrollment.open(zookeeper)
        if registry is not None:
            pass_gate(registry.session, service.name, service.interface, allow=allow_breaking, callers=usage_of)
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
                admin=None if admin is None else _advertised(admin.endpoint, endpoint.host),
            )
            # Nothing waits from here on: a signal finds us without calls, or with an app that can be stopped.
            enrollment.publish(service.interface)
            rotation.enter(instance, launch_id, functools.partial(welcome_peers, server))
            server.start()
            _heed_config(server, enrollment)
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
        protocols=("zkrpc", "theader", "framed"),
        started_at=time.time(),
        version=service.version,
        idl_digest=service.interface.digest,
        interface=service.interface.name,
        primary_only=primary_only,
        metadata=_metadata(service, registry, launch_id),
    )


def _advertised(door: Endpoint, host: str) -> Endpoint | None:
    """Where others find an admin door of an instance that they find at ``host``; None for a door on loopback that they
    would look for on their own host."""
    if door.host in ("0.0.0.0", "::"):
        return Endpoint(host, door.port)
    return None if is_loopback(door.host) and not is_loopback(host) else door


class _Rotation:
    """The instance's place among those that callers pick from: it is registered, and prefers others or does not."""

    def __init__(self, service: Service, enrollment: Enrollment, dump: Callable[[Instance, str], bytes]) -> None:
        self._service = service.name
        self._hand_over_timeout = service.election.hand_over_timeout
        self._enrollment = enrollment
        self._dump = dump
        self._instance: Instance | None = None

    def enter(self, instance: Instance, launch_id: str, welcome: Callable[[bool], None]) -> None:
        """Registers it; ``welcome`` is told whether peers are wanted, when an operator's order changes that."""
        self._instance = instance
        self._enrollment.register(
            instance,
            self._dump(instance, self._service),
            launch_id,
            hand_over_timeout=self._hand_over_timeout,
            welcome=welcome,
        )

    def receive(self, unready: str) -> None:
        """It is not ready any more, or with "" it is again: says so in the registry, and hands over what it leads."""
        if self._instance is not None:
            self._enrollment.revise(self._dump(dataclasses.replace(self._instance, unready=unready), self._service))
        if unready:
            self._enrollment.elections.step_down()


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
        service.interface,
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
    )
    server.health.require(functools.partial(_doubt, enrollment, Presence()))
    if check is not None:
        server.health.require(lambda: check.reason or None)
    for group in enrollment.elections.groups:
        server.health.require_to_lead(group, functools.partial(enrollment.elections.doubt, group))
    return server


def _heed_config(server: Server, enrollment: Enrollment) -> None:
    """Has the server do what operators say in the service's config; until that is known, taps show no bodies."""
    server.taps.bodies.withhold("the service's config in ZooKeeper is not known yet")
    enrollment.follow_quotas(lambda rates: server.accounts.limit(rates, server.clock()))
    enrollment.follow_config(lambda config: server.taps.narrow(config.tap_bodies is not False, config.tap_masked or ()))


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
    dialect: str | None = None,
    interceptors: Sequence[Interceptor[Call]] = (),
    group_of: GroupOf | None = None,
    snapshot_dir: str | os.PathLike[str] | None = None,
    observers: Iterable[Observer] = (),
) -> ClientT:
    """A stub whose methods are the interface's, calling live instances of a service.

    Args:
        interface: a service of a loaded IDL.
        target: a service's name in the registry, or a list of ``host:port``.
        zookeeper: connect string or a shared Registry; needed for a name.
        config: timeouts, attempts and limits.
        dialect: what servers speak, a name of :mod:`zkrpc.client.resolver`: all of those in a list, and those members
            of a registered service whose records do not say, as those of other frameworks do. By default servers in a
            list speak ``zkrpc``, and such members ``framed``.
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
    if not isinstance(target, str):
        static = StaticResolver(target, dialect=ZKRPC if dialect is None else dialect)
        return make_stub(
            interface, Client(static, config=config, interceptors=interceptors, group_of=group_of, observers=observers)
        )
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
            config=config,
            interceptors=interceptors,
            group_of=group_of,
            observers=observers,
            dialect=USUAL if dialect is None else dialect,
            on_close=owned.close if owned else None,
        )
    except BaseException:
        if owned is not None:
            owned.close()
        raise
    return make_stub(interface, client)
