"""The health of a server: what makes it not ready, what not live, and how its handler tells of it."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.idl import built_in_idl
from zkrpc.server.health import (
    FAILURES,
    FORGIVEN_AFTER,
    LONGEST_HOLD,
    LONGEST_WATCH,
    MOST_WATCHES,
    OVERRUN,
    Health,
    HealthHandler,
    Presence,
    Readiness,
)
from zkrpc.server.lifecycle import Lifecycle
from zkrpc.telemetry.status import RegistrationStatus, SessionStatus

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
    health = Health("users", lifecycle, moments)
    lifecycle.started(0.0)
    return lifecycle, health, HealthHandler(health, moments.sleep, moments), moments


def test_server_is_ready_while_it_serves() -> None:
    """Neither before nor after; it is live all the time."""
    lifecycle = Lifecycle(linger=1.0, drain_timeout=10.0)
    health = Health("users", lifecycle, lambda: 0.0)
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


@pytest.mark.parametrize("name", ["ledger", "Users", "ledger/main", "users/main/x"])
def test_check_of_another_service_is_refused(name: str) -> None:
    """Whoever asks has the wrong address, which is worth knowing; so does a watch."""
    _, _, handler, _ = make()
    with pytest.raises(NotServed) as caught:
        handler.check(name)
    assert caught.value.message == f"users is served here, not {name}"
    with pytest.raises(NotServed):
        handler.watch(name, 0, 1000)


def test_check_of_a_group_says_whether_its_primary_is_here() -> None:
    """By the service's name or by none: who does not lead is not ready for the group, but is for the rest, and lives;
    who is not ready as a whole is not ready for the group either."""
    _, health, handler, _ = make()
    doubts: dict[str, str | None] = {"main": None, "g1": "it does not lead g1"}
    for group in doubts:
        health.require_to_lead(group, lambda group=group: doubts[group])
    assert list(health.groups) == ["main", "g1"] and health.status("main").ready
    for name in ("users/g1", "/g1"):
        told = handler.check(name)
        assert (told.service, told.ready, told.live) == ("users/g1", False, True)
        assert told.reasons == ["it does not lead g1"]
    assert handler.check("users").ready and handler.check("/main").ready
    health.require(lambda: "no database")
    assert handler.check("/main").reasons == ["no database"]
    assert handler.check("/g1").reasons == ["no database", "it does not lead g1"]


@pytest.mark.parametrize("name", ["users/", "/", "users/other", "/other"])
def test_check_of_an_unknown_group_is_refused(name: str) -> None:
    """As no instance will ever lead it; a service that elects nobody has no group at all."""
    _, health, handler, _ = make()
    for groups in ((), ("main",)):
        for group in groups:
            health.require_to_lead(group, lambda: None)
        with pytest.raises(NotServed) as caught:
            handler.check(name)
        assert caught.value.message == f"users has no group {name.rpartition('/')[2]!r} that elects a primary"


def test_watch_of_a_group_waits_for_its_primary() -> None:
    """So a script learns at once that this instance leads from now on."""
    _, health, handler, moments = make()
    doubts: list[str | None] = ["it does not lead main"]
    health.require_to_lead("main", lambda: doubts[0])
    seen = handler.check("/main").version
    assert seen != handler.check("").version
    moments.events[2.0] = lambda: doubts.__setitem__(0, None)
    told = handler.watch("users/main", seen, 30_000)
    assert told.ready and told.service == "users/main" and 2.0 <= moments.now < 2.2


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


def test_stop_that_does_not_end_is_no_life() -> None:
    """Not before everything that a stop may wait for has had its time, and half a minute more."""
    lifecycle, health, _, moments = make()
    lifecycle.drain(100.0)
    moments.now = 100.0 + 11.0 + OVERRUN - 0.1
    assert health.status().live
    moments.now += 0.2
    status = health.status()
    assert not status.live and status.reasons == ("it is draining", "its stop takes longer than 41 s")
    lifecycle.kill(moments.now)
    assert health.status().live


# -- being found


SESSION = SessionStatus(
    hosts="zk:2181",
    state="connected",
    session="0x1",
    timeout_asked=10.0,
    timeout=6.0,
    heard=0.5,
    histories=0,
    servers=(),
    server=None,
    explanation="",
)
LISTED = RegistrationStatus(path="/m", registered=True, was_registered=True, session="0x1", conflict=None, failure=None)
MISSING = dataclasses.replace(LISTED, registered=False, session=None)
AWAY = dataclasses.replace(SESSION, state="suspended")


def test_instance_is_found_once_it_is_registered() -> None:
    """Not before, whatever ZooKeeper does; and not while its name is somebody else's."""
    presence = Presence()
    assert presence.doubt(None, SESSION, 0.0) == "it is not registered yet"
    resting = dataclasses.replace(LISTED, registered=False, was_registered=False, offline="leaks (by ada)")
    assert presence.doubt(resting, SESSION, 0.0) == "it is out of service by an operator's order: leaks (by ada)"
    never = dataclasses.replace(MISSING, was_registered=False)
    assert presence.doubt(never, SESSION, 100.0) == "it is not registered yet"
    assert presence.doubt(LISTED, SESSION, 100.0) is None
    taken = dataclasses.replace(MISSING, conflict="held by another")
    assert presence.doubt(taken, SESSION, 101.0) == "its name in the registry is another process's"
    assert "missing_since=None" in repr(presence)


