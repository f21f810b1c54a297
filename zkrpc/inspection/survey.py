"""Reads overviews of services from ZooKeeper, once or whenever something has changed.

A shell around :mod:`zkrpc.inspection.overview`. Members come from the registry's resolvers, which read a long list only
once; the few other nodes of a service are read again when one of them, or the list, has changed.
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
from zkrpc.registry.foreign import is_tree
from zkrpc.registry.formats import PrimaryRecord, parse_record
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import SERVICES, Paths, check_name


class _Stale(Event):
    """Set when what was seen of one service may no longer be so; sets the survey's event too."""

    def __init__(self, changed: Event) -> None:
        super().__init__()
        self._changed = changed

    def set(self) -> None:
        """Marks the service, and tells of it."""
        super().set()
        self._changed.set()


class Survey:
    """Looks at services through one registry. ``changed`` is set whenever what was seen may no longer be so."""

    def __init__(self, registry: Registry, changed: Event | None = None) -> None:
        self._registry = registry
        self._znodes = registry.session.znodes
        self._changed = changed
        self._stale: dict[str, _Stale] = {}
        """By service that is followed; empty if nobody wants to hear of changes."""
        self._seen: dict[str, ServiceOverview] = {}
        """Of the services that are followed, what was read last."""

    def __repr__(self) -> str:
        """The registry, and how many services are followed."""
        return f"<Survey {self._registry!r} services={len(self._stale)}>"

    def services(self) -> tuple[list[str], list[str]]:
        """The names of all services in order, and the other names found beside them, which cannot be a service's."""
        good, strange = [], []
        for name in sorted(self._children(SERVICES, self._changed)):
            try:
                good.append(check_name("service name", name))
            except ConfigError:
                strange.append(name)
        return good, strange

    def look(self, services: Iterable[str], timeout: float, *, again: bool = False) -> dict[str, ServiceOverview]:
        """The overviews of these services. Of one of which no change was heard since it was looked at the very same
        overview comes back, unless ``again``. Raises CoordinationError if their members do not come within ``timeout``
        seconds, or ZooKeeper does not answer."""
        names = list(services)
        kept = {} if again else {name: self._seen[name] for name in names if self._is_fresh(name)}
        self._seen = dict(kept)  # what cannot be read now is read the next time
        for name in names:
            if name not in kept:
                self._follow(name)  # all at once, so that they are read concurrently
        give_up_at = time.monotonic() + timeout
        looked = {
            name: kept.get(name) or self._look_at(name, max(0.0, give_up_at - time.monotonic())) for name in names
        }
        self._seen = {name: one for name, one in looked.items() if name in self._stale}
        return looked

    def _is_fresh(self, service: str) -> bool:
        return service in self._seen and not self._stale[service].is_set()

    def _follow(self, service: str) -> None:
        resolver = self._registry.resolver(service)
        if self._changed is not None and service not in self._stale:
            stale = self._stale[service] = _Stale(self._changed)
            resolver.subscribe(lambda _: stale.set())

    def _look_at(self, service: str, timeout: float) -> ServiceOverview:
        stale = self._stale.get(service)
        if stale is not None:
            stale.clear()  # first, so that what changes meanwhile is heard
        found = self._registry.resolver(service).wait_ready(timeout)
        if is_tree(service):
            return ServiceOverview(service=service, instances=found.instances, skipped=found.skipped)
        paths = Paths(service)
        config = self._znodes.exists(paths.config, stale)
        return ServiceOverview(
            service=service,
            instances=found.instances,
            skipped=found.skipped,
            orders=self._orders(paths, stale),
            resting=self._resting(paths, stale),
            primaries=self._primaries(paths, stale),
            config_version=None if config is None else config.version,
        )

    def _orders(self, paths: Paths, stale: Event | None) -> Mapping[str, OfflineOrder]:
        found = {}
        for name in sorted(self._children(paths.offline, stale)):
            node = self._znodes.get(f"{paths.offline}/{name}", stale)
            if node is not None:
                found[name] = OfflineOrder.parse(node[0], node[1].modified_at)
        return found

    def _resting(self, paths: Paths, stale: Event | None) -> tuple[Instance, ...]:
        found = []
        for name in sorted(self._children(paths.resting, stale)):
            node = self._znodes.get(f"{paths.resting}/{name}", stale)
            with contextlib.suppress(RemoteProtocolError):
                instance = None if node is None else parse_record(name, node[0])
                found += [] if instance is None else [instance]
        return tuple(found)

    def _primaries(self, paths: Paths, stale: Event | None) -> Mapping[str, PrimaryRecord | None]:
        found = {}
        for group in sorted(self._children(paths.elections, stale)):
            with contextlib.suppress(ConfigError):  # no group of ours
                path = paths.primary(group)
                # Only exists leaves a watch where there is no primary.
                there = self._znodes.exists(path, stale) is not None
                node = self._znodes.get(path) if there else None
                found[group] = None if node is None else PrimaryRecord.parse(node[0])
        return found

    def _children(self, path: str, watch: Event | None) -> list[str]:
        names = self._znodes.children(path, watch)
        if names is None and watch is not None and self._znodes.exists(path, watch) is not None:
            watch.set()  # it has just been created
        return names or []
