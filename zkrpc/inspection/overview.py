"""One service at one moment, as ZooKeeper tells it: who serves it, who leads, who is out of service."""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

from zkrpc.endpoint import Instance
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder

_NO_ORDERS: Mapping[str, OfflineOrder] = MappingProxyType({})
_NO_PRIMARIES: Mapping[str, PrimaryRecord | None] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceOverview:
    """What ZooKeeper knows of one service."""

    service: str
    instances: tuple[Instance, ...] = ()
    """Those that clients find, ordered by id."""
    skipped: int = 0
    """Records that could not be read and were left out."""
    orders: Mapping[str, OfflineOrder] = dataclasses.field(default_factory=lambda: _NO_ORDERS, hash=False)
    """Worker id -> the order that takes it out of service, whether or not such a worker runs."""
    resting: tuple[Instance, ...] = ()
    """Instances that run and obey such an order."""
    primaries: Mapping[str, PrimaryRecord | None] = dataclasses.field(default_factory=lambda: _NO_PRIMARIES, hash=False)
    """Group -> its primary; None while it has none."""
    config_version: int | None = None
    """How often the config was changed since it was made; None without a config."""

    def led_by(self, instance: str) -> tuple[str, ...]:
        """The groups that the instance leads."""
        return tuple(
            group for group, record in self.primaries.items() if record is not None and record.instance == instance
        )

    @property
    def serving(self) -> tuple[Instance, ...]:
        """The instances that are not told to be out of service."""
        return tuple(one for one in self.instances if one.id not in self.orders)

    @property
    def leaderless(self) -> tuple[str, ...]:
        """The groups without a primary."""
        return tuple(group for group, record in self.primaries.items() if record is None)

    @property
    def versions(self) -> dict[str, int]:
        """Version -> how many instances registered with it; the most frequent first."""
        return _counted(one.version for one in self.instances)

    @property
    def idl_digests(self) -> dict[str, int]:
        """Digest of the IDL -> how many instances registered with it; the most frequent first."""
        return _counted(one.idl_digest for one in self.instances)

    @property
    def protocols(self) -> tuple[str, ...]:
        """What any of the instances speaks, the most frequent first."""
        return tuple(_counted(name for one in self.instances for name in one.protocols))

    @property
    def services(self) -> tuple[str, ...]:
        """The IDL's services that any of the instances serves, the most frequent first."""
        return tuple(_counted(name for one in self.instances for name in one.services))

    @property
    def out_of_service(self) -> tuple[tuple[str, OfflineOrder | None, Instance | None], ...]:
        """Who is out of service, by id: the order, None if it has just been taken back, and the instance, None if none
        of that id runs."""
        running = {one.id: one for one in self.resting}
        running.update((one.id, one) for one in self.instances if one.id in self.orders)
        return tuple((name, self.orders.get(name), running.get(name)) for name in sorted({*self.orders, *running}))


def plain_instance(instance: Instance, led: Iterable[str] = ()) -> dict[str, Any]:
    """An instance as a JSON value; an endpoint is ``host:port`` wherever one is shown."""
    fields = {field.name: getattr(instance, field.name) for field in dataclasses.fields(instance)}
    admin = None if instance.admin is None else str(instance.admin)
    shown = {**fields, "endpoint": str(instance.endpoint), "admin": admin, "metadata": dict(instance.metadata)}
    return {**shown, "also": dict(instance.also), "primary_of": list(led)}


def plain_primary(record: PrimaryRecord | None) -> dict[str, Any] | None:
    """A primary as a JSON value."""
    if record is None:
        return None
    return {"epoch": record.epoch, "instance": record.instance, "endpoint": str(record.endpoint)}


def plain_overview(seen: ServiceOverview) -> dict[str, Any]:
    """The overview as a JSON value, without the service's name."""
    return {
        "instances": [plain_instance(one, seen.led_by(one.id)) for one in seen.instances],
        "offline": [_plain_order(*one) for one in seen.out_of_service],
        "primaries": {group: plain_primary(record) for group, record in seen.primaries.items()},
        "versions": seen.versions,
        "idl_digests": seen.idl_digests,
        "protocols": list(seen.protocols),
        "services": list(seen.services),
        "config_version": seen.config_version,
        "unreadable": seen.skipped,
    }


def _plain_order(name: str, order: OfflineOrder | None, running: Instance | None) -> dict[str, Any]:
    said = {} if order is None else dataclasses.asdict(order)
    return {"id": name, **said, "running": None if running is None else plain_instance(running)}


def _counted(texts: Iterable[str]) -> dict[str, int]:
    return dict(collections.Counter(text for text in texts if text).most_common())