def test_instance_is_found_while_its_record_is_replaced() -> None:
    """Which takes a moment. A registration that stays away is another matter."""
    presence = Presence()
    presence.doubt(LISTED, SESSION, 0.0)
    assert presence.doubt(MISSING, SESSION, 10.0) is None
    assert presence.doubt(LISTED, SESSION, 12.0) is None
    assert presence.doubt(MISSING, SESSION, 14.0) is None
    assert presence.doubt(MISSING, SESSION, 17.0) == "it is no longer registered"


def test_instance_is_found_for_a_while_without_zookeeper() -> None:
    """As callers keep their lists; after three session timeouts it says so, and for as long as it lasts."""
    presence = Presence()
    presence.doubt(LISTED, SESSION, 0.0)
    for registration in (LISTED, MISSING):
        assert presence.doubt(registration, dataclasses.replace(AWAY, heard=17.0), 17.0) is None
        assert presence.doubt(registration, dataclasses.replace(AWAY, heard=19.0), 19.0) == (
            "ZooKeeper has not been heard of for 18 s"
        )
    assert presence.doubt(MISSING, SESSION, 1000.0) is None, "a new session registers anew"
    assert presence.doubt(LISTED, SESSION, 1001.0) is None


# -- being healthy


def test_instance_leaves_the_rotation_after_bad_answers_one_after_another() -> None:
    """One good answer between them, and it stays; then as many good ones as it takes bring it back."""
    readiness = Readiness(5.0)
    answers = ["no"] * (FAILURES - 1) + [""] + ["no"] * FAILURES
    changes = [readiness.receive(answer, 5.0 * number) for number, answer in enumerate(answers)]
    assert changes == [False] * (len(answers) - 1) + [True] and readiness.reason == "no"
    assert "UNREADY: no" in repr(readiness)
    assert not readiness.receive("", 100.0) and not readiness.receive("no", 105.0)
    assert not readiness.receive("", 110.0) and readiness.receive("", 115.0)
    assert readiness.reason == "" and "READY" in repr(readiness)


def test_instance_that_goes_back_and_forth_has_to_be_well_for_longer() -> None:
    """Twice as long each time, up to a minute; one that was well for long begins anew."""
    readiness, now = Readiness(5.0), 0.0

    def seconds_out() -> float:
        nonlocal now
        while not readiness.receive("no", now):
            now += 5.0
        began = now = now + 5.0
        while not readiness.receive("", now):
            now += 5.0
        return now - began

    assert [seconds_out() for _ in range(6)] == [5.0, 20.0, 40.0, LONGEST_HOLD, LONGEST_HOLD, LONGEST_HOLD]
    now += FORGIVEN_AFTER
    assert seconds_out() == 5.0


@given(st.lists(st.booleans(), max_size=400))
def test_flapping_hook_does_not_flap_zookeeper(answers: list[bool]) -> None:
    """Whatever it answers, an hour of it makes no more than a handful of changes at once and then two for each hold."""
    readiness = Readiness(5.0)
    changes = sum(readiness.receive("" if good else "no", 5.0 * number) for number, good in enumerate(answers))
    assert changes <= 2 * (4 + 5.0 * len(answers) / (LONGEST_HOLD + 5.0 * FAILURES))
