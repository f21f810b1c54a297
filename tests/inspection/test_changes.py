"""What has happened between two looks at services."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.inspection.changes import KINDS, changes_between
from zkrpc.inspection.overview import ServiceOverview
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder


def instance(name: str, port: int = 1, version: str = "", **metadata: str) -> Instance:
    """An instance of that name."""
    return Instance(id=name, endpoint=Endpoint("h", port), version=version, metadata=metadata)


def seen(*instances: Instance, **fields: object) -> dict[str, ServiceOverview]:
    """A look at the service ``users``."""
    return {"users": ServiceOverview(service="users", instances=instances, **fields)}  # type: ignore[arg-type]


def primary(epoch: int, name: str = "a") -> PrimaryRecord:
    """A primary's record."""
    return PrimaryRecord(epoch=epoch, instance=name, endpoint=Endpoint("h", 1))


A, B = instance("a"), instance("b", 2, "1.5")


@pytest.mark.parametrize(
    ("before", "after", "told"),
    [
        ({}, {}, []),
        (seen(A), seen(A), []),
        ({}, seen(A), ["users service appeared", "users joined a at h:1"]),
        (seen(A), {}, ["users service vanished"]),
        (seen(A), seen(A, B), ["users joined b at h:2, version 1.5"]),
        (seen(A, B), seen(A), ["users left b at h:2, version 1.5"]),
        (seen(A), seen(instance("a", 3)), ["users replaced a at h:3"]),
        (seen(instance("a", pid="1")), seen(instance("a", pid="2")), ["users replaced a at h:1"]),
        (seen(), seen(config_version=0), ["users config version 0"]),
        (seen(config_version=4), seen(), ["users config removed"]),
        (
            seen(primaries={"main": None}),
            seen(primaries={"main": primary(7)}),
            ["users primary main is a, epoch 7"],
        ),
        (
            seen(primaries={"main": primary(7)}),
            seen(primaries={"main": primary(8, "")}),
            ["users primary main is h:1, epoch 8"],
        ),
        (
            seen(primaries={"main": primary(7)}),
            seen(primaries={"main": None}),
            ["users primary main is nobody, after a, epoch 7"],
        ),
        (seen(primaries={"main": None}), seen(), ["users primary main is forgotten"]),
        (
            seen(A),
            seen(orders={"a": OfflineOrder(reason="leaks", by="ada@ops")}),
            ["users offline a leaks (by ada@ops)", "users left a at h:1"],
        ),
        (
            seen(orders={"a": OfflineOrder(reason="leaks")}),
            seen(orders={"a": OfflineOrder(reason="slow")}),
            ["users offline a slow (by somebody)"],
        ),
        (seen(orders={"a": OfflineOrder()}), seen(A), ["users online a", "users joined a at h:1"]),
    ],
)
def test_difference_is_told_as_what_happened(
    before: dict[str, ServiceOverview], after: dict[str, ServiceOverview], told: list[str]
) -> None:
    """Nothing for what is as it was; one line for each thing that is not."""
    found = changes_between(before, after)
    assert [str(change) for change in found] == told and all(change.kind in KINDS for change in found)
