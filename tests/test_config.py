"""Settings are checked where they are made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from zkrpc.config import (
    BreakerConfig,
    ClientConfig,
    ElectionConfig,
    RegistryConfig,
    ServerConfig,
    WireLimits,
    percentile,
)
from zkrpc.errors import ConfigError


@pytest.mark.parametrize(
    "kind", [WireLimits, ServerConfig, ClientConfig, BreakerConfig, RegistryConfig, ElectionConfig]
)
def test_config_defaults_are_valid_and_frozen(kind: type[Any]) -> None:
    """Every object can be made without arguments, and not changed afterwards."""
    config = kind()
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(config, dataclasses.fields(config)[0].name, 1)


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        (WireLimits, "max_frame", 0),
        (WireLimits, "max_frame", 0x3FFFFFFF),
        (WireLimits, "max_in_flight", "many"),
        (ServerConfig, "drain_timeout", -1.0),
        (ServerConfig, "max_concurrent", 0),
        (ClientConfig, "timeout", float("nan")),
        (ClientConfig, "max_attempts", True),
        (BreakerConfig, "consecutive_failures", 0),
        (BreakerConfig, "success_rate", 1.1),
        (BreakerConfig, "success_rate", -0.1),
        (BreakerConfig, "open_longest", 4.0),
        (RegistryConfig, "max_in_flight", 279),
        (RegistryConfig, "username", "only-one-of-two"),
        (RegistryConfig, "debounce", -0.1),
        (ElectionConfig, "elected_timeout", 0.0),
        (ElectionConfig, "deposed_timeout", 0.0),
        (ElectionConfig, "finish_timeout", -1.0),
    ],
)
def test_config_names_the_field_that_is_wrong(kind: type[Any], field: str, value: object) -> None:
    """A bad value is a ConfigError that says which field and what it accepts."""
    with pytest.raises(ConfigError, match=f"{kind.__name__}.{field}"):
        kind(**{field: value})


@pytest.mark.parametrize(("text", "share"), [("p50", 0.5), ("p90", 0.9), ("p95", 0.95), ("p99", 0.99)])
def test_percentile_is_read(text: str, share: float) -> None:
    """The way people write them."""
    assert percentile(text) == share


@pytest.mark.parametrize("text", ["", "p", "95", "p5", "p49", "p100", "p99.9", "P95", " p95", "p95\n", "p\u0669\u0665"])
def test_percentile_is_not_guessed(text: str) -> None:
    """Nothing else is one, nor the lower half, nor what a few hundred latencies cannot tell."""
    assert percentile(text) is None
