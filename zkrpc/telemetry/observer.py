"""Observers, and how events are passed to them. Pure.

An object that emits events takes observers when it is made, gathers them into an :class:`Observers`, and asks this once
whether a kind of event is wanted. If no observer wants that kind, the object runs the same code as without observers.
Only rare events, such as the opening of a connection, are passed on without asking first.

*Events and recorders.* To make an event takes about a microsecond, which is a tenth of a small call. So an observer may
say that of calls and requests that went well it needs the durations and nothing else: it then gives a *recorder*, a
function of many seconds, once for each method, and is told by an event only of those that did not go well.
:mod:`zkrpc.telemetry.recording` says when a recorder is called.
"""

from __future__ import annotations

import functools
import logging
import math
from collections.abc import Callable, Iterable, Iterator, Sequence

from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import CallFinished, Event, RequestFinished
from zkrpc.telemetry.recording import Recorder, Recording

log = logging.getLogger(__name__)

RECORDABLE: tuple[type[Event], ...] = (CallFinished, RequestFinished)
"""The kinds of events for which an observer may give a recorder."""


class Observer:
    """Receives events. Subclass it, name the kinds of events in ``kinds``, and override ``receive``.

    ``receive`` runs where the event happens: in the greenlet of a call, or in the event loop itself, while other calls
    wait. It must return at once and must not wait for anything, not even for a lock that may be held for long: put work
    that takes time into a queue for a thread or a greenlet of your own. Its exceptions are logged once for each kind of
    event, and do not affect the observed call or connection. The events of one call come in one context
    (:mod:`contextvars`), those of a hedged call's second copy in a copy of that context.
    """

    kinds: Iterable[type[Event]] = (Event,)
    """The kinds of events to receive; a base class such as ``CallEvent`` stands for all kinds derived from it. Read
    once, when the observer is handed in."""
    recorded: Iterable[type[Event]] = ()
    """Of these kinds, ``CallFinished`` and ``RequestFinished``, those that went well (no error, not even a declared
    one) are told to the observer's recorder and not to ``receive``, unless they are traced: then there is an event,
    within their span. Read once, when the observer is handed in."""
    urgent: float = math.inf
    """Seconds from which a duration is handed to a recorder at once, and not with many others after a while. Read when
    a client or a server begins to call or to serve a method."""

    def receive(self, event: Event) -> None:
        """Called with each event. Does nothing here."""

    def recorder(self, kind: type[Event], service: str, interface: str, method: str, target: str) -> Recorder:
        """Makes the recorder for calls or requests of one method; asked for only if ``kind`` is ``recorded``, and by
        each client or server anew. ``target`` is empty for a server; the other names are as the events have them."""
        return _forget


def _forget(seconds: Sequence[float]) -> None:
    """Does nothing: the recorder of an observer that says it has one and does not."""


def _make_recorder(observer: Observer, kind: type[Event], names: Callable[[], tuple[str, str, str, str]]) -> Recorder:
    return observer.recorder(kind, *names())


_Receive = Callable[[Event], object]


