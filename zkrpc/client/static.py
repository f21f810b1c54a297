"""A resolver for a fixed list of endpoints: it knows everything from the start and watches nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import ConfigError

DIALECTS = ("zkrpc", "theader", "framed")
"""What a server at a fixed address may speak: zkrpc's own, THeader, or plain framed Thrift."""


class StaticResolver:
    """The same members for ever.

    Args:
        endpoints: where the instances listen, as ``host:port`` or :class:`~zkrpc.endpoint.Endpoint`.
        dialect: what all of them speak, one of ``DIALECTS``.
        service: a name for error messages; the list itself if not given.

    Raises ConfigError for an unknown dialect, a malformed endpoint, or an empty list.
    """

    def __init__(self, endpoints: Iterable[Endpoint | str], *, dialect: str = "zkrpc", service: str = "") -> None:
        if dialect not in DIALECTS:
            raise ConfigError(f"dialect must be one of {', '.join(DIALECTS)}, got {dialect!r}")
        endpoints = list(endpoints)
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
