"""Reads overviews of services from ZooKeeper, once or whenever something has changed.

A shell around :mod:`zkrpc.inspection.overview`. Members come from the registry's resolvers, which read a long list only
once; the few other nodes of a service are read each time.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterable, Mapping

from gevent.event import Event

from zkrpc.coordination import Registry
from zkrpc.endpoint import Instance
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.registry.formats import PrimaryRecord, parse_record
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import SERVICES, Paths, check_name


class Survey:
    """Looks at services through one registry. ``changed`` is set whenever what was seen may no longer be so."""

    def __init__(self, registry: Registry, changed: Event | None = None) -> None:
        self._registry = registry
        self._znodes = registry.session.znodes
        self._changed = changed
        self._followed: set[str] = set()

    def __repr__(self) -> str:
        """The registry, and how many services were looked at."""
        return f"<Survey {self._registry!r} services={len(self._followed)}>"

    def services(self) -> tuple[list[str], list[str]]:
        """The names of all services in order, and the other names found beside them, which cannot be a service's."""
        good, strange = [], []
        for name in sorted(self._children(SERVICES)):
            try:
                good.append(check_name("service name", name))
            except ConfigError:
                strange.append(name)
        return good, strange

    def look(self, services: Iterable[str], timeout: float) -> dict[str, ServiceOverview]:
        """The overviews of these services. Raises CoordinationError if their members do not come within ``timeout``
        seconds, or ZooKeeper does not answer."""
        names = list(services)
        for name in names:
            self._follow(name)  # all at once, so that they are read concurrently
        give_up_at = time.monotonic() + timeout
        return {name: self._look_at(name, max(0.0, give_up_at - time.monotonic())) for name in names}

    def _follow(self, service: str) -> None:
        resolver = self._registry.resolver(service)
        if service not in self._followed:
            self._followed.add(service)
            if (changed := self._changed) is not None:
                resolver.subscribe(lambda _: changed.set())

    def _look_at(self, service: str, timeout: float) -> ServiceOverview:
        paths = Paths(service)
        found = self._registry.resolver(service).wait_ready(timeout)
        config = self._znodes.exists(paths.config, self._changed)
        return ServiceOverview(
            service=service,
            instances=found.instances,
            skipped=found.skipped,
            orders=self._orders(paths),
            resting=self._resting(paths),
            primaries=self._primaries(paths),
            config_version=None if config is None else config.version,
        )

    def _orders(self, paths: Paths) -> Mapping[str, OfflineOrder]:
        found = {}
        for name in sorted(self._children(paths.offline)):
            node = self._znodes.get(f"{paths.offline}/{name}")
            if node is not None:
                found[name] = OfflineOrder.parse(node[0], node[1].modified_at)
        return found

    def _resting(self, paths: Paths) -> tuple[Instance, ...]:
        found = []
        for name in sorted(self._children(paths.resting)):
            node = self._znodes.get(f"{paths.resting}/{name}")
            with contextlib.suppress(RemoteProtocolError):
                instance = None if node is None else parse_record(name, node[0])
                found += [] if instance is None else [instance]
        return tuple(found)

    def _primaries(self, paths: Paths) -> Mapping[str, PrimaryRecord | None]:
        found = {}
        for group in sorted(self._children(paths.elections)):
            with contextlib.suppress(ConfigError):  # no group of ours
                path = paths.primary(group)
                # Only exists leaves a watch where there is no primary.
                there = self._znodes.exists(path, self._changed) is not None
                node = self._znodes.get(path) if there else None
                found[group] = None if node is None else PrimaryRecord.parse(node[0])
        return found

    def _children(self, path: str) -> list[str]:
        names = self._znodes.children(path, self._changed)
        if names is None and self._changed is not None and self._znodes.exists(path, self._changed) is not None:
            self._changed.set()  # it has just been created
        return names or []
