"""The protocols of the resolvers that deliver the members of a service, and the resolver of a fixed list.

The registry's is :class:`zkrpc.registry.resolver.ZooKeeperResolver`, which does not import this module. Programs that
have the members from elsewhere write a resolver of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol, runtime_checkable

from zkrpc.config import ServiceConfig
from zkrpc.endpoint import Endpoint, Instance, Primary, Snapshot
from zkrpc.errors import ConfigError

DIALECTS = ("zkrpc", "theader", "framed")
"""What a server at a fixed address may speak: zkrpc's own, THeader, or plain framed Thrift."""


class Resolver(Protocol):
    """A source of the members of one service: ZooKeeper, a file, or a fixed list."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The last known list; None, or one without instances, before there is one."""
        ...

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        """Calls back with every later list, in order, from a greenlet of this hub. The callback must not block.

        Returns a function that ends the subscription.
        """
        ...

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """The list, waiting up to ``timeout`` seconds for the first one. Raises CoordinationError if none came."""
        ...

    def close(self) -> None:
        """Ends the watching."""
        ...


@runtime_checkable
class PrimarySource(Protocol):
    """A resolver that also knows the primaries. With another resolver clients learn them from servers' redirects."""

    def follow_primary(self, group: str, callback: Callable[[Primary | None], None], /) -> Callable[[], object]:
        """Calls back with the group's primary, or None while there is none: now if it is known, and at every change,
        from a greenlet of this hub. The callback must not block. Epochs only grow.

        Returns a function that ends it. Raises ConfigError for what cannot be a group's name.
        """
        ...


@runtime_checkable
class ConfigSource(Protocol):
    """A resolver that also knows the service's config. With another resolver only the IDL and client code set
    values."""

    def follow_config(self, callback: Callable[[ServiceConfig], None], /) -> Callable[[], object]:
        """Calls back with the service's config: now if it is known, and at every change, from a greenlet of this hub.
        The callback must not block. A config that cannot be used is never told; the empty one, where there is none.

        Returns a function that ends it.
        """
        ...


class StaticResolver:
    """The same members for ever: it knows everything from the start and watches nothing.

    Args:
        endpoints: where the instances listen, as ``host:port`` or :class:`~zkrpc.endpoint.Endpoint`.
        dialect: what all of them speak, one of ``DIALECTS``.
        service: a name for error messages; the list itself if not given.

    Raises ConfigError for an unknown dialect, a malformed endpoint, or an empty list.
    """

    def __init__(self, endpoints: Iterable[Endpoint | str], *, dialect: str = "zkrpc", service: str = "") -> None:
        if dialect not in DIALECTS:
            raise ConfigError(f"dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}")
        try:
            endpoints = list(endpoints)
        except TypeError:
            raise ConfigError(
                f"the target must be a service's name or a list of endpoints such as ['127.0.0.1:9090'], "
                f"got {endpoints!r}"
            ) from None
        wrong = [one for one in endpoints if not isinstance(one, (Endpoint, str))]
        if wrong:
            raise ConfigError(f"a fixed list has endpoints such as '127.0.0.1:9090', not {wrong[0]!r}")
        listed = [one if isinstance(one, Endpoint) else Endpoint.parse(one) for one in endpoints]
        if not listed:
            raise ConfigError("a fixed list of endpoints must not be empty; give at least one, as in 127.0.0.1:9090")
        self._snapshot = Snapshot(
            service=service or ",".join(map(str, dict.fromkeys(listed))),
            instances=tuple(
                Instance(id=str(endpoint), endpoint=endpoint, protocols=(dialect,))
                for endpoint in dict.fromkeys(listed)
            ),
        )

    @property
    def snapshot(self) -> Snapshot:
        """The list."""
        return self._snapshot

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        """Nothing will ever change, so nothing is kept."""
        return lambda: None

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """The list, at once."""
        return self._snapshot

    def close(self) -> None:
        """Nothing to free."""

    def __repr__(self) -> str:
        """The list."""
        return f"<StaticResolver {self._snapshot.service}>"
