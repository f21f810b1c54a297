"""Who listens, and how they are told. Pure.

An object that has something to tell takes observers when it is made and gathers them into an :class:`Observers`, which
it asks once whether anybody wants a kind of event. Where nobody does, the code that runs is the code without observers;
only what happens rarely, such as a connection that opens, is told without asking first.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator

from zkrpc.errors import ConfigError
from zkrpc.telemetry.events import Event

log = logging.getLogger(__name__)


class Observer:
    """Listens to what happens. Subclass it, name the kinds of events in ``kinds``, and override ``receive``.

    ``receive`` runs where the thing happens: in the greenlet of a call, or in the event loop itself, between the calls
    of everybody else. It must return at once and must not wait for anything, not even for a lock that somebody holds
    for long: put what takes time into a queue that a thread or a greenlet of yours works off. What it raises is logged
    once for each kind of event, and changes nothing for whoever was observed. The events of one call come in one
    context (:mod:`contextvars`), those of a hedged call's second copy in a copy of it.
    """

    kinds: Iterable[type[Event]] = (Event,)
    """What it wants to be told of; a base class such as ``CallEvent`` stands for all of its kinds. Read once, when the
    observer is handed over."""

    def receive(self, event: Event) -> None:
        """Something happened. Does nothing."""


_Receive = Callable[[Event], object]


class Observers:
    """The observers of one object. Raises ConfigError for what is none.

    It is iterable, so that it can be handed on wherever observers are taken.
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
        """All of them."""
        return (observer for observer, _ in self._observers)

    def __repr__(self) -> str:
        """Who they are."""
        return f"<Observers {', '.join(type(observer).__name__ for observer in self) or 'none'}>"

    def want(self, *kinds: type[Event]) -> bool:
        """Whether anybody listens to one of these kinds."""
        return any(self._listeners(kind) for kind in kinds)

    def tell(self, event: Event) -> None:
        """Tells everybody who wants events of this kind, in the order in which they were given."""
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
            log.exception("an observer failed at %s, and may fail again without a word: %r", kind.__name__, receive)


NOBODY = Observers()
"""Where nobody listens."""


def gather(observers: Iterable[Observer]) -> Observers:
    """These observers, ready to be told. What is gathered already stays as it is."""
    if isinstance(observers, Observers):
        return observers
    observers = tuple(observers)
    return Observers(observers) if observers else NOBODY
