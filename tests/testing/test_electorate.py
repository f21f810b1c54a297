"""Elections in a Loopback: what an author of a service with one writer wants to see of its own code."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.waiting import eventually
from zkrpc.testing.loopback import Loopback

idl = zkrpc.load(Path(__file__).with_name("counting.thrift"))
FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)


class Counter:
    """Counts, and writes down what it is told of being primary."""

    story: list[str]
    """Of all replicas of a test, in order."""

    def __init__(self) -> None:
        self.leadership: Any = None
        self.count = 0

    def on_elected(self, leadership: Any) -> None:
        assert leadership.is_valid
        leadership.check()
        self.leadership = leadership
        self.story.append(f"elected {leadership.epoch}")

    def on_deposed(self, leadership: Any) -> None:
        self.story.append(f"deposed {leadership.epoch}")

    def add(self, amount: int) -> int:
        call = zkrpc.current_call()
        assert call is not None and call.epoch == self.leadership.epoch and self.leadership.is_valid
        self.count += amount
        return call.epoch

    def add_to(self, shard: str, amount: int) -> int:
        return amount

    def seen(self) -> int:
        return self.count

    def write(self) -> None:
        with self.leadership.transaction() as transaction:
            transaction.set("/somewhere", b"")


@pytest.fixture(autouse=True)
def story() -> Iterator[list[str]]:
    """What the replicas of one test were told."""
    Counter.story = []
    yield Counter.story


def service(handler: Any = Counter, **options: Any) -> zkrpc.Service:
    """Counting, with little patience."""
    return zkrpc.Service(idl.Counting, handler, name="counting", config=FAST, **options)


def test_one_replica_serves_what_only_a_primary_may(story: list[str]) -> None:
    """Callers find it by themselves, it knows its epoch, and the others have run nothing."""
    loopback = Loopback(service(), replicas=3)
    with loopback as stub:
        assert [stub.add(1) for _ in range(20)] == [1] * 20
        leader = loopback.primary()
        assert [loopback.handlers[number].count for number in range(3) if number != leader] == [0, 0]
        assert loopback.handlers[leader].count == 20 and story == ["elected 1"]
        assert loopback.handlers[leader].leadership.group == "main"


def test_primary_that_is_killed_is_followed_in_a_higher_epoch(story: list[str]) -> None:
    """Callers notice nothing but the epoch; the dead one is told nothing, as a crash tells nothing."""
    loopback = Loopback(service(), replicas=3)
    with loopback as stub:
        for epoch in (1, 2, 3):
            assert stub.add(1) == epoch
            kept = loopback.handlers[loopback.primary()].leadership
            loopback.kill(loopback.primary())
            assert not kept.is_valid
            with pytest.raises(zkrpc.NotPrimary):
                kept.check()
            if epoch == 2:
                loopback.add()
        assert stub.add(1) == 4 and story == [f"elected {epoch}" for epoch in (1, 2, 3, 4)]


def test_primary_that_drains_hands_over_first(story: list[str]) -> None:
    """It is told that its term ends before another begins, and no call is lost on the way."""
    loopback = Loopback(service(), replicas=2)
    with loopback as stub:
        assert stub.add(1) == 1
        running, epochs = True, []

        def caller() -> None:
            while running:
                epochs.append(stub.add(1))
                gevent.sleep(0)

        calling = gevent.spawn(caller)
        eventually(lambda: 1 in epochs)
        loopback.drain(loopback.primary())
        assert loopback.primary() in loopback.handlers
        eventually(lambda: 2 in epochs)
        running = False
        calling.get(timeout=60)
        assert epochs == sorted(epochs) and {1, 2} == set(epochs)
        assert story == ["elected 1", "deposed 1", "elected 2"]


def test_primary_that_is_not_healthy_hands_over(story: list[str]) -> None:
    """It is told that its term ends, and stays a candidate."""
    ill: set[int] = set()
    config = zkrpc.ServerConfig(linger=0, drain_timeout=2, health_interval=0.02)
    counting = zkrpc.Service(
        idl.Counting, Counter, name="counting", config=config, is_healthy=lambda handler: id(handler) not in ill
    )
    loopback = Loopback(counting, replicas=2)
    with loopback as stub:
        assert stub.add(1) == 1
        first = loopback.primary()
        assert [loopback._servers[number].health.status("main").ready for number in (first, 1 - first)] == [True, False]
        ill.add(id(loopback.handlers[first]))
        eventually(lambda: loopback.primary() != first)
        assert stub.add(1) == 2 and story == ["elected 1", "deposed 1", "elected 2"]
        loopback.kill(loopback.primary())
        assert loopback.primary() == first and stub.add(1) == 3


def test_step_down_moves_the_primary_where_it_is_wanted(story: list[str]) -> None:
    """As an operator does; alone it is elected anew."""
    loopback = Loopback(service(), replicas=3)
    with loopback as stub:
        heir = next(number for number in range(3) if number != loopback.primary())
        loopback.step_down(to=heir)
        assert loopback.primary() == heir and stub.add(1) == 2
        for number in range(3):
            if number != heir:
                loopback.kill(number)
        loopback.step_down()
        assert loopback.primary() == heir and stub.add(1) == 3
        assert story == ["elected 1", "deposed 1", "elected 2", "deposed 2", "elected 3"]


def test_primary_whose_session_ends_is_deposed(story: list[str]) -> None:
    """What it did in its last moments is told as unknown; it stands again, behind the others."""

    begun = gevent.event.Event()

    class Slow(Counter):
        def add(self, amount: int) -> int:
            if amount:
                begun.set()
                gevent.sleep(2.0)
            return super().add(0)

    loopback = Loopback(service(Slow), replicas=2)
    with loopback as stub:
        assert stub.add(0) == 1
        first = loopback.primary()
        call = gevent.spawn(stub.add, 1)
        assert begun.wait(60)
        loopback.expire(first)
        with pytest.raises(zkrpc.CallError) as caught:
            call.get(timeout=60)
        assert caught.value.executed is not zkrpc.Executed.NO
        assert stub.add(0) == 2 and loopback.primary() != first
        assert sorted(story) == ["deposed 1", "elected 1", "elected 2"]
        loopback.kill(loopback.primary())
        assert stub.add(0) == 3 and loopback.primary() == first


def test_replica_that_does_not_lead_says_who_does(story: list[str]) -> None:
    """To a caller that cannot reach the primary: nothing was done, and where and since when it leads."""
    loopback = Loopback(service(), replicas=2)
    with loopback as stub:
        assert stub.add(1) == 1
        leader = loopback.primary()
        loopback.unlist(leader)
        with pytest.raises(zkrpc.NotPrimary) as caught:
            stub.options(timeout=1.5).add(1)
        refused = caught.value
        assert (refused.executed, refused.primary) == (zkrpc.Executed.NO, zkrpc.Endpoint("memory", leader))
        assert (refused.epoch, refused.group) == (1, "main") and loopback.handlers[1 - leader].count == 0
        assert stub.options(timeout=60).seen() == 0


def test_replica_whose_on_elected_fails_lets_another_lead(story: list[str]) -> None:
    """It is told that its term is over, and whoever comes next has a higher epoch."""

    class Sick(Counter):
        sick = True

        def on_elected(self, leadership: Any) -> None:
            if Sick.sick:
                Sick.sick = False
                raise RuntimeError("a disk is full")
            super().on_elected(leadership)

    with Loopback(service(Sick), replicas=2) as stub:
        assert stub.add(1) == 2 and story == ["deposed 1", "elected 2"]


@pytest.mark.parametrize("election", [zkrpc.ElectionConfig(deposed_timeout=0.1), zkrpc.ElectionConfig()])
def test_replica_whose_on_deposed_hangs_is_ended(story: list[str], election: zkrpc.ElectionConfig) -> None:
    """As its process would be, by default after a fifth of the usual session timeout: it is gone, and another leads."""

    class Stuck(Counter):
        def on_deposed(self, leadership: Any) -> None:
            gevent.sleep(60)

    loopback = Loopback(service(Stuck, election=election), replicas=2)
    with loopback as stub:
        first = loopback.primary()
        loopback.step_down()
        assert loopback.primary() != first and stub.add(1) == 2 and list(loopback.handlers) == [1 - first]


def test_groups_have_primaries_of_their_own() -> None:
    """They stay together until one is moved; callers follow each."""

    class Sharded(Counter):
        @zkrpc.primary_only(group=lambda shard, amount: shard)
        def add_to(self, shard: str, amount: int) -> int:
            self.count += amount
            call = zkrpc.current_call()
            assert call is not None and call.epoch is not None
            return call.epoch

    loopback = Loopback(service(Sharded, groups=["a", "b", "main"]), replicas=2)
    with loopback as stub:
        assert stub.add_to("a", 1) == stub.add_to("b", 1) == 1
        other = 1 - loopback.primary("a")
        loopback.step_down("b", to=other)
        assert (loopback.primary("a"), loopback.primary("b")) == (1 - other, other)
        assert stub.add_to("a", 1) == 1 and stub.add_to("b", 7) == 2
        assert loopback.handlers[other].count == 7


def test_transaction_says_that_there_is_no_zookeeper() -> None:
    """And where to test it instead; the log has it, for the caller is told nothing of a handler's faults."""
    failures: list[BaseException] = []

    class Telling(Counter):
        def write(self) -> None:
            try:
                super().write()
            except zkrpc.ConfigError as error:
                failures.append(error)

    with Loopback(service(Telling)) as stub:
        stub.write()
    assert "a Loopback has no ZooKeeper" in str(failures[0]) and "`zookeeper` fixture" in str(failures[0])


def test_loopback_explains_groups_that_are_not_there() -> None:
    """No such group, no elections at all, or nobody elected in time."""

    class Plain(Counter):
        def on_elected(self, leadership: Any) -> None:
            raise RuntimeError("never")

    loopback = Loopback(service(), replicas=1)
    with loopback, pytest.raises(zkrpc.ConfigError, match="nobody stands for the group 'other'; there are main"):
        loopback.primary("other")
    loopback = Loopback(service(Plain), replicas=0)
    with loopback, pytest.raises(zkrpc.ConfigError, match="there are none, for want of replicas"):
        loopback.primary()
    loopback.add()
    with loopback, pytest.raises(TimeoutError, match="nobody leads 'main' after 0.05 s; does on_elected fail"):
        loopback.primary(timeout=0.05)


def test_elections_can_be_left_to_the_service() -> None:
    """A test of what callers make of refusals says itself who leads: every replica then serves what it is asked."""
    loopback = Loopback(service(), replicas=1, elect=False)
    try:
        with pytest.raises(zkrpc.ConfigError, match="elect=False"):
            loopback.primary()
        loopback.drain(0)
    finally:
        loopback.close()
