"""One service at one moment, and what is counted from it."""

from __future__ import annotations

import json

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.inspection.overview import ServiceOverview, plain_instance, plain_overview, plain_primary
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.registry.offline import OfflineOrder


def instance(name: str, **fields: object) -> Instance:
    """An instance of that name."""
    return Instance(id=name, endpoint=Endpoint("h", 1), **fields)  # type: ignore[arg-type]


def test_instances_are_counted_by_what_tells_them_apart() -> None:
    """The most frequent first, and nothing for those that do not say."""
    seen = ServiceOverview(
        service="users",
        instances=(
            instance("a", version="1", idl_digest="x", protocols=("framed",)),
            instance("b", version="2", idl_digest="x", protocols=("zkrpc", "framed")),
            instance("c", version="2"),
        ),
    )
    assert list(seen.versions.items()) == [("2", 2), ("1", 1)] and seen.idl_digests == {"x": 2}
    assert seen.protocols == ("framed", "zkrpc")


def test_who_leads_and_who_does_not() -> None:
    """By group."""
    leader = PrimaryRecord(epoch=3, instance="a", endpoint=Endpoint("::1", 9))
    seen = ServiceOverview(service="users", primaries={"east": leader, "main": None, "west": leader})
    assert seen.led_by("a") == ("east", "west") and seen.led_by("b") == () and seen.leaderless == ("main",)
    assert plain_primary(leader) == {"epoch": 3, "instance": "a", "endpoint": "[::1]:9"}
    assert plain_overview(seen)["primaries"]["main"] is None


def test_instance_with_an_order_does_not_serve_wherever_it_is_listed() -> None:
    """It may not have obeyed yet, rest, not run at all, or rest without an order, as it has just been taken back."""
    order = OfflineOrder(reason="r")
    seen = ServiceOverview(
        service="users",
        instances=(instance("a"), instance("slow")),
        orders={"slow": order, "gone": order, "rests": order},
        resting=(instance("rests"), instance("returns")),
    )
    assert [one.id for one in seen.serving] == ["a"]
    told = [(name, said is order, running is not None) for name, said, running in seen.out_of_service]
    assert told == [("gone", True, False), ("rests", True, True), ("returns", False, True), ("slow", True, True)]


def test_instance_is_told_to_programs_as_plain_values() -> None:
    """Its endpoint as text, its metadata as an object, and what it leads beside what it registered with."""
    one = Instance(
        id="a",
        endpoint=Endpoint("::1", 9),
        protocols=("zkrpc",),
        shard=2,
        metadata={"rack": "7"},
        admin=Endpoint("h", 2),
    )
    told = json.loads(json.dumps(plain_instance(one, ["east"])))
    assert told["id"] == "a" and told["endpoint"] == "[::1]:9" and told["primary_of"] == ["east"]
    assert told["protocols"] == ["zkrpc"] and told["shard"] == 2 and told["metadata"] == {"rack": "7"}
    assert told["admin"] == "h:2"
    assert plain_instance(one)["primary_of"] == []


def test_overview_for_programs_says_who_serves_leads_and_is_out_of_service() -> None:
    """An order is told whether or not anybody obeys it, and who rests without one has nothing but an instance."""
    seen = ServiceOverview(
        service="users",
        instances=(instance("a", version="2", idl_digest="x", protocols=("zkrpc",)), instance("b")),
        skipped=1,
        orders={"gone": OfflineOrder(reason="disk", by="ops@h", since=5.0)},
        resting=(instance("returns"),),
        primaries={"main": PrimaryRecord(epoch=3, instance="a", endpoint=Endpoint("h", 1))},
        config_version=4,
    )
    told = json.loads(json.dumps(plain_overview(seen)))
    assert [(one["id"], one["primary_of"]) for one in told["instances"]] == [("a", ["main"]), ("b", [])]
    gone, returns = told["offline"]
    assert gone == {"id": "gone", "reason": "disk", "by": "ops@h", "since": 5.0, "running": None}
    assert set(returns) == {"id", "running"} and returns["id"] == returns["running"]["id"] == "returns"
    assert told["primaries"] == {"main": {"epoch": 3, "instance": "a", "endpoint": "h:1"}}
    assert (told["versions"], told["idl_digests"], told["protocols"]) == ({"2": 1}, {"x": 1}, ["zkrpc"])
    assert told["config_version"] == 4 and told["unreadable"] == 1 and "service" not in told
