"""Settings are checked where they are made."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from zkrpc.config import (
    BreakerConfig,
    ClientConfig,
    ElectionConfig,
    MethodConfig,
    RegistryConfig,
    ServerConfig,
    ServiceConfig,
    WireLimits,
    percentile,
)
from zkrpc.errors import ConfigError

KINDS = [
    WireLimits,
    ServerConfig,
    ClientConfig,
    BreakerConfig,
    RegistryConfig,
    ElectionConfig,
    MethodConfig,
    ServiceConfig,
]


@pytest.mark.parametrize("kind", KINDS)
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
        (ClientConfig, "wire", None),
        (ClientConfig, "breaker", {}),
        (ClientConfig, "zone", 3),
        (ClientConfig, "client_id", b"x"),
        (ClientConfig, "plain_connections", 1.5),
        (ClientConfig, "plain_connections", True),
        (ClientConfig, "timeout", float("nan")),
        (ClientConfig, "max_attempts", True),
        (BreakerConfig, "consecutive_failures", 0),
        (BreakerConfig, "success_rate", 1.1),
        (BreakerConfig, "success_rate", -0.1),
        (BreakerConfig, "open_longest", 4.0),
        (RegistryConfig, "max_in_flight", 279),
        (RegistryConfig, "debounce", -0.1),
        (ElectionConfig, "elected_timeout", 0.0),
        (ElectionConfig, "deposed_timeout", 0.0),
        (ElectionConfig, "finish_timeout", -1.0),
        (ClientConfig, "timeout", 0),
        (ClientConfig, "max_attempts", 0),
        (ClientConfig, "hedge", "p0"),
        (ClientConfig, "backoff", 0),
        (MethodConfig, "timeout", -1.0),
        (MethodConfig, "timeout", float("inf")),
        (MethodConfig, "timeout", "1"),
        (MethodConfig, "timeout", True),
        (MethodConfig, "idempotent", 1),
        (MethodConfig, "hedge", 0.0),
        (MethodConfig, "hedge", "95"),
        (MethodConfig, "max_attempts", 1.0),
        (MethodConfig, "max_attempts", 101),
        (ServiceConfig, "timeout", float("nan")),
        (ServiceConfig, "balancing", "best"),
        (ServiceConfig, "balancing", ["p2c"]),
        (ServiceConfig, "hash_key", ""),
        (ServiceConfig, "hash_key", 1),
        (ServiceConfig, "subset_size", 0),
        (ServiceConfig, "retry_ratio", 1.5),
        (ServiceConfig, "retry_ratio", -0.1),
        (ServiceConfig, "retry_reserve", float("inf")),
        (ServiceConfig, "methods", {"get": ServiceConfig()}),
        (ServiceConfig, "allow", {"get": ["any"]}),
        (ServiceConfig, "allow", {"zkrpc.Health": ("any",)}),
        (ServiceConfig, "methods", {1: MethodConfig()}),
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


def test_policy_may_say_nothing_or_all() -> None:
    """Nothing at all is a config; so is every field at once, and the ends of the ranges."""
    assert ServiceConfig() == ServiceConfig(methods={}) and ServiceConfig().timeout is None
    methods = {"get": MethodConfig(timeout=0.001, idempotent=False, hedge="off", max_attempts=1)}
    config = ServiceConfig(
        timeout=86400,
        idempotent=True,
        hedge="p99",
        max_attempts=100,
        balancing="consistent_hash",
        hash_key="id",
        subset_size=1,
        retry_ratio=0,
        retry_reserve=0.5,
        methods=methods,
    )
    methods.clear()
    assert config.methods["get"].hedge == "off" and hash(config) == hash(config)
    assert ClientConfig(timeout=1, hedge=0.02, max_attempts=7).hedge == 0.02


def test_consistent_hash_needs_to_know_what_to_hash() -> None:
    """A key without the algorithm waits for its time; the algorithm without a key cannot work."""
    assert ServiceConfig(hash_key="id", balancing="p2c").hash_key == "id"
    with pytest.raises(ConfigError, match="ServiceConfig.hash_key must name"):
        ServiceConfig(balancing="consistent_hash")