class Observers:
    """The observers of one object. Raises ConfigError for an object that is not an Observer.

    Without ``records`` they are told of everything by events, as if none of them had a recorder; but not those in
    ``recorded``. An Observers is iterable, so that it can be passed on wherever observers are accepted.
    """

    __slots__ = ("_complained", "_found", "_observers", "_recorded")

    def __init__(
        self, observers: Iterable[Observer] = (), *, records: bool = True, recorded: Sequence[Observer] = ()
    ) -> None:
        self._observers: list[tuple[Observer, tuple[type[Event], ...]]] = []
        self._recorded: dict[type[Event], tuple[Observer, ...]] = {}
        for observer in observers:
            if not isinstance(observer, Observer):
                raise ConfigError(f"observers must be objects of subclasses of zkrpc.Observer, got {observer!r}")
            kinds = tuple(observer.kinds)
            for kind in kinds:
                if not (isinstance(kind, type) and issubclass(kind, Event)):
                    raise ConfigError(f"{type(observer).__name__}.kinds must be classes of events, got {kind!r}")
            for kind in observer.recorded:
                if kind not in RECORDABLE:
                    names = " and ".join(one.__name__ for one in RECORDABLE)
                    raise ConfigError(f"{type(observer).__name__}.recorded can name {names}, got {kind!r}")
                if (records or observer in recorded) and issubclass(kind, kinds):
                    self._recorded[kind] = (*self._recorded.get(kind, ()), observer)
            self._observers.append((observer, kinds))
        self._found: dict[type[Event], tuple[_Receive, ...]] = {}
        self._complained: set[tuple[int, type[Event]]] = set()

    def __iter__(self) -> Iterator[Observer]:
        """All observers."""
        return (observer for observer, _ in self._observers)

    def __repr__(self) -> str:
        """The observers."""
        return f"<Observers {', '.join(type(observer).__name__ for observer in self) or 'none'}>"

    def want(self, *kinds: type[Event]) -> bool:
        """Whether an observer wants one of these kinds."""
        return any(self._listeners(kind) for kind in kinds)

    def tell(self, event: Event) -> None:
        """Passes an event to every observer that wants its kind, in the order in which they were given."""
        for receive in self._listeners(type(event)):
            self._pass_on(receive, event)

    def want_each(self, kind: type[Event]) -> bool:
        """Whether an observer wants an event also of a call or request that went well."""
        return bool(self._without_recorder(kind))

    def records(self, kind: type[Event]) -> bool:
        """Whether an observer has recorders for this kind."""
        return kind in self._recorded

    def recording(self, kind: type[Event], names: Callable[[], tuple[str, str, str, str]]) -> Recording:
        """Where the durations of one method are gathered for the recorders of all observers that have one. ``names``
        gives service, interface, method and target, and is called when there are some: a client does not know its
        service's name before."""
        observers = self._recorded[kind]
        return Recording(
            [functools.partial(_make_recorder, one, kind, names) for one in observers],
            min(one.urgent for one in observers),
            lambda number: self._complain(observers[number], kind),
        )

    def tell_well(self, event: Event) -> None:
        """The same as ``tell``, for a call or request that went well: passes over those who have a recorder."""
        for receive in self._without_recorder(type(event)):
            self._pass_on(receive, event)

    def _without_recorder(self, kind: type[Event]) -> tuple[_Receive, ...]:
        recorded = self._recorded.get(kind)
        if recorded is None:
            return self._listeners(kind)
        return tuple(one.receive for one, kinds in self._observers if issubclass(kind, kinds) and one not in recorded)

    def _pass_on(self, receive: _Receive, event: Event) -> None:
        try:
            receive(event)
        except Exception:
            self._complain(receive, type(event))

    def _listeners(self, kind: type[Event]) -> tuple[_Receive, ...]:
        found = self._found.get(kind)
        if found is None:
            found = tuple(one.receive for one, kinds in self._observers if issubclass(kind, kinds))
            self._found[kind] = found
        return found

    def _complain(self, who: object, kind: type[Event]) -> None:
        if (id(who), kind) not in self._complained:
            self._complained.add((id(who), kind))
            log.exception("an observer failed at %s, which is logged once for this kind: %r", kind.__name__, who)


NOBODY = Observers()
"""No observers."""
_everywhere: list[Observer] = []


def observe_everything(observer: Observer) -> Callable[[], None]:
    """From now on, all that is made in this process tells this observer too, wherever observers are accepted: clients
    that a handler makes for itself, for one. What was made before goes on as it was.

    Returns a function that ends this for what is made later. Raises ConfigError for an object that is not an Observer.
    """
    Observers([observer])
    _everywhere.append(observer)

    def end() -> None:
        if observer in _everywhere:
            _everywhere.remove(observer)

    return end


def gather(observers: Iterable[Observer]) -> Observers:
    """Returns an Observers of these observers, and of those that observe everything; an Observers is returned as it
    is."""
    if isinstance(observers, Observers):
        return observers
    observers = tuple(observers)
    observers += tuple(one for one in _everywhere if one not in observers)
    return Observers(observers) if observers else NOBODY
