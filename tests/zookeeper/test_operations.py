"""The values a session speaks in."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.zookeeper.operations import ConnectString, granted_to


@pytest.mark.parametrize(
    ("text", "servers", "chroot"),
    [
        ("a:1", [("a", 1)], ""),
        ("a", [("a", 2181)], ""),
        (" a:1, b:2 ", [("a", 1), ("b", 2)], ""),
        ("a:1,b:2/x/y/", [("a", 1), ("b", 2)], "/x/y"),
        ("a:1//x", [("a", 1)], "/x"),
        ("a:1/", [("a", 1)], ""),
        ("[::1]:7,[::2]/c", [("::1", 7), ("::2", 2181)], "/c"),
    ],
)
def test_connect_string_is_taken_apart(text: str, servers: list[tuple[str, int]], chroot: str) -> None:
    """Servers in order, 2181 if no port is given, and a clean chroot; str() gives a string that reads the same."""
    parsed = ConnectString.parse(text)
    assert parsed.servers == tuple(Endpoint(*server) for server in servers)
    assert parsed.chroot == chroot
    assert ConnectString.parse(str(parsed)) == parsed


@pytest.mark.parametrize(
    ("theirs", "asked", "granted", "expected"),
    [
        (10.0, 10.0, 10.0, 10.0),
        (60.0, 60.0, 40.0, 40.0),
        (5.0, 60.0, 40.0, 5.0),
        (1.0, 1.0, 4.0, 4.0),
        (9.0, 1.0, 4.0, 9.0),
    ],
)
def test_what_others_were_granted_shows_by_what_we_were(
    theirs: float, asked: float, granted: float, expected: float
) -> None:
    """ZooKeeper's limits are the same for all; the one that we met is known."""
    assert granted_to(theirs, asked, granted) == expected


@pytest.mark.parametrize("text", ["", "/x", "a:x", "a:1,", "a:1/../b", "::1", "a:70000"])
def test_a_bad_connect_string_is_a_config_error(text: str) -> None:
    """The message says what to write."""
    with pytest.raises(ConfigError, match="write host:port"):
        ConnectString.parse(text)
