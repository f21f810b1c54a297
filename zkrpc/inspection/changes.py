"""What has happened to services between two looks at them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from zkrpc.endpoint import Instance
from zkrpc.inspection.overview import ServiceOverview

KINDS = (
    "service appeared",
    "service vanished",
    "joined",
    "left",
    "replaced",
    "offline",
    "online",
    "primary",
    "config",
)
"""What a change may be."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """Something that has happened to one service."""

    service: str
    kind: str
    """One of ``KINDS``."""
    subject: str = ""
    """The instance or the group to which it happened; empty if it was the service."""
    detail: str = ""
    """What there is now, for people."""

    def __str__(self) -> str:
        """One line."""
        return " ".join(part for part in (self.service, self.kind, self.subject, self.detail) if part)


def changes_between(before: Mapping[str, ServiceOverview], after: Mapping[str, ServiceOverview]) -> list[Change]:
    """What has happened from one look at services to the next, service by service; in each the instances first, as
    what else has changed mostly follows from them."""
    found = []
    for name in sorted({*before, *after}):
        old, new = before.get(name), after.get(name)
        if old is None:
            found.append(Change(service=name, kind="service appeared"))
        if new is None:
            found.append(Change(service=name, kind="service vanished"))
            continue
        found += _changes_of(old or ServiceOverview(service=name), new)
    return found


def _changes_of(old: ServiceOverview, new: ServiceOverview) -> Iterator[Change]:
    yield from _of_orders(old, new)
    yield from _of_instances(old, new)
    yield from _of_primaries(old, new)
    if old.config_version != new.config_version:
        version = "removed" if new.config_version is None else f"version {new.config_version}"
        yield Change(service=new.service, kind="config", detail=version)


def _of_orders(old: ServiceOverview, new: ServiceOverview) -> Iterator[Change]:
    for name, order in new.orders.items():
        if old.orders.get(name) != order:
            yield Change(service=new.service, kind="offline", subject=name, detail=str(order))
    for name in old.orders:
        if name not in new.orders:
            yield Change(service=new.service, kind="online", subject=name)


def _of_instances(old: ServiceOverview, new: ServiceOverview) -> Iterator[Change]:
    before, after = ({one.id: one for one in seen.instances} for seen in (old, new))
    for name, one in after.items():
        earlier = before.get(name)
        if earlier is None:
            yield Change(service=new.service, kind="joined", subject=name, detail=_place(one))
        elif earlier != one or earlier.metadata != one.metadata:
            yield Change(service=new.service, kind="replaced", subject=name, detail=_place(one))
    for name, one in before.items():
        if name not in after:
            yield Change(service=new.service, kind="left", subject=name, detail=_place(one))


def _of_primaries(old: ServiceOverview, new: ServiceOverview) -> Iterator[Change]:
    for group, record in new.primaries.items():
        earlier = old.primaries.get(group)
        if record is not None and record != earlier:
            now = f"is {record.instance or record.endpoint}, epoch {record.epoch}"
            yield Change(service=new.service, kind="primary", subject=group, detail=now)
        elif record is None and earlier is not None:
            lost = f"is nobody, after {earlier.instance or earlier.endpoint}, epoch {earlier.epoch}"
            yield Change(service=new.service, kind="primary", subject=group, detail=lost)
    for group in old.primaries:
        if group not in new.primaries:
            yield Change(service=new.service, kind="primary", subject=group, detail="is forgotten")


def _place(one: Instance) -> str:
    version = f", version {one.version}" if one.version else ""
    return f"at {one.endpoint}{version}"
