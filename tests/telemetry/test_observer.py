"""Who listens, and how they are told."""

from __future__ import annotations

import logging

import pytest

from tests.support.listening import Listener
from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import (
    CallFinished,
    DrainStarted,
    Event,
    HubBlocked,
    PeerConnected,
    RequestFinished,
    ServerEvent,
    ServerStarted,
)
from zkrpc.telemetry.observer import NOBODY, Observer, Observers, gather, observe_everything
from zkrpc.telemetry.recording import Recorder, Recording

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


FINISHED = CallFinished(service="users", interface="Users", method="get", seconds=0.1, attempts=1, endpoint="h:1")


class Counter(Listener):
    """Records the durations of calls that go well, and hears of the others."""

    recorded = (CallFinished,)

    def __init__(self, *kinds: type[Event]) -> None:
        super().__init__(*kinds)
        self.durations: list[tuple[str, ...] | float] = []

    def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
        """Notes whose recorder it is."""
        self.durations.append((kind.__name__, service, interface, method, target))
        return self.durations.extend


def recording_of(observers: Observers) -> Recording:
    """The one for calls of users.get."""
    return observers.recording(CallFinished, lambda: ("users", "Users", "get", "t"))


def test_recorder_gets_durations_in_place_of_events() -> None:
    """Of what went well; an observer without one is told by an event, and what failed is told to both."""
    counter, listening = Counter(), Listener()
    observers = Observers([counter, listening])
    assert observers.records(CallFinished) and not observers.records(RequestFinished)
    assert observers.want(CallFinished) and observers.want_each(CallFinished)
    recording = recording_of(observers)
    assert counter.durations == [], "what it is called may not be known yet"
    for _ in range(2):
        recording.note(0.1)
        recording.settle()
    observers.tell_well(FINISHED)
    assert counter.durations == [("CallFinished", "users", "Users", "get", "t"), 0.1, 0.1]
    assert (counter.events, listening.events) == ([], [FINISHED])
    observers.tell(FINISHED)
    assert counter.events == [FINISHED]
    alone = Observers([counter])
    assert alone.want(CallFinished) and not alone.want_each(CallFinished) and alone.want_each(RequestFinished)
    assert not Observers([Counter(ServerEvent)]).records(CallFinished)


def test_recorder_can_be_passed_over() -> None:
    """Where an event is made of each call anyway, as of a traced one, that is told in place of its duration."""
    counter = Counter()
    observers = Observers([counter], records=False)
    assert observers.want_each(CallFinished) and not observers.records(CallFinished)
    observers.tell_well(FINISHED)
    assert counter.events == [FINISHED]


def test_durations_are_handed_over_to_the_recorders_of_several_observers(caplog: pytest.LogCaptureFixture) -> None:
    """As soon as one of them wants it. One that fails, or cannot even be made, is logged once and takes nothing from
    the others."""

    class Broken(Counter):
        urgent = 0.5

        def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
            return lambda seconds: 1 / 0

    class Unmade(Counter):
        def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
            raise KeyError(method)

    good = Counter()
    recording = recording_of(Observers([Broken(), Unmade(), good]))
    with caplog.at_level(logging.ERROR):
        for seconds in (0.1, 0.5, 0.6):
            recording.note(seconds)
    assert good.durations[1:] == [0.1, 0.5, 0.6]
    assert [record.getMessage().partition(",")[0] for record in caplog.records] == [
        "an observer failed at CallFinished"
    ] * 2
    silent = recording_of(Observers([type("Silent", (Counter,), {"recorder": Observer.recorder})()]))
    silent.note(0.1)
    silent.settle()
    assert len(caplog.records) == 2


def test_only_calls_and_requests_can_be_recorded() -> None:
    """An observer that says otherwise is refused."""
    broken = Counter()
    broken.recorded = (HubBlocked,)  # type: ignore[assignment]
    with pytest.raises(ConfigError, match="recorded can name CallFinished and RequestFinished, got"):
        Observers([broken])


def test_observer_of_everything_is_among_all_that_are_gathered_later() -> None:
    """Once, wherever it is given besides, and until it is ended."""
    listener, own = Listener(), Listener()
    end = observe_everything(listener)
    try:
        assert list(gather([own])) == [own, listener] and list(gather(())) == [listener]
        assert list(gather([listener, own])) == [listener, own]
        assert list(gather(gather([own]))) == [own, listener]
    finally:
        end()
    end()
    assert list(gather([own])) == [own]
    with pytest.raises(ConfigError, match="zkrpc.Observer"):
        observe_everything(print)  # type: ignore[arg-type]
