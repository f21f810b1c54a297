"""Observers, and how events are passed to them. Pure.

An object that emits events takes observers when it is made, gathers them into an :class:`Observers`, and asks this once
whether a kind of event is wanted. If no observer wants that kind, the object runs the same code as without observers.
Only rare events, such as the opening of a connection, are passed on without asking first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import Event

log = logging.getLogger(__name__)


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

    def receive(self, event: Event) -> None:
        """Called with each event. Does nothing here."""


_Receive = Callable[[Event], object]


class Observers:
    """The observers of one object. Raises ConfigError for an object that is not an Observer.

    An Observers is iterable, so that it can be passed on wherever observers are accepted.
    """

    __slots__ = ("_complained", "_found", "_observers")

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers: list[tuple[Observer, tuple[type[Event], ...]]] = []
        for observer in observers:
            if not isinstance(observer, Observer):
                raise ConfigError(f"observers must be objects of subclasses of zkrpc.Observer, got {observer!r}")
            kinds = tuple(observer.kinds)
            for kind in kinds:
                if not (isinstance(kind, type) and issubclass(kind, Event)):
                    raise ConfigError(f"{type(observer).__name__}.kinds must be classes of events, got {kind!r}")
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

    def _complain(self, receive: _Receive, kind: type[Event]) -> None:
        if (id(receive), kind) not in self._complained:
            self._complained.add((id(receive), kind))
            log.exception("an observer failed at %s, which is logged once for this kind: %r", kind.__name__, receive)


NOBODY = Observers()
"""No observers."""


def gather(observers: Iterable[Observer]) -> Observers:
    """Returns an Observers of these observers; an Observers is returned as it is."""
    if isinstance(observers, Observers):
        return observers
    observers = tuple(observers)
    return Observers(observers) if observers else NOBODY
