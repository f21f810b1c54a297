"""A fixed list of endpoints."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zkrpc.client.resolver import StaticResolver
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError


def test_static_resolver_knows_its_list_from_the_start() -> None:
    """Texts and endpoints, each once, in the given order."""
    resolver = StaticResolver(["10.0.0.1:1", Endpoint("10.0.0.2", 2), "10.0.0.1:1"], dialect="framed")
    assert resolver.wait_ready(0.0) is resolver.snapshot
    found = [(str(one.endpoint), one.protocols) for one in resolver.snapshot.instances]
    assert found == [("10.0.0.1:1", ("framed",)), ("10.0.0.2:2", ("framed",))]
    assert repr(resolver) == "<StaticResolver 10.0.0.1:1,10.0.0.2:2>"


def test_static_resolver_never_calls_back() -> None:
    """There is nothing to tell, and nothing to end."""
    resolver = StaticResolver(["h:1"], service="users")
    assert resolver.subscribe(lambda snapshot: None)() is None
    resolver.close()
    assert resolver.snapshot.service == "users"


def test_static_resolver_refuses_what_cannot_work() -> None:
    """At construction, with the accepted values in the message."""
    with pytest.raises(ConfigError, match="zkrpc, theader, framed"):
        StaticResolver(["h:1"], dialect="http")
    with pytest.raises(ConfigError, match="host:port"):
        StaticResolver(["h"])
    with pytest.raises(ConfigError, match="empty"):
        StaticResolver([])


@pytest.mark.parametrize("wrong", [("10.0.0.1", 9090), 9090, None, b"10.0.0.1:9090"])
def test_static_resolver_refuses_what_is_no_endpoint_and_shows_it(wrong: Any) -> None:
    """A pair, a port, nothing or bytes: with an example of what is meant."""
    with pytest.raises(ConfigError, match=f"such as '127.0.0.1:9090', not {re.escape(repr(wrong))}"):
        StaticResolver(["10.0.0.1:1", wrong])


@pytest.mark.parametrize("wrong", [3, None, Endpoint("10.0.0.1", 9090)])
def test_static_resolver_refuses_what_is_no_list(wrong: Any) -> None:
    """Whoever gives a target of another type is told the two that there are."""
    with pytest.raises(
        ConfigError, match=r"a service's name or a list of endpoints such as \['127.0.0.1:9090'\], got "
    ):
        StaticResolver(wrong)
