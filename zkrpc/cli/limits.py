"""``--limit NAME=VALUE``: sets the limits on what a server's peers may cost it."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Sequence
from typing import Any

from zkrpc.config import ServerConfig, WireLimits
from zkrpc.errors import ConfigError

_WORDS = {"true": True, "false": False}


def with_limits(config: ServerConfig, given: Sequence[str]) -> ServerConfig:
    """The config with each ``NAME=VALUE`` applied. Raises a ConfigError that names what is wrong."""
    own, wire = _names(ServerConfig), _names(WireLimits)
    changes: dict[str, Any] = {}
    wire_changes: dict[str, Any] = {}
    for text in given:
        name, equals, value = text.partition("=")
        name = name.strip().replace("-", "_")
        if name not in own and name not in wire:
            near = difflib.get_close_matches(name, [*own, *wire], 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join([*own, *wire])}"
            raise ConfigError(f"--limit {text!r} names no limit; {hint}")
        if not equals:
            raise ConfigError(f"--limit {text!r} has no value; write {name}=VALUE")
        (changes if name in own else wire_changes)[name] = _number(text, value.strip())
    return dataclasses.replace(config, wire=dataclasses.replace(config.wire, **wire_changes), **changes)


def _names(kind: type[ServerConfig | WireLimits]) -> list[str]:
    return [field.name for field in dataclasses.fields(kind) if field.name != "wire"]


def _number(text: str, value: str) -> Any:
    if value.lower() in _WORDS:
        return _WORDS[value.lower()]
    for kind in (int, float):
        try:
            return kind(value)
        except ValueError:
            continue
    raise ConfigError(f"--limit {text!r} must be a number, or true or false")
