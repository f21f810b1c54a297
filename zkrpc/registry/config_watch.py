"""Follows the config of one service, and passes each change to its followers.

There is one :class:`~zkrpc.zookeeper.node_watch.NodeWatch` of the config's node while there is a follower. Calls do not
wait for it: until the config is known, the IDL and the built-in defaults apply.

===================  ============================================
the node             is passed to followers as
===================  ============================================
holds a good config  this config, if it differs from the last one
holds a bad one      nothing; the reason is logged once
does not exist       the empty config
cannot be read       nothing, while ZooKeeper cannot be reached
===================  ============================================
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.config import RegistryConfig, ServiceConfig
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import parse_service_config
from zkrpc.zookeeper.node_watch import NodeWatch
from zkrpc.zookeeper.session import Session

Callback = Callable[[ServiceConfig], None]


class ConfigWatch:
    """The config of one service: one watch for all followers."""

    def __init__(
        self, session: Session, service: str, config: RegistryConfig = RegistryConfig(), *, rng: Callable[[], float]
    ) -> None:
        """``config.max_record`` bounds what is parsed; ``rng`` gives floats in [0, 1)."""
        self._session = session
        self._paths = Paths(service)
        self._config = config
        self._rng = rng
        self._watch: NodeWatch[ServiceConfig] | None = None
        self._closed = False

    def __repr__(self) -> str:
        """The service, and its config if it is known."""
        told = "not followed" if self._watch is None else self._watch.last or "nothing known"
        return f"<ConfigWatch {self._paths.service} {told}>"

    def follow(self, callback: Callback) -> Callable[[], None]:
        """Calls back with the newest good config: now if it is known, and at every change. After ``close`` it does
        nothing.

        A callback must not wait; what it raises is logged. Returns a function that ends the following.
        """
        if self._closed:
            return lambda: None
        watch = self._watch
        if watch is None:
            watch = NodeWatch(
                self._session,
                self._paths.config,
                self._read,
                refresh_interval=self._config.refresh_interval,
                rng=self._rng,
            )
            self._watch = watch
        ticket = watch.add(callback)

        def unfollow() -> None:
            if watch.remove(ticket) and self._watch is watch:
                self._watch = None

        return unfollow

    def wait_looked(self, timeout: float) -> bool:
        """Waits up to ``timeout`` seconds until ZooKeeper has told the config, for those who follow it already; False
        if it has not."""
        return self._watch is not None and self._watch.wait_looked(timeout)

    def close(self) -> None:
        """Ends the watch at once; no follower is called back any more."""
        self._closed = True
        if self._watch is not None:
            self._watch.close()
        self._watch = None

    def _read(self, value: bytes | None) -> ServiceConfig:
        if value is None:
            return ServiceConfig()
        return parse_service_config(value, max_size=self._config.max_record)
