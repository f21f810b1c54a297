"""One observer hears the whole story of a service in memory: joined, elected, called, sent again, handed over, drained.

``tests/live/test_observing.py`` has the same story on a real ZooKeeper.
"""

from __future__ import annotations

from typing import Any

import zkrpc
from tests.support.listening import Listener, refusing_once, told_in_order
from zkrpc.config import ServerConfig
from zkrpc.idl import load_text
from zkrpc.testing.loopback import Loopback

IDL = load_text('service Ledger { i32 add(1: i32 amount) (zkrpc.primary = "true", zkrpc.timeout_ms = "60000") }')


class Handler:
    """Adds nothing to anything."""

    def add(self, amount: int) -> int:
        """What it was given."""
        return amount


def test_observer_hears_the_whole_story() -> None:
    """Client, servers and elections tell it in one order, and everything that ended has begun."""
    listener = Listener()
    config = ServerConfig(linger=0, drain_timeout=1)
    service = zkrpc.Service(IDL.Ledger, Handler, config=config, interceptors=[refusing_once()])
    loopback = Loopback(service, replicas=2, observers=[listener])
    with loopback as stub:
        first = loopback.primary()
        assert stub.add(1) == 1
        loopback.drain(first)
        assert stub.add(2) == 2
    story: list[tuple[type[Any], dict[str, Any]]] = [
        (zkrpc.ServerStarted, {}),
        (zkrpc.Elected, {"instance": f"replica-{first}"}),
        (zkrpc.Synchronised, {"instance": f"replica-{first}"}),
        (zkrpc.MemberJoined, {}),
        (zkrpc.CallStarted, {"method": "add"}),
        (zkrpc.PeerConnected, {}),
        (zkrpc.ConnectionOpened, {}),
        (zkrpc.AttemptFinished, {"attempt": 1, "error": "Draining"}),
        (zkrpc.CallRetried, {"attempt": 1}),
        (zkrpc.RequestFinished, {"error": ""}),
        (zkrpc.AttemptFinished, {"error": ""}),
        (zkrpc.CallFinished, {"error": ""}),
        (zkrpc.DrainStarted, {}),
        (zkrpc.Deposed, {"instance": f"replica-{first}", "voluntary": True}),
        (zkrpc.MemberLeft, {"instance": f"replica-{first}"}),
        (zkrpc.ServerStopped, {}),
        (zkrpc.CallFinished, {"endpoint": f"memory:{1 - first}"}),
    ]
    assert told_in_order(listener.events, story) == []
    assert len(listener.of(zkrpc.CallStarted)) == len(listener.of(zkrpc.CallFinished)) == 2
    assert len(listener.of(zkrpc.AttemptStarted)) == len(listener.of(zkrpc.AttemptFinished))
    won = [(event.instance, event.epoch) for event in listener.of(zkrpc.Elected)]
    assert [name for name, _ in won] == [f"replica-{first}", f"replica-{1 - first}"] and won[0][1] < won[1][1]
