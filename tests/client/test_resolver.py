"""A fixed list of endpoints."""

from __future__ import annotations

import re
from typing import Any

import pytest

from zkrpc.client.resolver import DIALECTS, NAMED, StaticResolver, check_dialect, choose
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.wire.message import Dialect


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
    with pytest.raises(ConfigError, match="zkrpc, theader, .*framed"):
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


def test_every_dialect_has_a_name() -> None:
    """And ``zkrpc`` and ``theader`` are one dialect, with and without control messages."""
    assert set(NAMED.values()) == set(Dialect)
    assert [check_dialect(name) for name in DIALECTS] == list(DIALECTS)


@pytest.mark.parametrize("name", ["", "ZKRPC", "json", None, 7, ["framed"]])
def test_other_names_are_refused_with_those_there_are(name: object) -> None:
    """By whoever takes one from a user."""
    with pytest.raises(ConfigError, match="dialect must be one of zkrpc, theader, .*binary-old, got"):
        check_dialect(name)


@pytest.mark.parametrize(
    ("spoken", "expected"),
    [
        (("framed", "theader", "zkrpc"), "zkrpc"),
        (("framed", "theader"), "theader"),
        (("compact", "binary"), "binary"),
        (("http", "compact"), "compact"),
        (("http",), "binary-old"),
        ((), "binary-old"),
    ],
)
def test_record_is_believed_and_the_option_fills_its_silence(spoken: tuple[str, ...], expected: str) -> None:
    """What is not known here says nothing."""
    assert choose(spoken, "binary-old") == expected
    assert choose(()) is None
