"""The client that stands for one in the hub thread: being made, used, and closed."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.counting import idl, start_server
from tests.support.waiting import eventually
from zkrpc.client.invoking import DEFAULT_OPTIONS
from zkrpc.worlds import hub_thread
from zkrpc.worlds.remote import ClientInTheMaking, RemoteClient, client_of, connected, require_hosts
from zkrpc.worlds.waits import run


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Where calls are counted."""
    process, place = start_server()
    yield place
    process.kill()
    process.communicate()


def test_client_is_used_like_the_one_it_stands_for(address: str) -> None:
    """Calls, values in effect and states; closed, it refuses calls, and being closed again does nothing."""
    client = RemoteClient(connected(lambda: client_of(lambda: zkrpc.connect(idl.Counting, [address]))))
    echo = idl.Counting.methods["echo"]
    assert client.invoke(echo, ("x",), {}, DEFAULT_OPTIONS) == "x"
    assert client.explain([echo], DEFAULT_OPTIONS).methods.keys() == {"echo"}
    assert client.status().connections == 1 and "RemoteClient of <Client" in repr(client)
    client.expect_primary()
    client.close()
    client.close()
    assert client.closed and client.client.closed
    assert client.status().closed and client.explain([echo], DEFAULT_OPTIONS).methods.keys() == {"echo"}
    assert not hub_thread.has_hub_thread()
    with pytest.raises(zkrpc.Unavailable, match="the client is closed"):
        client.invoke(echo, ("x",), {}, DEFAULT_OPTIONS)


def test_client_that_cannot_be_made_leaves_nothing() -> None:
    """The error is the one of whoever makes it."""

    def fail() -> Any:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        connected(fail)
    eventually(lambda: not hub_thread.has_hub_thread())


def test_client_that_nobody_waited_for_is_closed(address: str) -> None:
    """Whether it was made by then or not, and whether or not there is a thread."""
    connecting = ClientInTheMaking(lambda: client_of(lambda: zkrpc.connect(idl.Counting, [address])))
    made = run(connecting.connect)
    connecting.abandon()
    eventually(lambda: made.closed and not hub_thread.has_hub_thread())
    ClientInTheMaking(lambda: None).abandon()
    assert not hub_thread.has_hub_thread()


def test_client_is_closed_once_by_whoever_is_first(address: str) -> None:
    """Many threads close it at once, and the thread goes on for another client."""
    with zkrpc.threads.connect(idl.Counting, [address]) as other:
        for _ in range(5):
            client = RemoteClient(connected(lambda: client_of(lambda: zkrpc.connect(idl.Counting, [address]))))
            gevent.get_hub().threadpool.map(lambda _, one=client: one.close(), range(8))
        assert other.echo("x") == "x"
    assert not hub_thread.has_hub_thread()


def test_client_is_closed_however_many_calls_are_under_way(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full queue refuses calls, with an error that says so, and never what ends them."""
    client = RemoteClient(connected(lambda: client_of(lambda: zkrpc.connect(idl.Counting, [address]))))
    monkeypatch.setattr(hub_thread.hub_thread().entrance, "_bound", 0)
    with pytest.raises(zkrpc.Unavailable, match="0 calls wait or are under way"):
        client.invoke(idl.Counting.methods["echo"], ("x",), {}, DEFAULT_OPTIONS)
    client.close()
    assert client.client.closed and not hub_thread.has_hub_thread()


def test_only_a_connect_string_will_do() -> None:
    """A Registry belongs to one thread, which is another one."""
    assert require_hosts(None) is None and require_hosts("127.0.0.1:2181") == "127.0.0.1:2181"
    with pytest.raises(zkrpc.ConfigError, match="must be a connect string"):
        require_hosts(object())
