"""The door to kazoo: what it relies on inside kazoo."""

from __future__ import annotations

import inspect
import random

import pytest
from kazoo.protocol.connection import ConnectionHandler

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint
from zkrpc.errors import SessionSuspended
from zkrpc.zookeeper.diagnosis import Diagnosis
from zkrpc.zookeeper.ensemble import ServerList
from zkrpc.zookeeper.link import Link
from zkrpc.zookeeper.operations import ConnectString


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_submit", ["self", "request", "timeout", "xid"]),
        ("_read_header", ["self", "timeout"]),
        ("_read", ["self", "length", "timeout"]),
        ("_write", ["self", "msg", "timeout"]),
        ("_invoke", ["self", "timeout", "request", "xid"]),
    ],
)
def test_kazoo_still_has_the_methods_we_wrap(method: str, parameters: list[str]) -> None:
    """A kazoo that renames them would silently take the watchdog and the negotiated timeout away."""
    assert list(inspect.signature(getattr(ConnectionHandler, method)).parameters) == parameters


def test_a_link_that_was_never_started_is_closed_and_refuses() -> None:
    """Stopping is safe at any moment."""
    link = Link(
        ConnectString.parse("127.0.0.1:1"),
        RegistryConfig(),
        servers=ServerList([Endpoint("127.0.0.1", 1)], random.random),
        identity=None,
        diagnosis=Diagnosis(()),
        on_change=lambda: None,
    )
    assert not (link.connected or link.dead or link.expired) and link.identity is None and link.overdue_in() is None
    with pytest.raises(SessionSuspended, match="get /a: not sent, not connected"):
        link.call("get /a", lambda kazoo: kazoo.get_async("/a"), 1.0)
    link.drop()
    link.stop(0.1)
