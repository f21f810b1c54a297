"""An observer that keeps what it is told, for tests of everything that tells."""

from __future__ import annotations

from typing import TypeVar

from zkrpc.telemetry.events import Event
from zkrpc.telemetry.observer import Observer

EventT = TypeVar("EventT", bound=Event)


class Listener(Observer):
    """Keeps all events of some kinds, of all kinds by default."""

    def __init__(self, *kinds: type[Event]) -> None:
        self.kinds = kinds or (Event,)
        self.events: list[Event] = []

    def receive(self, event: Event) -> None:
        """One more."""
        self.events.append(event)

    def of(self, kind: type[EventT]) -> list[EventT]:
        """Those of one kind, in their order."""
        return [event for event in self.events if isinstance(event, kind)]

    @property
    def names(self) -> list[str]:
        """What happened, in its order."""
        return [type(event).__name__ for event in self.events]
