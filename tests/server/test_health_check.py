"""Asking ``is_healthy``: again and again, each time with a bound, and never in anybody's way."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest
from gevent.event import Event

from tests.support.waiting import eventually
from zkrpc.config import ServerConfig
from zkrpc.errors import ConfigError
from zkrpc.server.health_check import HealthCheck, await_readiness, make_check

Start = Callable[..., HealthCheck]


@pytest.fixture
def make() -> Iterator[Start]:
    """Makes checks that end with the test."""
    made: list[HealthCheck] = []

    def making(hook: Any, changes: list[str] | None = None, *, interval: float = 0.01, timeout: float = 5.0) -> Any:
        changes = [] if changes is None else changes
        made.append(
            HealthCheck(
                "users", hook, interval=interval, timeout=timeout, on_change=changes.append, clock=time.monotonic
            )
        )
        return made[-1]

    yield making
    for check in made:
        check.stop()


def raising(error: BaseException) -> Callable[[], bool]:
    """A hook that fails."""

    def hook() -> bool:
        raise error

    return hook


@pytest.mark.parametrize(
    ("hook", "answer"),
    [
        (lambda: True, ""),
        (lambda: False, "is_healthy returned False"),
        (lambda: None, "is_healthy returned None"),
        (lambda: "fine", "is_healthy returned 'fine'"),
        (raising(ValueError("a secret detail")), "is_healthy raised ValueError"),
        (raising(gevent.Timeout(1.0)), "is_healthy raised Timeout"),
        (raising(gevent.GreenletExit()), "is_healthy was ended"),
        (raising(SystemExit(3)), "is_healthy raised SystemExit"),
    ],
)
def test_only_true_is_healthy(make: Start, hook: Any, answer: str) -> None:
    """Everything else is told by what it was, without the text of an exception, which anybody could read."""
    assert make(hook).ask() == answer


def test_hook_that_hangs_is_not_healthy(make: Start) -> None:
    """It is ended; one that does not let itself be ended is not asked again until it is done."""
    asked: list[int] = []
    free = Event()

    def hook() -> bool:
        asked.append(1)
        while not free.is_set():
            try:
                free.wait()
            except gevent.GreenletExit:
                pass
        return True

    check = make(hook, timeout=0.01)
    for _ in range(3):
        assert check.ask() == "is_healthy gave no answer within 0.01 s"
    assert len(asked) == 1
    free.set()
    check = make(lambda: bool(free.wait()), timeout=5.0)
    assert check.ask() == ""


def test_check_tells_of_changes_only(make: Start, caplog: pytest.LogCaptureFixture) -> None:
    """Once when the service turns bad and once when it is well again, each with a line in the log."""
    caplog.set_level(logging.INFO)
    healthy, changes = [True], []
    check = make(lambda: healthy[0], changes)
    check.start()
    gevent.sleep(0.05)
    assert changes == [] and check.reason == ""
    healthy[0] = False
    eventually(lambda: changes)
    assert changes == ["is_healthy returned False"] and check.reason == changes[0]
    healthy[0] = True
    eventually(lambda: len(changes) == 2)
    assert changes[1] == "" and check.reason == ""
    lines = [record.getMessage() for record in caplog.records if record.name == "zkrpc.server.health_check"]
    assert lines == [
        "users is not ready any more, and asks callers to prefer others: is_healthy returned False",
        "users is ready again",
    ]


def test_check_that_was_stopped_asks_no_more(make: Start) -> None:
    """Also in the middle of a question, and before it was started."""
    asked: list[int] = []

    def hook() -> bool:
        asked.append(1)
        gevent.sleep(60)
        return True

    check = make(hook)
    check.stop()
    check.start()
    eventually(lambda: asked)
    check.stop()
    eventually(lambda: check._asking is not None and check._asking.dead)
    eventually(lambda: check._question is not None and check._question.dead)


def make_from(hook: Any) -> HealthCheck | None:
    """A check as an app makes it."""
    config = ServerConfig(health_interval=0.01, health_timeout=5.0)
    return make_check("users", hook, config, lambda reason: None, time.monotonic)


def test_service_without_is_healthy_has_no_check() -> None:
    """And is ready as soon as it says so, or at once if it does not say."""
    assert make_from(None) is None
    await_readiness("users", None, None, 0.0, time.monotonic)


def test_service_that_starts_is_waited_for_until_it_is_ready_and_healthy() -> None:
    """Health is not asked before it is ready, as it may need what is not there yet."""
    asked: list[str] = []

    def is_ready() -> bool:
        asked.append("ready")
        return len(asked) > 1

    def is_healthy() -> bool:
        asked.append("healthy")
        return len(asked) > 3

    await_readiness("users", is_ready, make_from(is_healthy), 60.0, time.monotonic)
    assert asked == ["ready", "ready", "healthy", "ready", "healthy"]


@pytest.mark.parametrize(
    ("is_ready", "is_healthy", "reason"),
    [
        (lambda: False, None, "is_ready did not return True"),
        (None, lambda: False, "is_healthy returned False"),
        (lambda: True, raising(ValueError("a secret detail")), "is_healthy raised ValueError"),
    ],
)
def test_service_that_does_not_become_ready_is_given_up(is_ready: Any, is_healthy: Any, reason: str) -> None:
    """The error says what the last look found."""
    with pytest.raises(ConfigError, match=rf"^users was not ready within 0\.05 s: {reason}$"):
        await_readiness("users", is_ready, make_from(is_healthy), 0.05, time.monotonic)
