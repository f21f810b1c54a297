"""Looking at services on a real ZooKeeper."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from gevent.event import Event

import zkrpc
from tests.support.waiting import eventually
from zkrpc.inspection.survey import Survey
from zkrpc.registry.formats import PrimaryRecord, dump_serverset
from zkrpc.registry.offline import OfflineOrder
from zkrpc.registry.schema import Paths

pytestmark = pytest.mark.zookeeper
PATHS = Paths("users")
INSTANCE = zkrpc.Instance(id="w", endpoint=zkrpc.Endpoint("10.0.0.1", 7))


@pytest.fixture
def registry(zookeeper: str) -> Iterator[zkrpc.Registry]:
    """A connection."""
    with zkrpc.Registry(zookeeper) as made:
        assert made.session.wait_connected(60)
        yield made


def test_survey_reads_whatever_there_is(registry: zkrpc.Registry) -> None:
    """A service of which nothing but its node exists, and one with all; what is no record or group is left out."""
    znodes = registry.session.znodes
    survey = Survey(registry)
    assert survey.services() == ([], [])
    for path in ("/services/empty", "/services/two words", PATHS.members, PATHS.offline, PATHS.resting):
        znodes.ensure_path(path)
    for path in (PATHS.election("main"), PATHS.election("west"), f"{PATHS.elections}/no group"):
        znodes.ensure_path(path)
    znodes.create(PATHS.member("w"), dump_serverset(INSTANCE), ephemeral=True)
    znodes.create(PATHS.member("bad"), b"?", ephemeral=True)
    znodes.create(f"{PATHS.resting}/member_bad", b"?", ephemeral=True)
    znodes.create(PATHS.offline_order("w"), OfflineOrder(reason="r").dump())
    znodes.create(PATHS.config, b"{}")
    leader = PrimaryRecord(epoch=4, instance="w", endpoint=INSTANCE.endpoint)
    znodes.create(PATHS.primary("main"), leader.dump(), ephemeral=True)
    assert survey.services() == (["empty", "users"], ["two words"])
    seen = survey.look(["empty", "users"], 60)
    assert (seen["empty"].instances, seen["empty"].primaries, seen["empty"].config_version) == ((), {}, None)
    users = seen["users"]
    assert (users.instances, users.skipped, users.resting, users.config_version) == ((INSTANCE,), 1, (), 0)
    assert users.primaries == {"main": leader, "west": None}
    assert users.orders["w"].reason == "r" and users.orders["w"].since > 1.7e9


def test_survey_notices_every_kind_of_change(registry: zkrpc.Registry) -> None:
    """One look is enough to be told of the next change, whatever it is, and of nodes that did not exist."""
    changed = Event()
    survey = Survey(registry, changed)
    znodes = registry.session.znodes
    survey.services()

    happenings = [
        lambda: znodes.ensure_path(PATHS.members),
        lambda: znodes.create(PATHS.member("w"), dump_serverset(INSTANCE), ephemeral=True),
        lambda: znodes.ensure_path(PATHS.elections),
        lambda: znodes.ensure_path(PATHS.election("main")),
        lambda: znodes.create(PATHS.primary("main"), b"{}", ephemeral=True),
        lambda: znodes.set(PATHS.primary("main"), b"{ }"),
        lambda: znodes.delete(PATHS.primary("main")),
        lambda: znodes.create(PATHS.config, b"{}"),
        lambda: znodes.set(PATHS.config, b"{ }"),
        lambda: znodes.ensure_path(PATHS.offline_order("w")),
        lambda: znodes.set(PATHS.offline_order("w"), OfflineOrder(reason="s").dump()),
        lambda: znodes.delete(PATHS.offline_order("w")),
        lambda: znodes.ensure_path(PATHS.resting),
        lambda: znodes.delete(PATHS.member("w")),
    ]
    for happen in happenings:
        names = survey.services()[0]
        survey.look(["users"] if "users" in names else [], 60)
        # What the look itself has set, such as the first list of members, is no news.
        eventually(lambda: not changed.is_set() or changed.clear())
        happen()
        eventually(changed.is_set)


def test_only_what_changed_is_read_again(registry: zkrpc.Registry) -> None:
    """Of many services, a change costs the reads of one; all are read on demand, and after a look that failed."""
    znodes = registry.session.znodes
    names = [f"s{number}" for number in range(20)]
    for name in names:
        znodes.ensure_path(Paths(name).members)
        znodes.create(Paths(name).config, b"{}")
    changed = Event()
    survey = Survey(registry, changed)
    seen = survey.look(names, 60)

    def settled() -> bool:
        """Whether the first lists of members, told after they were looked at, are old news."""
        nonlocal seen
        before, seen = seen, survey.look(names, 60)
        return all(seen[name] is before[name] for name in names)

    eventually(settled)
    changed.clear()
    znodes.set(Paths("s7").config, b"{ }")
    eventually(changed.is_set)
    again = survey.look(names, 60)
    assert [name for name in names if again[name] is not seen[name]] == ["s7"]
    assert again["s7"].config_version == 1
    assert not any(one is again[name] for name, one in survey.look(names, 60, again=True).items())
    kept = survey.look(["s1"], 60)
    assert survey.look(["s1", "s2"], 60)["s1"] is kept["s1"]


def test_look_that_failed_is_made_up_for(registry: zkrpc.Registry) -> None:
    """What could not be read is read the next time, though nothing has changed since."""
    znodes = registry.session.znodes
    znodes.ensure_path(PATHS.members)
    survey = Survey(registry, Event())
    with pytest.raises(zkrpc.CoordinationError):
        survey.look(["users"], 0.0)
    assert survey.look(["users"], 60)["users"].service == "users"
