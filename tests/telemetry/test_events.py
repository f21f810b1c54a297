"""What every kind of event has in common."""

from __future__ import annotations

import dataclasses
import json
from typing import get_type_hints

import pytest

from zkrpc.telemetry import events
from zkrpc.telemetry.events import Event

KINDS = [kind for kind in vars(events).values() if isinstance(kind, type) and issubclass(kind, Event)]


@pytest.mark.parametrize("kind", KINDS)
def test_event_is_a_documented_value_of_plain_fields(kind: type[Event]) -> None:
    """It cannot be changed, takes no other attribute, says what has happened, and can be written as JSON."""
    samples = {str: "text", int: 1, float: 0.5, bool: True, int | None: None, float | None: None, str | None: None}
    event = kind(**{name: samples[hint] for name, hint in get_type_hints(kind).items()})
    assert kind.__module__ == events.__name__ and (kind.__doc__ or "").endswith(".")
    with pytest.raises((AttributeError, TypeError)):
        event.service = "another"  # type: ignore[attr-defined]
    assert not hasattr(event, "__dict__")
    assert json.loads(json.dumps(dataclasses.asdict(event), allow_nan=False)) == dataclasses.asdict(event)
