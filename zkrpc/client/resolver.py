"""The protocols of the resolvers that deliver the members of a service, the resolver of a fixed list, and the names of
what members speak.

The registry's resolver is :class:`zkrpc.registry.resolver.ZooKeeperResolver`, which does not import this module.
Programs with another source of members write a resolver of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from types import MappingProxyType
from typing import Protocol, runtime_checkable

from zkrpc.config import ServiceConfig
from zkrpc.endpoint import Endpoint, Instance, Primary, Snapshot
from zkrpc.errors import ConfigError
from zkrpc.wire.message import Dialect

ZKRPC = "zkrpc"
"""THeader with binary inside, and control messages."""
NAMED = MappingProxyType(
    {
        ZKRPC: Dialect.HEADER_BINARY,
        "theader": Dialect.HEADER_BINARY,
        "theader-compact": Dialect.HEADER_COMPACT,
        "theader-zlib": Dialect.HEADER_BINARY_ZLIB,
        "theader-compact-zlib": Dialect.HEADER_COMPACT_ZLIB,
        "framed": Dialect.FRAMED_BINARY,
        "framed-compact": Dialect.FRAMED_COMPACT,
        "framed-old": Dialect.FRAMED_OLD_BINARY,
        "binary": Dialect.BINARY,
        "compact": Dialect.COMPACT,
        "binary-old": Dialect.OLD_BINARY,
    }
)
"""``-old`` is binary without a version, ``-zlib`` deflated; what is neither framed nor THeader comes without frames."""
DIALECTS = tuple(NAMED)
"""The names, what a client likes best first."""
USUAL = "framed"
"""What a server is taken to speak that does not let it be found out."""
SEARCHED = (USUAL, "binary", "framed-compact", "compact", "theader")
"""What is tried, in this order, with a server of which nothing is known."""


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
        """Stops following the members."""
        ...


@runtime_checkable
class PrimarySource(Protocol):
    """A resolver that also knows the primaries. With another resolver clients learn them from servers' redirects."""

    def follow_primary(self, group: str, callback: Callable[[Primary | None], None], /) -> Callable[[], object]:
        """Calls back with the group's primary, or None while there is none: now if it is known, and at every change,
        from a greenlet of this hub. The callback must not block. Epochs only grow.

        Returns a function that ends the following. Raises ConfigError for a name that no group can have.
        """
        ...


@runtime_checkable
class ConfigSource(Protocol):
    """A resolver that also knows the service's config. With another resolver only the IDL and client code set
    values."""

    def follow_config(self, callback: Callable[[ServiceConfig], None], /) -> Callable[[], object]:
        """Calls back with the service's config: now if it is known, and at every change, from a greenlet of this hub.
        The callback must not block. A config that cannot be used is never passed on; if there is no config, the empty
        one is.

        Returns a function that ends the following.
        """
        ...


@runtime_checkable
class TargetSource(Protocol):
    """A resolver that can say where it looks for the members. Metrics and traces name the service by it."""

    @property
    def target(self) -> str:
        """The source and the service, as OpenTelemetry writes it: ``zookeeper://hosts/service``; or the addresses."""
        ...


class StaticResolver:
    """A resolver whose members never change.

    Args:
        endpoints: the instances' addresses, as ``host:port`` or :class:`~zkrpc.endpoint.Endpoint`.
        dialect: what all of them speak, a name of :mod:`zkrpc.client.resolver`; None if that is to be found out.
        service: a name for error messages; the list itself if not given.

    Raises ConfigError for an unknown dialect, a malformed endpoint, or an empty list.
    """

    def __init__(self, endpoints: Iterable[Endpoint | str], *, dialect: str | None = ZKRPC, service: str = "") -> None:
        protocols = () if dialect is None else (check_dialect(dialect),)
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
                Instance(id=str(endpoint), endpoint=endpoint, protocols=protocols) for endpoint in dict.fromkeys(listed)
            ),
        )

    @property
    def target(self) -> str:
        """The list, with commas between."""
        return ",".join(str(one.endpoint) for one in self._snapshot.instances)

    @property
    def snapshot(self) -> Snapshot:
        """The list."""
        return self._snapshot

    def subscribe(self, callback: Callable[[Snapshot], None], /) -> Callable[[], object]:
        """Does nothing, as the list never changes."""
        return lambda: None

    def wait_ready(self, timeout: float, /) -> Snapshot:
        """The list, at once."""
        return self._snapshot

    def close(self) -> None:
        """Nothing to free."""

    def __repr__(self) -> str:
        """The list."""
        return f"<StaticResolver {self._snapshot.service}>"


def check_dialect(name: object) -> str:
    """The name of a dialect. Raises ConfigError for any other value."""
    if not isinstance(name, str) or name not in NAMED:
        raise ConfigError(f"dialect must be one of {', '.join(DIALECTS)}, got {name!r}")
    return name


def name_of(dialect: Dialect, *, zkrpc: bool = False) -> str:
    """What a dialect is called here."""
    return ZKRPC if zkrpc else next(name for name, one in NAMED.items() if one is dialect and name != ZKRPC)


def choose(spoken: Collection[str], otherwise: str | None = None) -> str | None:
    """What to speak with a server whose record names these; ``otherwise`` if none of them is known here, as in the
    records of other frameworks, which say nothing. None if that is to be found out."""
    return next((name for name in DIALECTS if name in spoken), otherwise)
