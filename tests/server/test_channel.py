"""A worker's end of the pair."""

from __future__ import annotations

import socket

from zkrpc.server.channel import SupervisorChannel
from zkrpc.server.startup import StartFailure


def test_channel_outlives_its_supervisor() -> None:
    """Telling somebody who is gone is no error, and the end is noticed at once."""
    ours, theirs = socket.socketpair()
    channel = SupervisorChannel(theirs.detach())
    channel.tell_session(7, b"\x01")
    channel.tell_bound(11)
    channel.tell_ready()
    assert channel.tell_failure(StartFailure("it failed", "here", final=True))
    assert (
        ours.recv(200)
        == b'{"session": [7, "01"]}\n{"bound": 11.0}\n{"ready": true}\n{"failed": ["it failed", "here"]}\n'
    )
    ours.close()
    channel.wait_for_end()
    assert not channel.tell_failure(StartFailure("nobody hears it"))
    channel.tell_session(8, b"\x02")
    channel._socket.close()
