"""Who is told a service's config, as far as that needs no ZooKeeper; see tests/live for the rest."""

from __future__ import annotations

import pytest

from zkrpc.config import RegistryConfig, ServiceConfig
from zkrpc.errors import ConfigError
from zkrpc.registry.config_watch import ConfigWatch
from zkrpc.zookeeper.session import Session


def test_watch_begins_with_the_first_and_ends_with_the_last() -> None:
    """And there is none after the close; a session that was never started tells nobody anything."""
    told: list[ServiceConfig] = []
    watch = ConfigWatch(Session("127.0.0.1:1"), "users", rng=lambda: 0.5)
    assert repr(watch) == "<ConfigWatch users not followed>"
    ends = [watch.follow(told.append) for _ in range(2)]
    ends[0]()
    ends[0]()
    assert repr(watch) == "<ConfigWatch users nothing known>"
    ends[1]()
    assert repr(watch) == "<ConfigWatch users not followed>"
    watch.follow(told.append)
    ends[1]()
    assert repr(watch) == "<ConfigWatch users nothing known>"
    watch.close()
    watch.close()
    watch.follow(told.append)()
    assert repr(watch) == "<ConfigWatch users not followed>" and not told


def test_node_says_what_its_bytes_say() -> None:
    """Nothing there says nothing; the size is bounded as the registry's config has it."""
    watch = ConfigWatch(Session("127.0.0.1:1"), "users", RegistryConfig(max_record=30), rng=lambda: 0.5)
    assert watch._read(None) == watch._read(b"{}") == ServiceConfig()
    assert watch._read(b'{"timeout_ms": 200}') == ServiceConfig(timeout=0.2)
    with pytest.raises(ConfigError, match="is over 30"):
        watch._read(b'{"timeout_ms": 200}' + b" " * 20)


def test_bad_name_is_refused() -> None:
    """Before anything is watched."""
    with pytest.raises(ConfigError, match="service name"):
        ConfigWatch(Session("127.0.0.1:1"), "no/name", rng=lambda: 0.5)
