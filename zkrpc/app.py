"""The composition root: builds servers and clients out of their parts, and says in which order those start and stop.

It is the only module that knows the call path and the registry together. It passes every part on explicitly, so that
one can read here from top to bottom what depends on what. It does nothing else.
"""

from __future__ import annotations

import functools
import os
import secrets
import socket
import time
from collections.abc import Callable, Iterable, Sequence
from types import TracebackType
from typing import Any

import gevent

from zkrpc.call import Call, Interceptor
from zkrpc.client.client import Client
from zkrpc.client.primary_router import GroupOf
from zkrpc.client.resolver import StaticResolver
from zkrpc.client.stub import make_stub
from zkrpc.config import ClientConfig
from zkrpc.coordination import Enrollment, Registry, open_registry
from zkrpc.election.elections import Elections
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.registry.advertising import choose_endpoint
from zkrpc.registry.formats import LAUNCH, PID, SESSION_TIMEOUT, dump_curator, dump_serverset
from zkrpc.server.lifecycle import LifecycleState, Step
from zkrpc.server.server import Server
from zkrpc.service import Service
from zkrpc.telemetry.observer import Observer, Observers, gather
from zkrpc.telemetry.status import AppStatus, announce

_FORMATS: dict[str, Callable[[Instance, str], bytes]] = {"serverset": dump_serverset, "curator": dump_curator}
"""Format's name -> function that writes the record of an instance of a service."""


class App:
    """A service being served by this process; made by :func:`serve`, out of parts that are bound and registered."""

    def __init__(self, service: Service, server: Server, enrollment: Enrollment) -> None:
        self.service = service
        self.server = server
        self.elections = enrollment.elections
        """The elections that this instance takes part in."""
        self.registry = enrollment.registry
        self.registrar = enrollment.registrar
        self.publisher = enrollment.publisher

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
    observers: Iterable[Observer] = (),
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
        observers: told what the service's own observers are told, see :class:`zkrpc.Service`.

    Raises ConfigError for bad settings, a port that is taken, or a service that does not become ready.
    """
    if record_format not in _FORMATS:
        raise ConfigError(f"record_format must be one of {', '.join(_FORMATS)}, got {record_format!r}")
    handler = service.make_handler()
    everybody = gather((*service.observers, *observers))
    elections = Elections(service.interface, handler, service.groups, service.election, everybody)
    enrollment = Enrollment(service.name, elections)
    server = _make_server(service, handler, enrollment, everybody)
    try:
        registry = enrollment.open(zookeeper)
        bound = server.bind(Endpoint.parse(bind), listener)
        _await_readiness(service)
        if registry is None:
            server.start()
        else:
            launch_id = launch_id or secrets.token_hex(8)
            instance = Instance(
                id=worker_id or f"{socket.gethostname()}-{os.getpid()}-{secrets.token_hex(3)}",
                endpoint=choose_endpoint(bound, advertise, registry.hosts),
                weight=weight,
                zone=zone,
                protocols=("zkrpc", "theader", "framed"),
                started_at=time.time(),
                version=service.version,
                idl_digest=service.interface.digest,
                interface=service.interface.name,
                primary_only=elections.methods,
                metadata=_metadata(service, registry, launch_id),
            )
            # Nothing waits from here on: a signal finds us without calls, or with an app that can be stopped.
            enrollment.publish(service.interface)
            enrollment.register(instance, _FORMATS[record_format](instance, service.name), launch_id)
            server.start()
            enrollment.stand(instance)
    except BaseException:
        server.kill()
        raise
    app = App(service, server, enrollment)
    announce(app)
    return app


def _make_server(service: Service, handler: object, enrollment: Enrollment, observers: Observers) -> Server:
    """A server that ends the enrollment at the steps of its stop that are not its own."""
    return Server(
        service.interface,
        handler,
        name=service.name,
        config=service.config,
        # The elections' are innermost, so that nothing waits between the look at the lease and the handler.
        interceptors=(*service.interceptors, *enrollment.elections.interceptors),
        steps={
            Step.HAND_OVER: functools.partial(enrollment.hand_over, service.election.hand_over_timeout),
            Step.WITHDRAW: enrollment.withdraw,
            Step.CLOSE_SESSION: enrollment.close,
        },
        observers=observers,
    )


def _await_readiness(service: Service) -> None:
    """Returns when the service says it is ready. Raises ConfigError after its ``ready_timeout``."""
    is_ready, give_up_at = service.is_ready, time.monotonic() + service.ready_timeout
    while is_ready is not None and not is_ready():
        if time.monotonic() >= give_up_at:
            raise ConfigError(f"{service.name} was not ready within {service.ready_timeout} s")
        gevent.sleep(0.1)


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
    interface: Interface,
    target: str | Sequence[str | Endpoint],
    *,
    zookeeper: str | Registry | None = None,
    config: ClientConfig | None = None,
    dialect: str = "zkrpc",
    interceptors: Sequence[Interceptor[Call]] = (),
    group_of: GroupOf | None = None,
    snapshot_dir: str | os.PathLike[str] | None = None,
    observers: Iterable[Observer] = (),
) -> Any:
    """A stub whose methods are the interface's, calling live instances of a service.

    Args:
        interface: a service of a loaded IDL.
        target: a service's name in the registry, or a list of ``host:port``.
        zookeeper: connect string or a shared Registry; needed for a name.
        config: timeouts, attempts and limits.
        dialect: the dialect of a listed ``host:port``: ``zkrpc``, ``theader`` or ``framed``; for a name the registry
            tells it.
        interceptors: run around every call, the first one outermost.
        group_of: for a service with several groups of primaries: returns the group of a call, given the method's name
            and an object with the arguments as attributes. Without it the client learns the group from a server, which
            costs one more redirect.
        snapshot_dir: folder that keeps the last known members, for starting while ZooKeeper is down.
        observers: told of calls, attempts, members and connections.

    The stub is a context manager; ``close()`` ends its connections. Calls raise the exceptions the IDL declares and
    :class:`~zkrpc.errors.CallError`. Raises ConfigError if the arguments do not go together.
    """
    if not isinstance(interface, Interface):
        raise ConfigError(f"connect wants a service of a loaded IDL, as in zkrpc.load(...).Users; got {interface!r}")
    if not isinstance(target, str):
        static = StaticResolver(target, dialect=dialect)
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
            on_close=owned.close if owned else None,
        )
    except BaseException:
        if owned is not None:
            owned.close()
        raise
    return make_stub(interface, client)
