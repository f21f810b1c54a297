"""The health of a server: what makes it not ready, what not live, and how its handler tells of it."""

from __future__ import annotations

from typing import Any

import pytest

from zkrpc.idl import built_in_idl
from zkrpc.server.health import LONGEST_WATCH, MOST_WATCHES, Health, HealthHandler
from zkrpc.server.lifecycle import Lifecycle

NotServed = built_in_idl("Health").NotServed


class Moments:
    """A clock that goes on when somebody sleeps, and what happens meanwhile."""

    def __init__(self) -> None:
        self.now = 0.0
        self.events: dict[float, Any] = {}

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        for at in [at for at in self.events if at <= self.now]:
            self.events.pop(at)()


def make() -> tuple[Lifecycle, Health, HealthHandler, Moments]:
    """A server's lifecycle that has started, its health, and the handler."""
    lifecycle, moments = Lifecycle(linger=1.0, drain_timeout=10.0), Moments()
    health = Health("users", lifecycle)
    lifecycle.started(0.0)
    return lifecycle, health, HealthHandler(health, moments.sleep, moments), moments


def test_server_is_ready_while_it_serves() -> None:
    """Neither before nor after; it is live all the time."""
    lifecycle = Lifecycle(linger=1.0, drain_timeout=10.0)
    health = Health("users", lifecycle)
    assert (health.status().ready, health.status().reasons) == (False, ("it is starting",))
    lifecycle.started(0.0)
    assert (health.status().ready, health.status().reasons) == (True, ())
    lifecycle.drain(1.0)
    assert (health.status().ready, health.status().reasons) == (False, ("it is draining",))
    lifecycle.kill(2.0)
    assert (health.status().ready, health.status().reasons) == (False, ("it has stopped",))
    assert health.status().live and health.status().state == "stopped" and "ready=False" in repr(health)


def test_conditions_of_readiness_leave_life_alone() -> None:
    """All reasons are told, in the order in which the conditions were added."""
    _, health, _, _ = make()
    said: dict[str, str | None] = {"registry": None, "hook": None, "hub": None}
    health.require(lambda: said["registry"])
    health.require(lambda: said["hook"])
    health.require(lambda: said["hub"], to_live=True)
    assert health.status().ready
    said["hook"], said["registry"] = "is_healthy returned False", "it is not registered"
    status = health.status()
    assert (status.ready, status.live) == (False, True)
    assert status.reasons == ("it is not registered", "is_healthy returned False")
    said["hub"] = "the hub is blocked"
    status = health.status()
    assert (status.ready, status.live, status.reasons[0]) == (False, False, "the hub is blocked")


@pytest.mark.parametrize("name", ["", "users"])
def test_check_answers_for_the_service_that_is_served(name: str) -> None:
    """By its name or by none, with every field of the status."""
    lifecycle, health, handler, _ = make()
    told = handler.check(name)
    assert (told.service, told.ready, told.live, told.reasons, told.state) == ("users", True, True, [], "serving")
    lifecycle.drain(0.0)
    assert handler.check(name).reasons == ["it is draining"]


@pytest.mark.parametrize("name", ["ledger", "Users", "users/"])
def test_check_of_another_service_is_refused(name: str) -> None:
    """Whoever asks has the wrong address, which is worth knowing; so does a watch."""
    _, _, handler, _ = make()
    with pytest.raises(NotServed) as caught:
        handler.check(name)
    assert caught.value.message == f"users is served here, not {name}"
    with pytest.raises(NotServed):
        handler.watch(name, 0, 1000)


def test_watch_answers_at_once_if_the_caller_has_seen_something_else() -> None:
    """Also one that has seen nothing."""
    _, _, handler, moments = make()
    assert handler.watch("", 0, 30_000).ready and moments.now == 0


def test_watch_waits_until_something_changes() -> None:
    """The version is the same while nothing does, and comes back when everything is as it was."""
    _, health, handler, moments = make()
    said: list[str | None] = [None]
    health.require(lambda: said[0])
    seen = handler.check("").version
    moments.events[3.0] = lambda: said.__setitem__(0, "no")
    told = handler.watch("", seen, 30_000)
    assert (told.ready, told.reasons) == (False, ["no"]) and 3.0 <= moments.now < 3.2
    assert told.version != seen
    said[0] = None
    assert handler.check("").version == seen


@pytest.mark.parametrize(("asked", "most"), [(500, 0.5), (-5, 0.0), (2**31 - 1, LONGEST_WATCH)])
def test_watch_has_a_bound(asked: int, most: float) -> None:
    """Its caller's, or half a minute."""
    _, _, handler, moments = make()
    seen = handler.check("").version
    assert handler.watch("", seen, asked).version == seen
    assert moments.now == pytest.approx(most)


def test_more_watches_than_may_wait_are_answered_at_once() -> None:
    """And those that wait are let go one by one."""
    _, _, handler, moments = make()
    seen = handler.check("").version
    inner: list[float] = []

    def nest() -> None:
        if handler._watches <= MOST_WATCHES:
            began = moments.now
            moments.events[moments.now] = nest
            handler.watch("", seen, 100)
            inner.append(moments.now - began)

    nest()
    assert handler._watches == 0 and 0.0 in inner
