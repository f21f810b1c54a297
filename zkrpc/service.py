"""What is served: an interface, its handler, and all their settings, as a value.

A module of the application makes it when it is imported, and a worker process serves it then; so it opens nothing, and
the handler is made as late as possible.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Generic

from zkrpc.call import Interceptor, ServerCall
from zkrpc.callables import attribute_of, can_take, name_of, never_run, require_callable, require_interceptors
from zkrpc.config import ElectionConfig, ServerConfig
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import ClientT, HandlerT
from zkrpc.server.bodies import Bodies
from zkrpc.telemetry.observer import Observer, gather

_MISSING = object()


class Service(Generic[ClientT]):
    """What is served: an interface, its handler, and the name under which clients find it.

    Args:
        interface: a service of a loaded IDL.
        handler: an object with a method for each of the interface's, or a function or class that makes one; it is
            called in the worker process. Its methods are compared with the interface's before anything is served, and
            take their parameters by the same names in the same order; :mod:`zkrpc.server.signatures` has the rules.
        name: the name in the registry; the interface's name in lower case if not given.
        config: limits and times of the server.
        interceptors: run around every handler, the first one outermost.
        is_ready: called before the instance registers, every 0.1 s until it returns True.
        is_healthy: whether calls should come here now: called before the instance registers as well, and every
            ``health_interval`` seconds of its config from then on. It takes nothing or the handler, and returns True;
            while it returns anything else, raises or hangs, callers are asked to prefer other instances.
        ready_timeout: seconds after which a service that is not ready gives up.
        version: free text shown to operators.
        metadata: facts published with the registration, text to text.
        groups: the groups of which each elects a primary of its own; by default those that ``primary_only`` names.
        election: limits and times of elections.
        observers: told of the server's life, peers and requests, of its registration and its elections.
        tap_bodies: the names of methods whose arguments and results ``zkrpc tap --bodies`` may show, to whoever can
            call the service; none by default. Operators can switch it off, and not on.
        tap_masked: what is masked there, besides what the IDL marks with ``zkrpc.masked``: ``password`` for every field
            and parameter of the name, ``User.email`` for a struct's field, ``login.code`` for a method's parameter,
            ``login.result`` for what it returns.
    """

    def __init__(
        self,
        interface: Interface[ClientT, HandlerT],
        handler: HandlerT | Callable[[], HandlerT],
        name: str | None = None,
        *,
        config: ServerConfig | None = None,
        interceptors: Sequence[Interceptor[ServerCall]] = (),
        is_ready: Callable[[], bool] | None = None,
        is_healthy: Callable[..., bool] | None = None,
        ready_timeout: float = 60.0,
        version: str = "",
        metadata: Mapping[str, str] | None = None,
        groups: Sequence[str] = (),
        election: ElectionConfig | None = None,
        observers: Iterable[Observer] = (),
        tap_bodies: Collection[str] = (),
        tap_masked: Collection[str] = (),
    ) -> None:
        if not isinstance(interface, Interface):
            raise ConfigError(
                f"Service wants a service of a loaded IDL, as in zkrpc.load(...).Users; got {interface!r}"
            )
        self.interceptors = require_interceptors(interceptors)
        if is_ready is not None:
            require_callable("is_ready", is_ready)
        if is_healthy is not None:
            require_callable("is_healthy", is_healthy, *(() if can_take(is_healthy, 0) else ("handler",)))
        self.interface = interface
        self.handler = handler
        self.name = name or interface.name.lower()
        self.config = config or ServerConfig()
        self.is_ready = is_ready
        self.is_healthy = is_healthy
        self.ready_timeout = ready_timeout
        self.version = version
        self.metadata = dict(metadata or {})
        self.groups = tuple(groups)
        self.election = election or ElectionConfig()
        self.observers = gather(observers)
        self.tap_bodies, self.tap_masked = tap_bodies, tap_masked
        self.make_bodies()

    def __repr__(self) -> str:
        """Name and interface."""
        return f"<Service {self.name!r} {self.interface.name}>"

    def make_bodies(self) -> Bodies:
        """What those who tap a server of it may see. Raises ConfigError for names that stand for nothing."""
        return Bodies(self.interface, self.tap_bodies, self.tap_masked)

    def health_hook(self, handler: object) -> Callable[[], object] | None:
        """What to ask whether this handler is healthy; None if the service does not say."""
        hook = self.is_healthy
        return hook if hook is None or can_take(hook, 0) else functools.partial(hook, handler)

    def make_handler(self) -> object:
        """The handler object: the one given, or what the given class or function makes.

        Raises ConfigError if that needs arguments, or returns None; its own exceptions are not changed.
        """
        make = self.handler
        # An object that can be called and has methods of the interface is a handler, if perhaps not a whole one.
        if not isinstance(make, type) and (
            not callable(make)
            or any(attribute_of(make, one, _MISSING) is not _MISSING for one in self.interface.methods)
        ):
            return make
        name = name_of(make)
        if reason := never_run(make, instead="return the handler"):
            raise ConfigError(f"{name}, which makes the handler,{reason}")
        if not can_take(make, 0):
            raise ConfigError(
                f"the handler {name} wants arguments; give the Service an object, or a function that makes one: "
                f"lambda: {name}(...)"
            )
        made = make()
        if made is None:
            raise ConfigError(f"{name}() made no handler: it returned None")
        return made
