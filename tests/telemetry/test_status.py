"""What all values of state have in common."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, get_args, get_origin, get_type_hints

import pytest

from zkrpc.telemetry import status

KINDS = [kind for kind in vars(status).values() if dataclasses.is_dataclass(kind)]


def sample(hint: Any) -> Any:
    """A value of a type."""
    origin = get_origin(hint)
    if type(None) in get_args(hint):
        return None
    if origin is not None and issubclass(origin, Mapping):
        return {"text": 1}
    if origin is not None:
        return (sample(get_args(hint)[0]),)
    plain = {str: "text", int: 1, float: 0.5, bool: True}
    return plain[hint] if hint in plain else make(hint)


def make(kind: Any) -> Any:
    """A value with something in each field."""
    return kind(**{name: sample(hint) for name, hint in get_type_hints(kind).items()})


@pytest.mark.parametrize("kind", KINDS)
def test_status_is_a_documented_value_of_plain_fields(kind: Any) -> None:
    """It cannot be changed, and can be written as JSON with everything in it."""
    value = make(kind)
    assert kind.__doc__.endswith(".")
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, next(iter(get_type_hints(kind))), None)
    written = json.loads(json.dumps(dataclasses.asdict(value), allow_nan=False))
    assert written.keys() == get_type_hints(kind).keys()
