"""Who listens, and how they are told."""

from __future__ import annotations

import logging

import pytest

from tests.support.listening import Listener
from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import DrainStarted, Event, HubBlocked, PeerConnected, ServerEvent, ServerStarted
from zkrpc.telemetry.observer import NOBODY, Observer, Observers, gather

STARTED = ServerStarted(service="users", endpoint="127.0.0.1:9090")
BLOCKED = HubBlocked(seconds=0.3, place="somewhere")


def test_observer_hears_the_kinds_that_it_names() -> None:
    """A base class stands for all of its kinds; whoever names none hears everything; nobody hears anything else."""
    all_of_it, servers, hubs, nothing = Listener(), Listener(ServerEvent), Listener(HubBlocked), Listener()
    nothing.kinds = ()
    observers = Observers([all_of_it, servers, hubs, nothing])
    observers.tell(STARTED)
    observers.tell(BLOCKED)
    assert (all_of_it.events, servers.events) == ([STARTED, BLOCKED], [STARTED])
    assert (hubs.events, nothing.events) == ([BLOCKED], [])


def test_observers_know_whether_anybody_wants_a_kind() -> None:
    """So that whoever would tell can do without."""
    observers = Observers([Listener(ServerStarted, HubBlocked)])
    assert observers.want(ServerStarted) and observers.want(PeerConnected, HubBlocked)
    assert not observers.want(PeerConnected, DrainStarted)
    assert not NOBODY.want(Event)


def test_observer_of_the_base_class_does_nothing() -> None:
    """It may be subclassed for its kinds alone, and told everything."""
    Observers([Observer()]).tell(STARTED)


def test_observer_that_raises_is_logged_once_for_each_kind(caplog: pytest.LogCaptureFixture) -> None:
    """With its traceback; whoever told it goes on, and so do those who are told after it."""

    class Broken(Observer):
        def receive(self, event: Event) -> None:
            raise ValueError("broken")

    after = Listener()
    observers = Observers([Broken(), after])
    with caplog.at_level(logging.ERROR):
        for event in (STARTED, STARTED, BLOCKED, BLOCKED, STARTED):
            observers.tell(event)
    assert len(after.events) == 5
    assert [record.getMessage().split(" at ")[1].split(",")[0] for record in caplog.records] == [
        "ServerStarted",
        "HubBlocked",
    ]
    assert all(record.exc_info and "Broken" in record.getMessage() for record in caplog.records)


def test_observers_are_gathered_once() -> None:
    """What is gathered already is handed on as it is, none is nobody, and an iterator is read once."""
    one, other = Listener(), Listener()
    observers = gather(iter([one, other]))
    assert gather(observers) is observers and list(observers) == [one, other]
    assert gather(()) is NOBODY and list(NOBODY) == []
    assert repr(observers) == "<Observers Listener, Listener>" and repr(NOBODY) == "<Observers none>"


@pytest.mark.parametrize("wrong", [print, "metrics", Listener])
def test_what_is_no_observer_is_refused(wrong: object) -> None:
    """A function, a text, or a class in place of an object."""
    with pytest.raises(ConfigError, match="zkrpc.Observer, got"):
        Observers([wrong])  # type: ignore[list-item]


@pytest.mark.parametrize("wrong", ["ServerStarted", int, STARTED])
def test_kinds_that_are_no_events_are_refused(wrong: object) -> None:
    """A name, another class, or an event in place of its class."""
    with pytest.raises(ConfigError, match=r"Listener.kinds must be classes of events, got"):
        Observers([Listener(wrong)])  # type: ignore[arg-type]
