"""An observer that keeps what it is told, for tests of everything that tells."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

from zkrpc.call import Interceptor, Proceed, ServerCall
from zkrpc.errors import Draining
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


def told_in_order(events: Iterable[Event], story: Sequence[tuple[type[Event], dict[str, Any]]]) -> list[str]:
    """What of a story was not told in this order, whatever was told in between; each part is a kind and some fields."""
    left = list(story)
    for event in events:
        kind, fields = left[0]
        if isinstance(event, kind) and all(getattr(event, name) == value for name, value in fields.items()):
            del left[0]
            if not left:
                break
    return [f"{kind.__name__} {fields}" for kind, fields in left]


def refusing_once() -> Interceptor[ServerCall]:
    """An interceptor of a service that refuses its first call, so that it is sent again."""
    refused: list[ServerCall] = []

    def refuse(call: ServerCall, proceed: Proceed[ServerCall]) -> Any:
        if not refused:
            refused.append(call)
            raise Draining("not this one")
        return proceed(call)

    return refuse
