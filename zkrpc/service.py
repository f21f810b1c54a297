"""What is served: an interface or several, their handlers, and all their settings, as a value.

A module of the application makes it when it is imported, and a worker process serves it then; so it opens nothing, and
the handler is made as late as possible.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from types import GenericAlias
from typing import TYPE_CHECKING, Any, Generic

from zkrpc.call import Interceptor, ServerCall
from zkrpc.callables import attribute_of, can_take, name_of, never_run, require_callable, require_interceptors
from zkrpc.config import ElectionConfig, ServerConfig
from zkrpc.errors import ConfigError
from zkrpc.idl import Interface
from zkrpc.idl.model import AioT, ClientT, HandlerT, ThreadsT
from zkrpc.idl.served import ServedInterface
from zkrpc.server.bodies import Bodies
from zkrpc.server.handlers import Handlers
from zkrpc.server.permissions import Allowed, Permissions
from zkrpc.telemetry.observer import Observer, gather

_MISSING = object()


class Service(Generic[ClientT, ThreadsT, AioT]):
    """What is served: an interface, its handler, and the name under which clients find it.

    Args:
        interface: a service of a loaded IDL; or several, in a list, of which the first is the default one: plain names
            of methods are its own, and calls of the others come by multiplexed names (:mod:`zkrpc.idl.served`).
        handler: an object with a method for each of the interface's, or a function or class that makes one; it is
            called in the worker process. Its methods are compared with the interface's before anything is served, and
            take their parameters by the same names in the same order; :mod:`zkrpc.server.signatures` has the rules.
            For several interfaces one such handler that has the methods of all, or a list with one for each.
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
            call the service; none by default. Operators can switch it off, and not on. A method of an interface beside
            the default one is called ``Audit:log`` here and in ``tap_masked``.
        tap_masked: what is masked there, besides what the IDL marks with ``zkrpc.masked``: ``password`` for every field
            and parameter of the name, ``User.email`` for a struct's field, ``login.code`` for a method's parameter,
            ``login.result`` for what it returns.
        allow: the identities that may call, as patterns (:mod:`zkrpc.identity`): a list for all methods, or lists by
            the names of methods, ``"*"`` for all others and ``zkrpc.Introspection`` among them; anybody by default.
            The IDL and operators may only narrow it (:mod:`zkrpc.server.permissions`).
    """

    if not TYPE_CHECKING:
        __class_getitem__ = classmethod(GenericAlias)  # as at run time the types have no defaults, and need not be all

    def __init__(
        self,
        interface: Interface[ClientT, HandlerT, ThreadsT, AioT] | Sequence[Interface],
        handler: HandlerT | Callable[[], HandlerT] | Sequence[Any],
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
        allow: Allowed = (),
    ) -> None:
        parts = _interfaces(interface)
        self.interceptors = require_interceptors(interceptors)
        if is_ready is not None:
            require_callable("is_ready", is_ready)
        if is_healthy is not None:
            require_callable("is_healthy", is_healthy, *(() if can_take(is_healthy, 0) else ("handler",)))
        self.interface: Interface[Any, Any] = parts[0]
        """The default interface."""
        self.name = name or parts[0].name.lower()
        self.served = ServedInterface(parts, self.name)
        """All interfaces as one."""
        self.handler = handler
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
        self.allow = allow
        self.make_permissions(None)

    def __repr__(self) -> str:
        """Name and interface."""
        return f"<Service {self.name!r} {', '.join(one.name for one in self.served.parts)}>"

    def make_bodies(self) -> Bodies:
        """What those who tap a server of it may see. Raises ConfigError for names that stand for nothing."""
        return Bodies(self.served, self.tap_bodies, self.tap_masked)

    def make_permissions(self, handler: object) -> Permissions:
        """Who may call what at a server with this handler. Raises ConfigError for bad patterns, and names that stand
        for nothing."""
        return Permissions(self.served, handler, self.allow)

    def health_hook(self, handler: object) -> Callable[[], object] | None:
        """What to ask whether this handler is healthy; None if the service does not say. With one handler for each of
        several interfaces it is asked of the tuple of them."""
        hook = self.is_healthy
        if isinstance(handler, Handlers):
            handler = handler.given if isinstance(self.handler, (list, tuple)) else handler.given[0]
        return hook if hook is None or can_take(hook, 0) else functools.partial(hook, handler)

    def make_handler(self) -> object:
        """The handler object: the one given, or what the given class or function makes; of several interfaces a
        :class:`~zkrpc.server.handlers.Handlers`.

        Raises ConfigError if that needs arguments, or returns None; its own exceptions are not changed.
        """
        parts = self.served.parts
        if isinstance(self.handler, (list, tuple)):
            made = [_make(one, interface.methods) for one, interface in zip(self.handler, parts, strict=False)]
            return Handlers(self.served, [*made, *self.handler[len(made) :]])
        one = _make(self.handler, [name for interface in parts for name in interface.methods])
        return Handlers(self.served, [one] * len(parts)) if len(parts) > 1 else one


def _interfaces(given: object) -> Sequence[Interface[Any, Any]]:
    listed = given if isinstance(given, (list, tuple)) else (given,)
    parts = [one for one in listed if isinstance(one, Interface)]
    if not parts or len(parts) != len(listed):
        raise ConfigError(f"Service wants a service of a loaded IDL, as in zkrpc.load(...).Users; got {given!r}")
    names = [one.name for one in parts]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ConfigError(f"two of the interfaces are called {twice[0]}, so calls could not tell them apart")
    return parts


def _make(make: Any, methods: Collection[str]) -> object:
    """One handler, for an interface or several with these methods."""
    # An object that can be called and has methods of the interface is a handler, if perhaps not a whole one.
    if not isinstance(make, type) and (
        not callable(make) or any(attribute_of(make, one, _MISSING) is not _MISSING for one in methods)
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
